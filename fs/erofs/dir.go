package erofs

import (
	"encoding/binary"
	"iter"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/tree"
)

// A directory is a list of blocks. Each has the entries of struct erofs_dirent,
// 12 bytes, and then their names, in the same order; a name ends where the next
// one begins, the last one at a zero or the end of the block. Names are sorted by
// their bytes throughout, "." and ".." among them, and each block is as full as
// it can be.
const direntSize = 12

// entries are the names of a directory, in order.
func entries(t *tree.Tree, dir tree.Node) iter.Seq2[string, tree.Node] {
	return func(yield func(string, tree.Node) bool) {
		dots := []string{".", ".."}
		dot := func(name string) bool {
			if name == "." {
				return yield(name, dir)
			}
			return yield(name, t.Parent(dir))
		}
		first, count := t.Dirents(dir)
		for i := first; i < first+count; i++ {
			name, n := t.Dirent(i)
			for len(dots) > 0 && dots[0] < name {
				if !dot(dots[0]) {
					return
				}
				dots = dots[1:]
			}
			if !yield(name, n) {
				return
			}
		}
		for _, name := range dots {
			if !dot(name) {
				return
			}
		}
	}
}

// dirSize is the size of a directory: its blocks, the last one without what is
// behind its names.
func dirSize(t *tree.Tree, dir tree.Node) int64 {
	full, used := int64(0), 0
	for name := range entries(t, dir) {
		need := direntSize + len(name)
		if used+need > blockSize {
			full, used = full+1, 0
		}
		used += need
	}
	return full*blockSize + int64(used)
}

// A dirWriter makes directory blocks. It is for one goroutine.
type dirWriter struct {
	l     *Layout
	block [blockSize]byte
	names []string // of the block at hand
	nodes []tree.Node
}

// blocks are a directory's. One is blockSize long, with zeros at its end, but for
// the last, which ends with its names. It is overwritten by the next.
func (w *dirWriter) blocks(dir tree.Node) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		used := 0
		for name, n := range entries(w.l.tree, dir) {
			need := direntSize + len(name)
			if used+need > blockSize {
				w.encode()
				if !yield(w.block[:]) {
					return
				}
				used = 0
			}
			used += need
			w.names, w.nodes = append(w.names, name), append(w.nodes, n)
		}
		yield(w.encode())
	}
}

// encode makes a block of the names at hand, and forgets them.
func (w *dirWriter) encode() []byte {
	le := binary.LittleEndian
	at := direntSize * len(w.names)
	for i, name := range w.names {
		e := w.block[i*direntSize:]
		le.PutUint64(e, w.l.Inode(w.nodes[i]))
		le.PutUint16(e[8:], uint16(at))
		e[10], e[11] = fileType(w.l.tree.Attr(w.nodes[i]).Mode), 0
		at += copy(w.block[at:], name)
	}
	clear(w.block[at:])
	w.names, w.nodes = w.names[:0], w.nodes[:0]
	return w.block[:at]
}

func fileType(mode uint32) byte {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return typeDir
	case unix.S_IFLNK:
		return typeSymlink
	case unix.S_IFCHR:
		return typeChar
	case unix.S_IFBLK:
		return typeBlock
	case unix.S_IFIFO:
		return typeFIFO
	}
	return typeRegular
}
