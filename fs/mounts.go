package fs

import (
	"fmt"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// subtype is what ocifs is called in mount tables: "fuse.ocifs".
const subtype = "ocifs"

// A table is the mount table of this process's namespace. Reading it touches
// none of the mounts in it.
type table []*mountinfo.Info

func readTable() (table, error) { return mountinfo.GetMounts(nil) }

// byID returns the mount with that id, nil if there is none.
func (t table) byID(id int) *mountinfo.Info {
	for _, m := range t {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// on returns what is mounted at path on the mount with that id, nil if nothing
// is: the one directly on it, which may be covered in turn.
func (t table) on(id int, path string) *mountinfo.Info {
	for _, m := range t {
		if m.Parent == id && m.ID != id && m.Mountpoint == path {
			return m
		}
	}
	return nil
}

// topOn follows a stack of mounts at path from the mount with that id, which
// doesn't count, to the visible one.
func (t table) topOn(id int, path string) *mountinfo.Info {
	var top *mountinfo.Info
	for range t { // no stack is higher than the table is long
		m := t.on(id, path)
		if m == nil {
			break
		}
		top, id = m, m.ID
	}
	return top
}

// hiding returns a mount because of which m's mountpoint leads elsewhere: one
// on m itself, or one on a directory above that was made later. nil: m is what
// its mountpoint shows.
func (t table) hiding(m *mountinfo.Info) *mountinfo.Info {
	if over := t.on(m.ID, m.Mountpoint); over != nil {
		return over
	}
	for range t { // no mount is deeper than the table is long
		for _, x := range t {
			if x.Parent == m.Parent && x.ID != m.ID && x.ID != x.Parent && above(x.Mountpoint, m.Mountpoint) {
				return x
			}
		}
		parent := t.byID(m.Parent)
		if parent == nil || parent == m {
			break
		}
		m = parent
	}
	return nil
}

// above reports whether dir is path or a directory above it.
func above(dir, path string) bool {
	return dir == path || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// isFUSE reports whether m is a mount of FUSE, ours or not.
func isFUSE(m *mountinfo.Info) bool {
	return m.FSType == "fuse" || m.FSType == "fuseblk" || strings.HasPrefix(m.FSType, "fuse.")
}

// device is st_dev of what m shows, in the form that /sys/class/bdi has.
func device(m *mountinfo.Info) string { return fmt.Sprintf("%d:%d", m.Major, m.Minor) }
