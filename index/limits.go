package index

import (
	"errors"
	"fmt"
	"math"
	"path"
	"strings"
)

// Limits bound what a layer may ask for. A field that is 0 means its default.
type Limits struct {
	Entries int   // members of one layer; default 16 Mi (some 0.5 GiB of TOC)
	Decoded int64 // bytes of one decoded space; default 1 TiB
	Ratio   int64 // decoded bytes per byte of the blob, beyond the first GiB; default 2048
	Xattrs  int   // extended attributes of one entry; default 1024
	Extents int   // data extents of one sparse file; default 1 Mi
	Window  int64 // memory a zstd frame may ask for; default 128 MiB
	TOC     int64 // bytes of a table of contents that a layer brings, encoded or not; default 150 MiB
	Chunk   int64 // bytes of one of the chunks that it tells of, 1 GiB at most; default 32 MiB
}

// What Linux allows, and with it any unpacker.
const (
	maxPath      = 4095    // PATH_MAX, without its NUL
	maxComponent = 255     // NAME_MAX
	maxXattr     = 1 << 16 // XATTR_SIZE_MAX
	maxMajor     = 1<<12 - 1
	maxMinor     = 1<<20 - 1
)

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set64 := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Entries, 16<<20)
	set64(&l.Decoded, 1<<40)
	set64(&l.Ratio, 2048) // DEFLATE can't pass 1032
	set(&l.Xattrs, 1024)
	set(&l.Extents, 1<<20)
	set64(&l.Window, 128<<20)
	set64(&l.TOC, 150<<20)
	set64(&l.Chunk, 32<<20)
	l.Chunk = min(l.Chunk, maxPart)
	return l
}

// decoded says whether a layer may have decoded bytes after taking blob bytes.
func (l Limits) decoded(decoded, blob int64) error {
	if decoded > l.Decoded {
		return fmt.Errorf("%w: the layer decodes to more than %d bytes", ErrLimit, l.Decoded)
	}
	if decoded > 1<<30 && decoded/l.Ratio > blob {
		return fmt.Errorf("%w: %d bytes of the layer decode to more than %d", ErrLimit, blob, decoded)
	}
	return nil
}

// check says whether an entry could exist on a file system.
func (l Limits) check(e *Entry) error {
	switch {
	case e.Name == "" && (e.HardLink || e.Mode&ModeType != ModeDir):
		return errors.New("the root is not a directory")
	case len(e.Name) > maxPath:
		return fmt.Errorf("a name of %d bytes", len(e.Name))
	case len(e.Link) > maxPath:
		return fmt.Errorf("a link of %d bytes", len(e.Link))
	case e.Link == "" && (e.HardLink || e.Mode&ModeType == ModeSymlink):
		return errors.New("a link to nothing")
	case e.Major > maxMajor || e.Minor > maxMinor:
		return fmt.Errorf("a device %d:%d", e.Major, e.Minor)
	case len(e.Xattrs) > l.Xattrs:
		return fmt.Errorf("%w: %d extended attributes", ErrLimit, len(e.Xattrs))
	case len(e.Data) > l.Extents:
		return fmt.Errorf("%w: %d extents", ErrLimit, len(e.Data))
	}
	return checkParts(e)
}

func checkParts(e *Entry) error {
	for part := range strings.SplitSeq(e.Name, "/") {
		if len(part) > maxComponent {
			return fmt.Errorf("a name of %d bytes", len(part))
		}
	}
	for _, x := range e.Xattrs {
		if len(x.Name) > maxComponent || len(x.Name) == 0 {
			return fmt.Errorf("an extended attribute's name of %d bytes", len(x.Name))
		}
		if strings.Contains(x.Name, "\x00") { // C takes the part before it for the name
			return fmt.Errorf("an extended attribute's name with a NUL in it: %q", x.Name)
		}
		if len(x.Value) > maxXattr {
			return fmt.Errorf("an extended attribute of %d bytes", len(x.Value))
		}
	}
	return nil
}

// clean is the path inside the image's root that an archive's name means:
// relative, without empty, "." and ".." parts, and never above the root.
func clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

// isClean says whether name is clean(name).
func isClean(name string) bool {
	for rest, more := name, name != ""; more; {
		var part string
		if part, rest, more = strings.Cut(rest, "/"); part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// id is a user or group number, which tar knows as any int.
func id(v int) (uint32, error) {
	if v < 0 || int64(v) > math.MaxUint32 {
		return 0, fmt.Errorf("an owner numbered %d", v)
	}
	return uint32(v), nil
}
