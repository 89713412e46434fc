package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// Every request that would change something is refused with EROFS. The kernel
// refuses them itself while the mount is read-only; these are for a mount that
// someone has remounted.

func (v *view) SetAttr(_ <-chan struct{}, _ *fuse.SetAttrIn, _ *fuse.AttrOut) fuse.Status {
	return fuse.EROFS
}

func (v *view) Mknod(_ <-chan struct{}, _ *fuse.MknodIn, _ string, _ *fuse.EntryOut) fuse.Status {
	return fuse.EROFS
}

func (v *view) Mkdir(_ <-chan struct{}, _ *fuse.MkdirIn, _ string, _ *fuse.EntryOut) fuse.Status {
	return fuse.EROFS
}

func (v *view) Unlink(_ <-chan struct{}, _ *fuse.InHeader, _ string) fuse.Status {
	return fuse.EROFS
}

func (v *view) Rmdir(_ <-chan struct{}, _ *fuse.InHeader, _ string) fuse.Status {
	return fuse.EROFS
}

func (v *view) Rename(_ <-chan struct{}, _ *fuse.RenameIn, _, _ string) fuse.Status {
	return fuse.EROFS
}

func (v *view) Link(_ <-chan struct{}, _ *fuse.LinkIn, _ string, _ *fuse.EntryOut) fuse.Status {
	return fuse.EROFS
}

func (v *view) Symlink(_ <-chan struct{}, _ *fuse.InHeader, _, _ string, _ *fuse.EntryOut) fuse.Status {
	return fuse.EROFS
}

func (v *view) SetXAttr(_ <-chan struct{}, _ *fuse.SetXAttrIn, _ string, _ []byte) fuse.Status {
	return fuse.EROFS
}

func (v *view) RemoveXAttr(_ <-chan struct{}, _ *fuse.InHeader, _ string) fuse.Status {
	return fuse.EROFS
}

func (v *view) Create(_ <-chan struct{}, _ *fuse.CreateIn, _ string, _ *fuse.CreateOut) fuse.Status {
	return fuse.EROFS
}

func (v *view) Tmpfile(_ <-chan struct{}, _ *fuse.CreateIn, _ *fuse.CreateOut) fuse.Status {
	return fuse.EROFS
}

func (v *view) Write(_ <-chan struct{}, _ *fuse.WriteIn, _ []byte) (uint32, fuse.Status) {
	return 0, fuse.EROFS
}

func (v *view) Writev(_ <-chan struct{}, _ *fuse.WriteIn, _ [][]byte) (uint32, fuse.Status) {
	return 0, fuse.EROFS
}

func (v *view) CopyFileRange(_ <-chan struct{}, _ *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	return 0, fuse.EROFS
}

func (v *view) Fallocate(_ <-chan struct{}, _ *fuse.FallocateIn) fuse.Status {
	return fuse.EROFS
}
