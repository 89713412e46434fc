package tree_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// forest makes a layer of n entries like those of real images: of fourteen, two
// are directories, one is a symbolic link, and names are some ten bytes long.
// Its names begin with prefix.
func forest(prefix string, n int) *index.TOC {
	entries := make([]index.Entry, 0, n)
	off := int64(0)
	add := func(name string, mode uint32, link string) {
		e := index.Entry{Name: name, Mode: mode, Link: link, UID: uint32(len(entries) % 3), ModTime: time.Unix(noon+int64(len(entries)), 0)}
		if link == "" && mode&index.ModeType == index.ModeRegular {
			off += 512
			e.Off, e.Size = off, 4000
			off += e.Size
		}
		entries = append(entries, e)
	}
	for k := 0; len(entries) < n; k++ {
		top := fmt.Sprintf("%s%03d", prefix, k/100)
		if k%100 == 0 {
			add(top, index.ModeDir|0o755, "")
		}
		dir := fmt.Sprintf("%s/package-%d", top, k)
		add(dir, index.ModeDir|0o755, "")
		add(dir+"/lib", index.ModeDir|0o755, "")
		for i := range 11 {
			add(fmt.Sprintf("%s/lib/module%d.js", dir, i), index.ModeRegular|0o644, "")
		}
		add(dir+"/latest", index.ModeSymlink|0o777, "lib/module1.js")
	}
	return index.New(entries[:n])
}

// heap is the memory in use: bytes and objects.
func heap() (bytes, objects uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.HeapObjects
}

// TestMemory holds the tree of a million files to its budget: bytes per inode,
// names and all, and a few objects for the whole of it.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	const n, budget, objects = 1_000_000, 80, 1000
	toc := forest("top", n)
	bytes, count := heap()
	m, err := tree.Merge([]*index.TOC{toc})
	if err != nil {
		t.Fatal(err)
	}
	after, countAfter := heap()
	if m.Len() != n+1 {
		t.Fatalf("the tree has %d nodes", m.Len())
	}
	per := float64(after-bytes) / float64(m.Len())
	t.Logf("%.1f bytes per inode, %d objects", per, countAfter-count)
	if after < bytes || per > budget {
		t.Errorf("%.1f bytes per inode, the budget is %d", per, budget)
	}
	if countAfter > count+objects {
		t.Errorf("%d objects more, the budget is %d", countAfter-count, objects)
	}
	runtime.KeepAlive(m)
	runtime.KeepAlive(toc)
}
