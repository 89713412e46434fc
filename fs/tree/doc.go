// Package tree makes one file system of an image's layers: a [Tree], which is
// built whole by [Merge] and never changes afterwards.
//
// # What a tree shows
//
// What unpacking the layers in order would show, base first: an upper layer's
// entry replaces what stood at its name, a directory laid over a directory
// gives it its attributes and keeps its children, a whiteout (.wh.x) hides x,
// an opaque marker (.wh..wh..opq) hides all of its directory. Whiteouts and
// markers act on the layers below only, wherever they stand in their own, and
// only hide: a directory that is missing isn't made for them. Where unpackers
// differ:
//
//   - An entry below a symbolic link of a lower layer replaces the link by a
//     directory, as it does wherever layers are stacked by overlayfs. Below a
//     link of its own layer it goes where the link points, inside the root.
//   - An entry below any other file turns that file into a directory.
//   - A hard link shares the inode of its target, which may stand later in the
//     archive or in a lower layer, and may be a symbolic link. What its own
//     header says (mode, owner, time) is ignored. A target that is missing, a
//     directory, or the link itself is an error.
//   - Of several entries with one name in a layer the last one counts; a hard
//     link made meanwhile keeps what it was linked to.
//   - A parent directory that no layer has an entry for is 0755 root:root, its
//     time the Unix epoch; one that exists keeps its attributes.
//   - No visible name begins with ".wh.". What stands below such a name can be
//     the target of a hard link in its layer (AUFS kept hard links that way)
//     and is gone after that.
//   - Extended attributes that would steer an overlayfs above the mount, and
//     all of the trusted namespace, are dropped.
//
// Names are never resolved by the host's kernel; ".." stays inside the root.
//
// [Single] makes a tree of one layer by itself, as overlayfs stacks layers. A
// [Builder] makes one of others: several images side by side, a part of one,
// files that are in no archive.
//
// # How a tree is kept
//
// A [Node] is an inode, and is numbered by its position in a breadth-first walk
// of the merged tree in which the names of each directory are sorted by their
// bytes, and a file with several names has its place at the first. Nothing
// else goes into the numbers, so one image has the same ones on every machine,
// every time.
//
// All of it lies in a few flat arrays without pointers, some 60 bytes per
// inode with its name, which cost the garbage collector nothing: records by
// node number; directory entries, each directory's side by side; and strings
// that hold all names, all link targets and all extended attributes.
// A lookup is a binary search, an offset in a directory is an index.
package tree
