package tree

import (
	"encoding/binary"
	"strings"

	"ocifs.dev/ocifs/index"
)

// A set of extended attributes is kept once, however many nodes have it:
// uvarint count, then per attribute uvarint length, name, uvarint length,
// value.

// HasXattrs says whether any node has extended attributes.
func (t *Tree) HasXattrs() bool { return t.xattr != nil }

// Xattrs are n's extended attributes, sorted by name.
func (t *Tree) Xattrs(n Node) []index.Xattr {
	if t.xattr == nil || t.xattr[n] == 0 {
		return nil
	}
	return decodeSet(t.xattrs[t.sets[t.xattr[n]]:])
}

// decodeSet is the set that s begins with.
func decodeSet(s string) []index.Xattr {
	count := uvarint(&s)
	list := make([]index.Xattr, count)
	for i := range list {
		list[i].Name = cut(&s)
		list[i].Value = cut(&s)
	}
	return list
}

// cut takes a string with its length off the front of s.
func cut(s *string) string {
	n := uvarint(s)
	v := (*s)[:n]
	*s = (*s)[n:]
	return v
}

func uvarint(s *string) uint64 {
	v := uint64(0)
	for i := 0; ; i++ {
		b := (*s)[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			*s = (*s)[i+1:]
			return v
		}
	}
}

// appendXattrs appends the set of those attributes that a mount may show of a
// file of that type.
func appendXattrs(b []byte, typ uint32, list []index.Xattr) []byte {
	shown := make([]index.Xattr, 0, len(list))
	for i := range list {
		if !hiddenXattr(typ, list[i].Name) {
			shown = append(shown, list[i])
		}
	}
	return appendSet(b, shown)
}

// appendSet appends a set, which is nothing if it is empty.
func appendSet(b []byte, list []index.Xattr) []byte {
	if len(list) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		b = appendString(appendString(b, list[i].Name), list[i].Value)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// hiddenXattr says that an attribute is not for images to set, as it belongs
// to the host's root or speaks to an overlayfs that is mounted on top of us, or
// that no file system of Linux has the like of it, so that unpacking would
// have lost it too: macOS leaves "com.apple.provenance" in archives, and the
// kernel lets only files and directories have a user's, whatever a file system
// lists.
func hiddenXattr(typ uint32, name string) bool {
	switch namespace, rest, _ := strings.Cut(name, "."); namespace {
	case "user":
		return typ != index.ModeRegular && typ != index.ModeDir || strings.HasPrefix(rest, "overlay.")
	case "security":
		return false
	case "system":
		switch rest {
		case "posix_acl_access":
			return typ == index.ModeSymlink
		case "posix_acl_default":
			return typ != index.ModeDir
		}
	}
	return true
}
