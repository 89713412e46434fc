package tree_test

import (
	"fmt"
	"testing"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

func check(t *testing.T, m *tree.Tree) {
	t.Helper()
	if err := invariants(m); err != nil {
		t.Error(err)
	}
}

// invariants looks for whatever no tree may have.
func invariants(m *tree.Tree) error {
	type link struct {
		dir  tree.Node
		name string
	}
	first := make([]link, m.Len()) // the first name of each node
	names := make([]uint32, m.Len())
	next, dirent := tree.Node(1), 0 // the node and the directory entry that must come next
	var bytes uint64
	for n := tree.Root; int(n) < m.Len(); n++ {
		if n >= next {
			return fmt.Errorf("node %d has no name", n)
		}
		for _, x := range m.Data(n).Extents {
			bytes += uint64(x.Len)
		}
		if m.Data(n).Extents == nil {
			bytes += uint64(m.Data(n).Size)
		}
		if !m.IsDir(n) {
			continue
		}
		from, count := m.Dirents(n)
		if from != dirent {
			return fmt.Errorf("entries of node %d begin at %d, want %d", n, from, dirent)
		}
		before, subdirs := "", uint32(0)
		for ; dirent < from+count; dirent++ {
			name, child := m.Dirent(dirent)
			if name <= before {
				return fmt.Errorf("node %d: %q stands behind %q", n, name, before)
			}
			before = name
			if got, ok := m.Lookup(n, name); !ok || got != child {
				return fmt.Errorf("node %d: lookup of %q gives %d, %v, want %d", n, name, got, ok, child)
			}
			switch {
			case child > next:
				return fmt.Errorf("node %d comes before node %d", child, next)
			case child == next:
				first[next] = link{n, name}
				next++
			case m.IsDir(child):
				return fmt.Errorf("directory %d has a second name, %q", child, name)
			}
			names[child]++
			if m.IsDir(child) {
				subdirs++
			}
		}
		if got := m.Attr(n).Nlink; got != 2+subdirs {
			return fmt.Errorf("node %d: %d links, %d subdirectories", n, got, subdirs)
		}
	}
	if files, got := m.Usage(); files != uint64(m.Len()) || got != bytes {
		return fmt.Errorf("usage is %d, %d; want %d, %d", files, got, m.Len(), bytes)
	}
	for n := tree.Root + 1; int(n) < m.Len(); n++ {
		if m.Parent(n) != first[n].dir {
			return fmt.Errorf("node %d: parent is %d, want %d", n, m.Parent(n), first[n].dir)
		}
		path := first[n].name
		if p := m.Path(first[n].dir); p != "" {
			path = p + "/" + path
		}
		if m.Path(n) != path {
			return fmt.Errorf("node %d: path is %q, want %q", n, m.Path(n), path)
		}
		if a := m.Attr(n); a.Mode&index.ModeType == 0 || !m.IsDir(n) && a.Nlink != names[n] {
			return fmt.Errorf("node %d: mode %#o, %d links, %d names", n, a.Mode, a.Nlink, names[n])
		}
	}
	if m.Path(tree.Root) != "" || m.Parent(tree.Root) != tree.Root || !m.IsDir(tree.Root) {
		return fmt.Errorf("the root is in %d, called %q", m.Parent(tree.Root), m.Path(tree.Root))
	}
	return nil
}
