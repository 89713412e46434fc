package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestTrace records what is read of a mount, reads that ahead in another one
// with an empty cache, and has convert take it.
func TestTrace(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	lt.WriteLayout(t, w.in("layout"), lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(
		lt.File("a", "first in the archive"), lt.File("big", prose(2<<20, 3)), lt.File("odd/\xff", "odd"), lt.File("z", "last")))}})
	w.ok("mount", "--record-trace=trace.jsonl", w.ref, w.mnt)
	for _, name := range []string{"z", "big", "odd/\xff", "z"} {
		if _, err := os.ReadFile(filepath.Join(w.mnt, name)); err != nil {
			t.Fatal(err)
		}
	}
	w.ok("umount", w.mnt)
	w.nothingLeft()
	b, err := os.ReadFile(w.in("trace.jsonl"))
	if err != nil || !strings.HasPrefix(string(b), `{"schema":"ocifs.dev/trace/v1","image":"`+w.ref+`","digest":"sha256:`) {
		t.Fatalf("%s, %v", b, err)
	}
	list, err := readTrace(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	covered, last := int64(0), int64(0)
	for _, a := range list {
		if !slices.Contains(paths, a.Path) {
			paths = append(paths, a.Path)
		}
		if a.Path == "/big" {
			covered += a.Len
		}
		if a.Time < last {
			t.Errorf("%+v comes after %d us", a, last)
		}
		last = a.Time
	}
	if !slices.Equal(paths, []string{"/z", "/big", "/odd/\uFFFD"}) || covered < 1<<20 {
		t.Errorf("%q, %d bytes of big:\n%s", paths, covered, b)
	}
	for _, what := range []string{"trace=trace.jsonl", "all"} {
		w.env = append(w.env, "OCIFS_CACHE_DIR="+w.in("cache of "+what))
		log := w.in("log " + what)
		w.ok("mount", "--prefetch="+what, "--log-level=info", "--log-file="+log, w.ref, w.mnt)
		w.eventually("what is prefetched", func() bool {
			b, _ := os.ReadFile(log)
			return strings.Contains(string(b), "msg=prefetched bytes=2") && !strings.Contains(string(b), "level=WARN")
		})
		w.ok("umount", w.mnt)
	}
	w.nothingLeft()
	w.ok("convert", "--format=estargz", "--prioritize=trace=trace.jsonl", "--dry-run", w.ref, "oci:"+w.in("new")+":t")
	w.fails(exitUsage, "--prefetch is all or trace=FILE", "mount", "--prefetch=some", w.ref, w.mnt)
	w.fails(exitFailure, "no such file", "mount", "--prefetch=trace=nothing", w.ref, w.mnt)
	if err := os.WriteFile(w.in("wrong"), []byte("no trace"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(exitUsage, "line 1", "mount", "--prefetch=trace=wrong", w.ref, w.mnt)
}

// FuzzTrace reads traces that anybody may have written.
func FuzzTrace(f *testing.F) {
	f.Add(`{"schema":"ocifs.dev/trace/v1"}` + "\n\n" + `{"us":1,"path":"/a","off":0,"len":9223372036854775807}`)
	f.Add(`{"path":"/a","off":-1}`)
	f.Fuzz(func(t *testing.T, s string) {
		list, err := readTrace(strings.NewReader(s))
		for _, a := range list {
			if err == nil && (a.Path == "" || a.Off < 0 || a.Len < 0) {
				t.Errorf("%+v", a)
			}
		}
	})
}
