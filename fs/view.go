package fs

import (
	"log/slog"

	"github.com/hanwen/go-fuse/v2/fuse"

	"ocifs.dev/ocifs/fs/tree"
)

// A view is a tree in the terms of the FUSE protocol: one method for each kind
// of request. It has no state but counters and what the log has told, so its
// methods run side by side, without a lock but for reads that fail. Requests
// it doesn't name get ENOSYS from the embedded default.
type view struct {
	fuse.RawFileSystem

	src  Source
	tree *tree.Tree
	log  *slog.Logger

	inode func(tree.Node) uint64 // what stat(2) shows; a node id says which node is meant
	owner *fuse.Owner            // of every file; nil: the tree says

	direct bool // Options.Direct

	count    counters
	failures failures

	// What the kernel understands: that OPEN and OPENDIR are answered with
	// ENOSYS once and for all. Set by Init, before any other request.
	noOpen, noOpenDir bool
}

func newView(src Source, log *slog.Logger) *view {
	return &view{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		src:           src,
		tree:          src.Tree(),
		log:           log,
		inode:         tree.Node.Inode,
	}
}

// squash gives every file to one user and group. It is for before Serve.
func (v *view) squash(uid, gid int) { v.owner = &fuse.Owner{Uid: uint32(uid), Gid: uint32(gid)} }

func (v *view) String() string { return subtype }

func (v *view) Init(s *fuse.Server) {
	offered := s.KernelSettings().Flags64()
	v.noOpen = offered&fuse.CAP_NO_OPEN_SUPPORT != 0
	v.noOpenDir = offered&fuse.CAP_NO_OPENDIR_SUPPORT != 0
}

// node is the tree's node that a node id stands for.
func (v *view) node(id uint64) (tree.Node, bool) {
	n := id - fuse.FUSE_ROOT_ID
	return tree.Node(n), n < uint64(v.tree.Len())
}

// maxName is NAME_MAX of Linux, without the NUL that ends a name.
const maxName = 255

func (v *view) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	v.count.add(opLookup)
	dir, ok := v.node(in.NodeId)
	if !ok {
		return errStale
	}
	if len(name) > maxName {
		return errLongName
	}
	switch name { // how file handles (open_by_handle_at, NFS, overlayfs) become nodes again, of any type
	case ".":
		v.entry(dir, out)
		return fuse.OK
	case "..":
		v.entry(v.tree.Parent(dir), out)
		return fuse.OK
	}
	if !v.tree.IsDir(dir) {
		return fuse.ENOTDIR
	}
	n, ok := v.tree.Lookup(dir, name)
	if !ok {
		out.EntryValid = forever // node 0: the name is known not to exist
		return fuse.OK
	}
	v.entry(n, out)
	return fuse.OK
}

// Forget does nothing: nodes are known whether they were looked up or not.
func (v *view) Forget(nodeid, nlookup uint64) {}

func (v *view) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	v.count.add(opGetattr)
	n, ok := v.node(in.NodeId)
	if !ok {
		return errStale
	}
	out.AttrValid = forever
	v.attr(n, &out.Attr)
	return fuse.OK
}

func (v *view) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	v.count.add(opReadlink)
	n, ok := v.node(in.NodeId)
	if !ok {
		return nil, errStale
	}
	return []byte(v.tree.Readlink(n)), fuse.OK
}

// Open says that opening needs no answer. A kernel that doesn't know this
// answer (before 3.16) gets one, each time.
func (v *view) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	v.count.add(opOpen)
	if in.Flags&fuse.O_ANYWRITE != 0 {
		return fuse.EROFS
	}
	if v.direct {
		out.OpenFlags = fuse.FOPEN_DIRECT_IO
		return fuse.OK
	}
	if v.noOpen {
		return fuse.ENOSYS
	}
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

// OpenDir is Open for directories; the kernels that know are those since 5.1.
func (v *view) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	v.count.add(opOpendir)
	if v.noOpenDir {
		return fuse.ENOSYS
	}
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_CACHE_DIR
	return fuse.OK
}

// StatFs describes a device that is exactly full.
func (v *view) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	v.count.add(opStatfs)
	files, bytes := v.tree.Usage()
	out.Bsize, out.Frsize = blockSize, blockSize
	out.Blocks = (bytes + blockSize - 1) / blockSize
	out.Files = files
	out.NameLen = maxName
	return fuse.OK
}

// Ioctl declines: there are none.
func (v *view) Ioctl(_ <-chan struct{}, _ *fuse.IoctlIn, _ []byte, _ *fuse.IoctlOut, _ []byte) fuse.Status {
	v.count.add(opOther)
	return errNoIoctl
}

// Flush, Fsync, FsyncDir and Access are declined for good by ENOSYS: the kernel
// takes them for done and never sends them again.
func (v *view) Flush(_ <-chan struct{}, _ *fuse.FlushIn) fuse.Status {
	v.count.add(opOther)
	return fuse.ENOSYS
}

func (v *view) Fsync(_ <-chan struct{}, _ *fuse.FsyncIn) fuse.Status {
	v.count.add(opOther)
	return fuse.ENOSYS
}

func (v *view) FsyncDir(_ <-chan struct{}, _ *fuse.FsyncIn) fuse.Status {
	v.count.add(opOther)
	return fuse.ENOSYS
}

func (v *view) Access(_ <-chan struct{}, _ *fuse.AccessIn) fuse.Status {
	v.count.add(opOther)
	return fuse.ENOSYS
}
