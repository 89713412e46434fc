package fs

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// TestCounted counts answers that are errors by name, but not those that tell the
// kernel not to ask, and is told of each read.
func TestCounted(t *testing.T) {
	reads := 0
	v := bareView(t, 1)
	v.noOpen, v.noOpenDir = true, true
	c := counted{v, func(time.Duration) { reads++ }}
	nowhere := fuse.InHeader{NodeId: 1 << 40}
	for range 2 {
		c.Lookup(nil, &fuse.InHeader{NodeId: fuse.FUSE_ROOT_ID}, "absent", &fuse.EntryOut{})
		c.Lookup(nil, &fuse.InHeader{NodeId: fuse.FUSE_ROOT_ID}, strings.Repeat("x", 300), &fuse.EntryOut{})
		c.GetAttr(nil, &fuse.GetAttrIn{InHeader: nowhere}, &fuse.AttrOut{})
		c.Open(nil, &fuse.OpenIn{}, &fuse.OpenOut{})
		c.Open(nil, &fuse.OpenIn{Flags: unix.O_RDWR}, &fuse.OpenOut{})
		c.Read(nil, &fuse.ReadIn{InHeader: nowhere}, nil)
	}
	c.Read(nil, &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: v.id(t, "f")}, Size: 10}, make([]byte, 10))
	want := map[string]uint64{"ENAMETOOLONG": 2, "ESTALE": 4, "EROFS": 2}
	if got := v.count.stats().Errors; !maps.Equal(got, want) || reads != 3 {
		t.Errorf("%v, %d reads", got, reads)
	}
	if c = (counted{v, nil}); c.status(fuse.Status(9999)) != 9999 || c.status(fuse.EIO) != fuse.EIO {
		t.Error("an answer was changed")
	}
}
