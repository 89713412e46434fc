package erofs

import (
	"cmp"
	"slices"
	"sort"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/tree"
)

// A space says which regular file lies where on the device. It is immutable.
type space struct {
	start []uint32    // by node: the first block of its content
	files []tree.Node // regular files that have any, in the order of the device
}

func newSpace(t *tree.Tree) *space {
	type file struct {
		off  int64
		node tree.Node
		in   uint32 // layer
	}
	var files []file
	for i := range t.Len() {
		n := tree.Node(i)
		if a := t.Attr(n); a.Mode&unix.S_IFMT == unix.S_IFREG && a.Size > 0 {
			files = append(files, file{t.Data(n).Off, n, uint32(a.Layer)})
		}
	}
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(cmp.Compare(a.in, b.in), cmp.Compare(a.off, b.off), cmp.Compare(a.node, b.node))
	})
	s := &space{start: make([]uint32, t.Len()), files: make([]tree.Node, len(files))}
	next := uint32(0)
	for i, f := range files {
		s.files[i], s.start[f.node] = f.node, next
		next += uint32((t.Attr(f.node).Size-1)>>blockBits + 1)
	}
	return s
}

// at is the index of the file that a block of the device belongs to, or the last
// one that begins before it; -1 if there is none.
func (s *space) at(block uint32) int {
	return sort.Search(len(s.files), func(i int) bool { return s.start[s.files[i]] > block }) - 1
}
