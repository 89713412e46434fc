package tree_test

import (
	"fmt"
	"testing"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// BenchmarkMerge merges layers of distinct entries; their sum is the count of
// bytes, so that MB/s are millions of entries per second.
func BenchmarkMerge(b *testing.B) {
	for _, bb := range []struct {
		name       string
		layers, n  int
		overlaying bool
	}{
		{"10x10k", 10, 10_000, false},
		{"10x10k-same", 10, 10_000, true},
		{"1x1M", 1, 1_000_000, false},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var layers []*index.TOC
			for i := range bb.layers {
				prefix := "top"
				if !bb.overlaying {
					prefix = fmt.Sprint("layer", i)
				}
				layers = append(layers, forest(prefix, bb.n))
			}
			b.SetBytes(int64(bb.layers * bb.n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tree.Merge(layers); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEntries only walks the entries that BenchmarkMerge/1x1M merges.
func BenchmarkEntries(b *testing.B) {
	toc := forest("top", 1_000_000)
	b.SetBytes(1_000_000)
	for b.Loop() {
		n := 0
		for range toc.Entries() {
			n++
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, size := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := make(layer, size)
			names := make([]string, size)
			for i := range l {
				names[i] = fmt.Sprintf("module%d.js", i)
				l[i] = file(names[i], "C")
			}
			m := merge(b, l)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, ok := m.Lookup(tree.Root, names[i]); !ok {
					b.Fatal(names[i])
				}
				if i += 7; i >= size {
					i -= size
				}
			}
		})
	}
}

// BenchmarkReaddir reads every directory of a tree of 100,000 files, with the
// attributes of what is in it.
func BenchmarkReaddir(b *testing.B) {
	m, err := tree.Merge([]*index.TOC{forest("top", 100_000)})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(m.Len()))
	b.ReportAllocs()
	for b.Loop() {
		total := 0
		for n := tree.Root; int(n) < m.Len(); n++ {
			if !m.IsDir(n) {
				continue
			}
			for i, count := m.Dirents(n); count > 0; i, count = i+1, count-1 {
				name, child := m.Dirent(i)
				total += len(name) + int(m.Attr(child).Nlink)
			}
		}
		if total == 0 {
			b.Fatal("nothing is there")
		}
	}
}
