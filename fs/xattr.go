package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Extended attributes. Both methods are asked first with no room, for the size,
// and answer ERANGE with it; go-fuse makes a success of that.

// GetXAttr copies one attribute. If the tree has none at all the kernel is
// told so once, and asks no more: else every ls -l would ask twice for each
// file, and nobody keeps the answers.
func (v *view) GetXAttr(_ <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	v.count.add(opGetxattr)
	n, ok := v.node(in.NodeId)
	if !ok {
		return 0, errStale
	}
	if !v.tree.HasXattrs() {
		return 0, fuse.ENOSYS
	}
	for _, x := range v.tree.Xattrs(n) {
		if x.Name != name {
			continue
		}
		if len(dest) < len(x.Value) {
			return uint32(len(x.Value)), fuse.ERANGE
		}
		return uint32(copy(dest, x.Value)), fuse.OK
	}
	return 0, fuse.ENODATA
}

// ListXAttr copies the names, each with a NUL behind it. It answers for a tree
// without any, too: who asks for a list (tar, rsync, cp) reports a file system
// that has no lists as an error, for each file.
func (v *view) ListXAttr(_ <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	v.count.add(opListxattr)
	n, ok := v.node(in.NodeId)
	if !ok {
		return 0, errStale
	}
	xattrs := v.tree.Xattrs(n)
	size := 0
	for _, x := range xattrs {
		size += len(x.Name) + 1
	}
	if len(dest) < size {
		return uint32(size), fuse.ERANGE
	}
	for _, x := range xattrs {
		dest[copy(dest, x.Name)] = 0
		dest = dest[len(x.Name)+1:]
	}
	return uint32(size), fuse.OK
}
