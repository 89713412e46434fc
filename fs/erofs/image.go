package erofs

import (
	"bufio"
	"encoding/binary"
	"io"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/tree"
)

// WriteTo writes the image: Size bytes, the same each time.
func (l *Layout) WriteTo(w io.Writer) (int64, error) { return l.write(w, newSpace(l.tree)) }

func (l *Layout) write(w io.Writer, s *space) (int64, error) {
	i := &imageWriter{l: l, space: s, out: bufio.NewWriterSize(w, 1<<18), dirs: dirWriter{l: l}}
	i.super()
	next := uint32(l.inodeEnd / blockSize)
	for n := range l.nids {
		next += i.inode(tree.Node(n), next)
	}
	i.pad(l.inodeEnd)
	for n := range l.nids {
		i.blocks(tree.Node(n))
	}
	return i.at, i.out.Flush()
}

// An imageWriter is an image on its way out. Errors stay with out, until Flush.
type imageWriter struct {
	l       *Layout
	space   *space
	out     *bufio.Writer
	at      int64 // byte of the image
	dirs    dirWriter
	scratch []byte
	zeros   [blockSize]byte
}

func (i *imageWriter) put(b []byte) {
	n, _ := i.out.Write(b)
	i.at += int64(n)
}

// pad writes zeros up to a byte of the image.
func (i *imageWriter) pad(to int64) {
	for i.at < to {
		before := i.at
		if i.put(i.zeros[:min(to-i.at, blockSize)]); i.at == before {
			return // out has failed
		}
	}
}

func (i *imageWriter) super() {
	var b [metaBlock * blockSize]byte
	s := super{uint16(i.l.nids[tree.Root]), uint64(len(i.l.nids)), i.l.blocks, i.l.dataBlocks}
	s.put(b[:])
	i.put(b[:])
}

// inode writes a node's inode and what follows it. next is the first block of
// the image that is free; it returns how many of those the node takes.
func (i *imageWriter) inode(n tree.Node, next uint32) uint32 {
	t := i.l.tree
	s, _ := shapeOf(t, n) // NewLayout has asked, too
	a := t.Attr(n)
	v := inode{
		layout: s.layout, xattrs: s.xattrs, mode: uint16(a.Mode), size: uint64(s.size),
		ino: i.l.nids[n], uid: a.UID, gid: a.GID, sec: uint64(a.Sec), nsec: a.Nsec, linkCount: a.Nlink,
	}
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFCHR, unix.S_IFBLK:
		v.where = encodeDevice(a.Major, a.Minor)
	case unix.S_IFREG:
		if s.layout == chunkBased {
			v.where = chunkIndexes | uint32(s.chunkBits)
		}
	default:
		if s.blocks > 0 {
			v.where = next
		}
	}
	b := append(i.scratch[:0], make([]byte, inodeSize)...)
	v.put(b)
	b = appendXattrs(b, t.Xattrs(n))
	b = i.appendTail(b, n, &s)
	i.scratch = b
	i.pad(metaBlock*blockSize + int64(i.l.nids[n])*slotSize)
	i.put(b)
	return uint32(s.blocks)
}

// appendTail appends what is inline, or the map of a regular file.
func (i *imageWriter) appendTail(b []byte, n tree.Node, s *shape) []byte {
	switch {
	case s.layout == chunkBased:
		b = append(b, make([]byte, align(len(b), chunkEntry)-len(b))...)
		for k, hole := range s.holes(i.l.tree.Data(n).Extents) {
			device, at := uint64(dataDevice), uint64(i.space.start[n])+uint64(k)<<s.chunkBits
			if hole {
				device, at = 0, nullBlock
			}
			b = binary.LittleEndian.AppendUint64(b, device<<16|at<<32)
		}
	case s.layout != flatInline:
	case i.l.tree.IsDir(n):
		var last []byte
		for last = range i.dirs.blocks(n) {
		}
		b = append(b, last...)
	default:
		b = append(b, i.l.tree.Readlink(n)...)
	}
	return b
}

// blocks writes the blocks that a directory or a link has beside its inode.
func (i *imageWriter) blocks(n tree.Node) {
	s, _ := shapeOf(i.l.tree, n)
	if s.blocks == 0 {
		return
	}
	end := i.at + s.blocks*blockSize
	if i.l.tree.IsDir(n) {
		for b := range i.dirs.blocks(n) {
			if i.at < end {
				i.put(b)
			}
		}
	} else {
		i.put([]byte(i.l.tree.Readlink(n)))
	}
	i.pad(end)
}
