package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"golang.org/x/sys/unix"
	"ocifs.dev/ocifs/fs/tree"
)

// forever is how long the kernel may keep what it learned, in seconds: a year.
// It asks again after, and gets the same answer.
const forever = 365 * 24 * 60 * 60

const (
	blockSize = 4096            // st_blksize, and what a file's data is rounded up to
	perBlock  = blockSize / 512 // st_blocks counts units of 512 bytes
	dirSize   = blockSize       // st_size of every directory, as a small one has on ext4
)

// entry fills in what LOOKUP and READDIRPLUS tell of n.
func (v *view) entry(n tree.Node, out *fuse.EntryOut) {
	out.NodeId = n.Inode()
	out.EntryValid = forever
	out.AttrValid = forever
	v.attr(n, &out.Attr)
}

// attr fills in what stat(2) shows of n.
func (v *view) attr(n tree.Node, out *fuse.Attr) {
	a := v.tree.Attr(n)
	out.Ino = v.inode(n)
	out.Mode = a.Mode
	out.Nlink = a.Nlink
	out.Uid, out.Gid = a.UID, a.GID
	if v.owner != nil {
		out.Owner = *v.owner
	}
	out.Mtime, out.Mtimensec = uint64(a.Sec), a.Nsec // negative seconds wrap, and the kernel wraps them back
	out.Atime, out.Atimensec = out.Mtime, out.Mtimensec
	out.Ctime, out.Ctimensec = out.Mtime, out.Mtimensec
	out.Blksize = blockSize
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		out.Size = uint64(a.Size)
		out.Blocks = v.blocks(n)
	case unix.S_IFDIR:
		out.Size = dirSize
		out.Blocks = dirSize / 512
	case unix.S_IFLNK:
		out.Size = uint64(a.Size)
	case unix.S_IFCHR, unix.S_IFBLK:
		out.Rdev = encodeDevice(a.Major, a.Minor)
	}
}

// blocks is st_blocks of a regular file: its data, without the holes.
func (v *view) blocks(n tree.Node) uint64 {
	d := v.tree.Data(n)
	bytes := d.Size
	if d.Extents != nil {
		bytes = 0
		for _, x := range d.Extents {
			bytes += x.Len
		}
	}
	return uint64((bytes+blockSize-1)/blockSize) * perBlock
}

// encodeDevice packs a device number as the kernel does between itself and
// user space (new_encode_dev): the low 8 bits of the minor number, 12 of the
// major, the high 12 of the minor.
func encodeDevice(major, minor uint32) uint32 {
	return minor&0xff | major&0xfff<<8 | minor&^0xff<<12
}
