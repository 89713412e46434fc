package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"ocifs.dev/ocifs/fs/tree"
)

// A directory is read as a list: "." at 0, ".." at 1, then the entries as the
// tree has them. The offset that goes with a name is the place of the next
// one, so that seekdir(3) is an index.
const dots = 2

// ReadDir lists names and types.
func (v *view) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	v.count.add(opReaddir)
	return v.list(in, func(e fuse.DirEntry, n tree.Node, dot bool) bool {
		return out.AddDirEntry(e)
	})
}

// ReadDirPlus lists names and all that Lookup tells of them, but for "." and
// "..", which the kernel knows.
func (v *view) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	v.count.add(opReaddirplus)
	return v.list(in, func(e fuse.DirEntry, n tree.Node, dot bool) bool {
		o := out.AddDirLookupEntry(e)
		if o != nil && !dot {
			v.entry(n, o)
		}
		return o != nil
	})
}

// list calls add for each name from in.Offset on, until it has no more room.
func (v *view) list(in *fuse.ReadIn, add func(e fuse.DirEntry, n tree.Node, dot bool) bool) fuse.Status {
	dir, ok := v.node(in.NodeId)
	if !ok {
		return errStale
	}
	if !v.tree.IsDir(dir) {
		return fuse.ENOTDIR
	}
	first, count := v.tree.Dirents(dir)
	for i := in.Offset; i < uint64(count)+dots; i++ {
		name, n := "", dir
		switch i {
		case 0:
			name = "."
		case 1:
			name, n = "..", v.tree.Parent(dir)
		default:
			name, n = v.tree.Dirent(first + int(i) - dots)
		}
		e := fuse.DirEntry{Name: name, Mode: v.tree.Attr(n).Mode, Ino: v.inode(n), Off: i + 1}
		if !add(e, n, i < dots) {
			break
		}
	}
	return fuse.OK
}
