package tree

import (
	"sort"

	"ocifs.dev/ocifs/index"
)

// A Node is a file of a [Tree], whatever its type and however many names it
// has. Nodes are numbered from 0 to Len()-1.
type Node uint32

// Root is the root directory.
const Root Node = 0

// Inode is a number for the node, 1 for the root: its FUSE node id, and its inode
// number where it has no other.
func (n Node) Inode() uint64 { return uint64(n) + 1 }

// A Tree is the file system that an image's layers make together. It is
// immutable and safe for concurrent use. Its methods panic when given a number
// that is no node's, or, where they ask for a directory, not a directory's.
type Tree struct {
	nodes []node
	xattr []uint32 // by node: its set of extended attributes, 0 for none; nil if no node has any

	// Directory entries. Those of one directory are sorted by name, and the
	// directories follow each other in the order of their nodes.
	names   string
	nameOff []uint32 // by entry, and one more: where its name begins in names
	child   []Node   // by entry

	dirs   []Node   // all directories, in order
	others []uint32 // entries that are a further name of a node numbered before, in order

	owners  []owner
	sets    []uint64 // where each set begins in xattrs; set 0 is empty
	xattrs  string   // see xattr.go
	links   string   // the targets of symbolic links
	sparse  []sparse // sorted by node
	extents []index.Extent
	bytes   uint64 // content of all regular files, without holes
}

// A node is what is kept of one inode.
type node struct {
	sec   int64  // modification time
	size  int64  // st_size; of a directory, the number of its entries
	where uint64 // see below
	nsec  uint32
	owner uint32 // index in owners
	nlink uint32
	mode  uint16 // st_mode
	layer uint16
}

// What node.where is depends on the type:
//
//	regular file     offset of its content in the layer's decoded space
//	directory        its first directory entry << 32 | its parent
//	symbolic link    offset of its target in links
//	device           major << 32 | minor
func pair(high, low uint32) uint64     { return uint64(high)<<32 | uint64(low) }
func unpair(v uint64) (uint32, uint32) { return uint32(v >> 32), uint32(v) }

type owner struct{ uid, gid uint32 }

// sparse is the list of a sparse file's data extents.
type sparse struct {
	node     Node
	first, n uint32 // in Tree.extents
}

func (n *node) is(mode uint16) bool { return n.mode&index.ModeType == mode }

// Len is the number of nodes.
func (t *Tree) Len() int { return len(t.nodes) }

// Usage is what statfs(2) tells: the number of inodes, and the bytes of their
// contents, holes not counted.
func (t *Tree) Usage() (files, bytes uint64) { return uint64(len(t.nodes)), t.bytes }

// IsDir says whether n is a directory.
func (t *Tree) IsDir(n Node) bool { return t.nodes[n].is(index.ModeDir) }

// Dirents is the range of dir's entries: n of them, from first on, to be read
// with Dirent.
func (t *Tree) Dirents(dir Node) (first, n int) {
	d := &t.nodes[dir]
	if !d.is(index.ModeDir) {
		panic("tree: not a directory")
	}
	f, _ := unpair(d.where)
	return int(f), int(d.size)
}

// Dirent is the directory entry i.
func (t *Tree) Dirent(i int) (name string, child Node) { return t.name(i), t.child[i] }

func (t *Tree) name(i int) string { return t.names[t.nameOff[i]:t.nameOff[i+1]] }

// Lookup finds the file called name in dir. It knows nothing of "." and "..",
// and finds nothing in what is no directory.
func (t *Tree) Lookup(dir Node, name string) (Node, bool) {
	if !t.IsDir(dir) {
		return 0, false
	}
	first, n := t.Dirents(dir)
	i := first + sort.Search(n, func(i int) bool { return t.name(first+i) >= name })
	if i < first+n && t.name(i) == name {
		return t.child[i], true
	}
	return 0, false
}

// Parent is the directory that n is in; for a file with several names, the
// directory of the first. The root is its own parent.
func (t *Tree) Parent(n Node) Node {
	if t.IsDir(n) {
		_, parent := unpair(t.nodes[n].where)
		return Node(parent)
	}
	return t.holder(t.firstDirent(n))
}

// firstDirent is the directory entry that gave n, which is not the root, its
// number. Nodes are numbered in the order of directory entries, so it is the
// (n-1)th one that isn't among others.
func (t *Tree) firstDirent(n Node) int {
	k := int(n) - 1
	return k + sort.Search(len(t.others), func(j int) bool { return int(t.others[j])-j > k })
}

// holder is the directory that entry i belongs to: the last one whose entries
// don't begin after it.
func (t *Tree) holder(i int) Node {
	j := sort.Search(len(t.dirs), func(j int) bool {
		first, _ := unpair(t.nodes[t.dirs[j]].where)
		return int(first) > i
	})
	return t.dirs[j-1]
}
