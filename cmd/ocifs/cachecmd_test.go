package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ocifs.dev/ocifs/cache"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestCacheCommands fills a cache, looks at it, damages it, and empties it.
func TestCacheCommands(t *testing.T) {
	w := newWorld(t)
	big := prose(3<<20, 7)
	lt.WriteLayout(t, w.in("big"), lt.Image{Tag: "b", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("big", big)))}})
	bigRef := "oci:" + w.in("big") + ":b"
	w.ok("ls", w.ref)
	if got := w.ok("cache", "warm", bigRef); !strings.HasPrefix(got, "cached "+bigRef+"@sha256:") || !strings.Contains(got, "3.0 MiB of files") {
		t.Errorf("warm: %s", got)
	}
	var ls struct{ Entries []cached }
	if w.decode(&ls, "cache", "ls", "--json"); len(ls.Entries) != 3 {
		t.Fatalf("ls: %+v", ls)
	}
	for _, e := range ls.Entries {
		if e.Kind != "layer" || e.InUse || len(e.Images) != 1 || !slices.Contains([]string{w.ref, bigRef}, e.Images[0]) || !strings.HasPrefix(e.Digest, "sha256:") {
			t.Errorf("entry %+v", e)
		}
	}
	if got := w.ok("cache", "ls", "--all"); !strings.Contains(got, "\nobject ") || !strings.Contains(got, "\nlayer ") {
		t.Errorf("ls --all:\n%s", got)
	}
	var du cacheUsage
	if w.decode(&du, "cache", "du", "--json"); len(du.Images) != 2 || du.Images[0].Image != bigRef || du.Images[0].Own < 3<<20 || du.Size < du.Layers+du.Objects {
		t.Errorf("du: %+v", du)
	}
	if got := w.ok("cache", "verify"); !strings.HasSuffix(got, " 0 damaged\n") {
		t.Errorf("verify: %s", got)
	}
	data, err := filepath.Glob(w.in("cache/v1/spaces/*/data"))
	if err != nil || len(data) != 3 {
		t.Fatal(data, err)
	}
	for _, name := range data {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteAt([]byte("not what it was"), 20)
		f.Close()
	}
	for range 2 { // it changes nothing
		if r := w.run("cache", "verify"); r.code != exitIntegrity || !strings.Contains(r.out, ": damaged: 1 chunk\n") || !strings.Contains(r.errors, "3 of ") {
			t.Errorf("verify, damaged: %+v", r)
		}
	}
	if got := w.ok("cache", "verify", "--repair"); !strings.Contains(got, ": damaged: 1 chunk, removed\n") || !strings.HasSuffix(got, " 3 damaged\n") {
		t.Errorf("repair: %s", got)
	}
	w.ok("cache", "verify")
	if got := w.ok("cat", bigRef, "/big"); got != big {
		t.Error("another content after that")
	}
	w.fails(exitUsage, "what is to go is not said", "cache", "prune")
	w.fails(exitUsage, "not a duration", "cache", "prune", "--older-than=soon")
	w.fails(exitUsage, "not a size", "cache", "prune", "--keep-size=much")
	if got := w.ok("cache", "prune", "--older-than=1h"); got != "removed 0 layers and 0 objects, 0 B\n" {
		t.Errorf("nothing is that old: %s", got)
	}
	if got := w.ok("cache", "prune", "--all", "--dry-run"); !strings.Contains(got, "would remove 3 layers and ") {
		t.Errorf("dry run: %s", got)
	}
	if w.decode(&ls, "cache", "ls", "--json"); len(ls.Entries) != 3 {
		t.Errorf("after the dry run: %+v", ls)
	}
	if got := w.ok("cache", "prune", "-a"); !strings.HasPrefix(got, "removed 3 layers and ") {
		t.Errorf("prune: %s", got)
	}
	if left, err := filepath.Glob(w.in("cache/v1/*s/*")); len(left) != 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestWarmHardLinks counts a file once that has many names, as du does.
func TestWarmHardLinks(t *testing.T) {
	w := newWorld(t)
	entries := []lt.Entry{lt.File("busybox", prose(1<<20, 7))}
	for _, name := range []string{"cat", "ls", "sh"} {
		entries = append(entries, lt.Hardlink(name, "busybox"))
	}
	lt.WriteLayout(t, w.in("links"), lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(entries...))}})
	for _, verb := range []string{"warm", "pin"} {
		if got := w.ok("cache", verb, "oci:"+w.in("links")+":t"); !strings.Contains(got, ", 1.0 MiB of files") {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

// TestCacheLookCreatesNothing has what only looks at a cache, or shrinks it, make
// none where a typo points; the usual one is empty before it was used.
func TestCacheLookCreatesNothing(t *testing.T) {
	w := newWorld(t)
	for _, dir := range []string{w.in("nowhere"), w.mnt} {
		for _, args := range [][]string{{"ls"}, {"du"}, {"prune", "--all"}, {"verify"}, {"verify", "--repair"}, {"unpin", "alpine"}} {
			w.fails(exitNotFound, dir+": no cache there", append([]string{"cache", "--cache-dir", dir}, args...)...)
		}
		w.run("doctor", "--cache-dir", dir)
	}
	if left, err := os.ReadDir(w.mnt); len(left) != 0 || err != nil {
		t.Errorf("made: %v, %v", left, err)
	}
	if _, err := os.Lstat(w.in("nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("made: %v", err)
	}
	if os.Geteuid() == 0 {
		return // the usual one is this machine's
	}
	w.env = append(w.env, "OCIFS_CACHE_DIR=")
	if got := w.ok("cache", "du"); !strings.HasPrefix(got, "0 B in ") {
		t.Errorf("du: %s", got)
	}
	if got := w.ok("cache", "prune", "--all"); got != "removed 0 layers and 0 objects, 0 B\n" {
		t.Errorf("prune: %s", got)
	}
	if got := w.ok("cache", "verify"); !strings.HasSuffix(got, " 0 damaged\n") {
		t.Errorf("verify: %s", got)
	}
	w.ok("cache", "ls")
	w.fails(exitNotFound, "not pinned", "cache", "unpin", "alpine")
	if _, err := os.Lstat(w.in(".cache")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("made: %v", err)
	}
}

// TestPruneUnderMount removes what it can while an image is mounted: its layers
// stay, and are read.
func TestPruneUnderMount(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	w.ok("mount", w.ref, w.mnt)
	if got := w.ok("cache", "prune", "--all"); !strings.HasPrefix(got, "removed 0 layers and ") {
		t.Errorf("prune: %s", got)
	}
	if got := w.ok("cache", "ls"); strings.Count(got, "  now ") != 2 {
		t.Errorf("ls:\n%s", got)
	}
	if b, err := os.ReadFile(filepath.Join(w.mnt, "etc/motd")); string(b) != "hello\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	w.ok("umount", w.mnt)
	w.nothingLeft()
}

// TestPruning chooses what goes, the longest unused first.
func TestPruning(t *testing.T) {
	now := time.Now()
	pinned := cache.Entry{Key: "p", Bytes: 5, Pinned: true}
	entry := func(key string, hours, bytes int, inUse bool) cache.Entry {
		return cache.Entry{Key: key, Used: now.Add(-time.Duration(hours) * time.Hour), Bytes: int64(bytes), InUse: inUse}
	}
	for _, c := range []struct {
		p    pruning
		want string
	}{
		{pruning{all: true, keep: -1}, "d b a"},
		{pruning{before: now.Add(-3 * time.Hour), keep: -1}, "d b"},
		{pruning{keep: 100}, ""},
		{pruning{keep: 99}, "d"},
		{pruning{keep: 55}, "d b"},
		{pruning{keep: 0}, "d b a"},
		{pruning{keep: 90, before: now.Add(-3 * time.Hour)}, "d b"},
		{pruning{keep: -1}, ""},
	} {
		var got []string
		for _, e := range c.p.choose([]cache.Entry{entry("a", 1, 10, false), entry("b", 5, 30, false), entry("c", 9, 40, true), entry("d", 7, 20, false), pinned}, 100) {
			got = append(got, e.Key)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%+v: %q, want %q", c.p, s, c.want)
		}
	}
}
