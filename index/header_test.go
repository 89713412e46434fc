package index_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestCheckHeader looks for the headers of files: plain ones, ones with records
// before, sparse files with holes and without, and such as aren't there, or tell of
// something else.
func TestCheckHeader(t *testing.T) {
	big := strings.Repeat("v", 60_000)
	data := lt.Tar(lt.File("a", "content"), lt.Dir("d"), lt.File("d/"+strings.Repeat("n", 200)+"日", "x"),
		lt.File("x", "y", lt.Xattr("user.a", big), lt.Xattr("user.b", big), lt.Xattr("user.c", big)),
		lt.Sparse(lt.OldGNU, "no hole", 600, []lt.Run{{Off: 0, Data: noise(600, 2)}}),
		lt.Sparse(lt.OldGNU, "holes", 900_000, runs(70)), lt.Sparse(lt.SparseV1, "more holes", 900_000, runs(700)),
		lt.Symlink("l", "a"), lt.Dir("e"), lt.File("caps", "x", lt.Xattr("security.capability", "y"), lt.Mode(0o4755)),
		lt.Sparse(lt.SparseV1, "none", 600, []lt.Run{{Off: 0, Data: noise(600, 3)}}), lt.File("last", noise(3000, 1)))
	toc, _, err := build(data, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files, after := 0, int64(0)
	for e := range toc.Entries() {
		if err := index.CheckHeader(bytes.NewReader(data), e, after); err != nil {
			t.Errorf("%.20s: %v", e.Name, err)
		}
		if e.Size == 0 {
			continue
		}
		files++
		for what, lie := range liesOf(e, int64(len(data))) {
			var mismatch *index.MismatchError
			if err := index.CheckHeader(bytes.NewReader(data), &lie, after); !errors.As(err, &mismatch) {
				t.Errorf("%.20s: another %s: %v", e.Name, what, err)
			}
		}
		after = e.Off + stored(e)
	}
	if files != 9 {
		t.Errorf("%d files", files)
	}
}

// liesOf are entries that say of e, in an archive of n bytes, what isn't so.
func liesOf(e *index.Entry, n int64) map[string]index.Entry {
	all := map[string]index.Entry{}
	for what, change := range map[string]func(*index.Entry){
		"name":           func(e *index.Entry) { e.Name += "x" },
		"size":           func(e *index.Entry) { e.Size++ },
		"a block before": func(e *index.Entry) { e.Off -= 512 },
		"a block behind": func(e *index.Entry) { e.Off += 512 },
		"a byte behind":  func(e *index.Entry) { e.Off++ },
		"the beginning":  func(e *index.Entry) { e.Off = 0 },
		"beyond the end": func(e *index.Entry) { e.Off = n + 4096 },
		"setuid":         func(e *index.Entry) { e.Mode ^= 0o4000 },
		"sticky":         func(e *index.Entry) { e.Mode ^= 0o1000 },
		"readable":       func(e *index.Entry) { e.Mode ^= 0o004 },
		"type":           func(e *index.Entry) { e.Mode ^= index.ModeRegular ^ index.ModeFIFO },
		"owner":          func(e *index.Entry) { e.UID++ },
		"group":          func(e *index.Entry) { e.GID++ },
		"time":           func(e *index.Entry) { e.ModTime = e.ModTime.Add(time.Hour) },
		"link":           func(e *index.Entry) { e.HardLink, e.Link = true, "other" },
		"device":         func(e *index.Entry) { e.Major++ },
		"attribute":      func(e *index.Entry) { e.Xattrs = append(slices.Clone(e.Xattrs), index.Xattr{Name: "z"}) },
		"map": func(e *index.Entry) {
			if e.Data == nil {
				e.Data = []index.Extent{{Off: 0, Len: 1}}
			} else {
				e.Data = nil
			}
		},
	} {
		lie := *e
		change(&lie)
		all[what] = lie
	}
	if len(e.Xattrs) > 0 {
		lie := *e
		lie.Xattrs = nil
		all["lack of attributes"] = lie
	}
	return all
}

// stored is how many bytes of the archive e's content takes.
func stored(e *index.Entry) int64 {
	if e.Data == nil {
		return e.Size
	}
	n := int64(0)
	for _, x := range e.Data {
		n += x.Len
	}
	return n
}

// TestHeaderBehindHeader has a content that ends in what extends headers: only
// where it ends tells that it is no part of the header behind it.
func TestHeaderBehindHeader(t *testing.T) {
	inner := lt.Tar(lt.File(strings.Repeat("n", 300), "x"))[:1024] // records, and nothing behind
	data := lt.Tar(lt.File("testdata", string(inner)), lt.File("f", "content"))
	toc, _, err := build(data, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	after := int64(0)
	for e := range toc.Entries() {
		if err := index.CheckHeader(bytes.NewReader(data), e, after); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		after = e.Off + e.Size
	}
}

// FuzzCheckHeader has any bytes before a content.
func FuzzCheckHeader(f *testing.F) {
	f.Add(lt.Tar(lt.File("a", "content")), "a", int64(7), int64(512), int64(0))
	f.Add(lt.Tar(lt.File(strings.Repeat("n", 200), "x")), strings.Repeat("n", 200), int64(1), int64(2048), int64(0))
	f.Add(lt.Tar(lt.Dir("d"), lt.File("a", "content")), "a", int64(7), int64(1024), int64(700))
	f.Fuzz(func(t *testing.T, data []byte, name string, size, off, after int64) {
		if off < 0 || size < 0 || after < 0 || after > off { // no TOC has such
			return
		}
		index.CheckHeader(bytes.NewReader(data), &index.Entry{Name: name, Size: size, Off: off}, after)
	})
}

// runs are n pieces of data with holes between.
func runs(n int) []lt.Run {
	all := make([]lt.Run, n)
	for i := range all {
		all[i] = lt.Run{Off: int64(i) * 1024, Data: noise(512, uint64(i))}
	}
	return all
}
