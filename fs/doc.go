// Package fs shows a tree as a read-only FUSE file system.
//
// A mount is made in two steps. [Attach] makes the kernel's side: it opens
// /dev/fuse and mounts it on a directory, with mount(2) as root and through
// fusermount3 otherwise. What it returns, a [Conn], is a mount that answers
// nothing yet; whoever looks into it waits. [Serve] answers, from a [Source]:
// the tree of an image and its bytes. [Mount] is both.
//
// The file system is small because the tree is immutable:
//
//   - A FUSE node id is the node's position in the tree plus one, and so is the
//     inode number, unless Options.Inode gives another, as package erofs does
//     for both faces. The numbers are the same on every mount of an image, a
//     server knows each of them without having been asked before, and FORGET
//     has nothing to do.
//   - Nothing changes, so the kernel may keep all it has learned: names, their
//     absence, attributes, directories, symbolic links and file contents. What
//     was looked at once is not asked for again.
//   - Opening a file or a directory needs no answer. OPEN and OPENDIR get
//     ENOSYS, after which the kernel doesn't ask; there are no file handles.
//   - The kernel checks permissions, by the attributes it has.
//
// So a server keeps no state that a second process could not rebuild from the
// image, and there are no locks between requests. What costs time is reading:
// each READ is one [Source.ReadAt] into the buffer that goes to the kernel. It
// succeeds whole or fails whole with EIO, since the kernel takes a short answer
// for the end of the file; a failure is not remembered, and the next read tries
// again. An interrupted read goes on, for the next reader.
//
// [MountBeneath] serves a mount that is attached nowhere, for another file system
// to read from: package erofs is a second face that way.
//
// A process must never touch a mount it serves, not even to look whether it is
// there: the answer would have to come from itself. Where mounts are is
// therefore learned from /proc/self/mountinfo and never from stat(2).
package fs
