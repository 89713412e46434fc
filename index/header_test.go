package index_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestCheckHeader looks for the headers of files: plain ones, ones with records
// before, sparse files without a hole, and such as aren't there.
func TestCheckHeader(t *testing.T) {
	big := strings.Repeat("v", 60_000)
	data := lt.Tar(lt.File("a", "content"), lt.Dir("d"), lt.File("d/"+strings.Repeat("n", 200)+"日", "x"),
		lt.File("x", "y", lt.Xattr("user.a", big), lt.Xattr("user.b", big), lt.Xattr("user.c", big)),
		lt.Sparse(lt.OldGNU, "no hole", 600, []lt.Run{{Off: 0, Data: noise(600, 2)}}),
		lt.Sparse(lt.SparseV1, "none", 600, []lt.Run{{Off: 0, Data: noise(600, 3)}}), lt.File("last", noise(3000, 1)))
	toc, _, err := build(data, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for e := range toc.Entries() {
		if err := index.CheckHeader(bytes.NewReader(data), e); err != nil {
			t.Errorf("%.20s: %v", e.Name, err)
		}
		if e.Size == 0 {
			continue
		}
		files++
		for name, lie := range map[string]index.Entry{
			"name":           {Name: e.Name + "x", Size: e.Size, Off: e.Off},
			"size":           {Name: e.Name, Size: e.Size + 1, Off: e.Off},
			"a block before": {Name: e.Name, Size: e.Size, Off: e.Off - 512},
			"a block behind": {Name: e.Name, Size: e.Size, Off: e.Off + 512},
			"a byte behind":  {Name: e.Name, Size: e.Size, Off: e.Off + 1},
			"the beginning":  {Name: e.Name, Size: e.Size},
			"beyond the end": {Name: e.Name, Size: e.Size, Off: int64(len(data)) + 4096},
		} {
			var mismatch *index.MismatchError
			if err := index.CheckHeader(bytes.NewReader(data), &lie); !errors.As(err, &mismatch) {
				t.Errorf("%.20s: another %s: %v", e.Name, name, err)
			}
		}
	}
	if files != 6 {
		t.Errorf("%d files", files)
	}
}

// FuzzCheckHeader has any bytes before a content.
func FuzzCheckHeader(f *testing.F) {
	f.Add(lt.Tar(lt.File("a", "content")), "a", int64(7), int64(512))
	f.Add(lt.Tar(lt.File(strings.Repeat("n", 200), "x")), strings.Repeat("n", 200), int64(1), int64(2048))
	f.Fuzz(func(t *testing.T, data []byte, name string, size, off int64) {
		if off < 0 { // no TOC has such
			return
		}
		index.CheckHeader(bytes.NewReader(data), &index.Entry{Name: name, Size: size, Off: off})
	})
}
