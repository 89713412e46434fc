package index

import "time"

// File types, as st_mode has them (inode(7)). Entry.Mode carries one of
// these beside the permission bits.
const (
	ModeType    = 0o170000 // S_IFMT: the mask of the bits below
	ModeFIFO    = 0o010000
	ModeChar    = 0o020000
	ModeDir     = 0o040000
	ModeBlock   = 0o060000
	ModeRegular = 0o100000
	ModeSymlink = 0o120000
	ModePerm    = 0o007777 // permissions, setuid, setgid, sticky
)

// An Entry is one member of a layer's tar archive: what a tree needs to show
// it, and where in the decoded space its content lies. It is a plain value;
// its strings and slices are shared and must not be written to.
type Entry struct {
	// Name is the path inside the image's root: slash-separated, cleaned,
	// without a leading or trailing slash, and never above the root; "" is
	// the root itself. Its bytes are the archive's and need not be UTF-8.
	// Whiteouts keep their name (".wh.x"): what they mean is the tree's
	// business.
	Name string

	// Mode is st_mode: a file type (ModeType) and permissions (ModePerm).
	// For a hard link it is what the archive said, which may be anything.
	Mode uint32

	UID, GID     uint32
	Major, Minor uint32    // device number, for ModeChar and ModeBlock
	ModTime      time.Time // UTC, to the nanosecond

	// HardLink says that this is another name for the entry at Link, in this
	// layer or a lower one.
	HardLink bool

	// Link is a symbolic link's target, verbatim, or, for a hard link, the
	// target's path in the form of Name.
	Link string

	Xattrs []Xattr // sorted by name; nil if there are none

	// Size is st_size: the length of a regular file's content, holes
	// included; 0 for everything else.
	Size int64

	// Off is where the content begins in the decoded space. It is one run of
	// bytes: all Size bytes, or, if Data is set, the file's data extents one
	// after another, without the holes between them.
	Off int64

	// Data lists the data extents of a sparse file, in order, not
	// overlapping, within Size; all else is a hole and reads as zeros.
	// nil: the whole file is data. Empty but not nil: the whole file is a
	// hole.
	Data []Extent
}

// An Extent is a run of bytes within a file.
type Extent struct{ Off, Len int64 }

// An Xattr is one extended attribute, as the archive has it.
type Xattr struct{ Name, Value string }
