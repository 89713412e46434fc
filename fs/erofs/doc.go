// Package erofs shows a tree through the kernel's own EROFS: a second face
// beside package fs, of the same files.
//
// [Mount] writes all of a tree but contents as an EROFS image, which the kernel
// reads as it reads a disk's: names, attributes, links, directories and extended
// attributes it then answers without asking anybody. Contents lie on a second
// device of that file system, which is one file that package fs serves: each
// regular file is a run of whole blocks of it, filled from the [fs.Source] when
// the kernel reads there.
//
//	          ┌ image: a file without a name, on a disk
//	EROFS ────┤
//	(kernel)  └ device: a file on a FUSE mount that is in no mount table ── fs.Server ── fs.Source
//
// The FUSE mount is held by nothing but the EROFS mount. When that is unmounted
// and its last user gone, the kernel closes the connection, and the server ends:
// there is one mount to take down, however one does it. The image has no name,
// so nothing is left of it either, even of a process that was killed.
//
// # Layout
//
// A [Layout] is a pure function of the tree: one image has the same bytes, and
// the same device, on every machine, every time. So another process can serve
// the device of a mount that it didn't make.
//
//	block 0    1 KiB of nothing, the superblock, the device's entry
//	block 1…   inodes, in the order of nodes; each with its extended attributes
//	           and, if they fit into a block, its last directory block, its link
//	           target or its map of holes
//	then       blocks of large directories, and of link targets that don't fit
//
// All inodes are of the extended form, 64 bytes, as the compact one has neither
// times nor large owners. An EROFS inode's number is where it lies, so package fs
// is told the same numbers (Layout.Inode) and a file has one inode number in both
// faces.
//
// The device lies behind the image in the address space of blocks, so that a
// regular file is one block number, without a map. Files are laid out in the
// order in which layers have them: who reads a file has its neighbours read
// ahead, out of the same chunk. A sparse file has a map of its holes, and lies in
// the device with them.
//
// The format is described in Documentation/filesystems/erofs.rst and
// fs/erofs/erofs_fs.h of Linux.
//
// # What differs from package fs
//
// A directory's size is that of its entries and not always 4096, and sparse files
// take as many blocks as they would without holes. POSIX ACLs are heeded by the
// kernel here, and only shown there. What EROFS can't show is an [ErrUnfit].
package erofs
