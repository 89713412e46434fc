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
//	           and its map of contents or, if they fit into a block, its last
//	           directory block or its link's target
//	then       blocks of large directories, and of link targets that don't fit
//
// All inodes are of the extended form, 64 bytes, as the compact one has neither
// times nor large owners. An EROFS inode's number is where it lies, so package fs
// is told the same numbers (Layout.Inode) and a file has one inode number in both
// faces.
//
// A regular file has a map of one entry, which says where on the device it lies:
// its chunk is as large as it is. A sparse file has one for each of so many chunks
// that its holes can be told, and lies on the device with them. Files are laid out
// in the order in which layers have them, so that what is read ahead behind one
// comes out of the same piece of a layer.
//
// (The kernel could have the device behind the image in one space of addresses,
// and then do without these maps. But it asks for such contents page by page.)
//
// The format is described in Documentation/filesystems/erofs.rst and
// fs/erofs/erofs_fs.h of Linux.
//
// # What differs from package fs
//
// A directory's size is that of its entries and not always 4096, and sparse files
// take as many blocks as they would without holes. To statfs(2), there is room for
// inodes without end. POSIX ACLs are heeded by the kernel here, and only shown
// there. What EROFS can't show is an [ErrUnfit].
package erofs
