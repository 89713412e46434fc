package erofs

import (
	"encoding/binary"
	"fmt"
	"strings"

	"ocifs.dev/ocifs/index"
)

// Extended attributes follow their inode: a header of struct
// erofs_xattr_ibody_header, 12 bytes, all zero here as nothing is shared and
// there is no filter of names, and then for each attribute struct
// erofs_xattr_entry, 4 bytes, its name without what stands for its namespace, and
// its value, up to a multiple of 4.
const (
	xattrHeader = 12
	xattrEntry  = 4
	xattrAlign  = 4

	maxXattrValue = 1<<16 - 1                              // e_value_size; Linux allows one byte more
	maxXattrs     = xattrHeader + xattrAlign*((1<<16-1)-1) // what xattrCount can say
)

// namespaces are the beginnings of names that a number stands for.
var namespaces = []struct {
	prefix string
	index  byte
}{
	{"user.", 1},
	{aclAccess, 2}, // a whole name
	{aclDefault, 3},
	{"trusted.", 4},
	{"security.", 6},
}

// cutNamespace splits a name.
func cutNamespace(name string) (index byte, rest string, ok bool) {
	for _, ns := range namespaces {
		rest, ok = strings.CutPrefix(name, ns.prefix)
		if ok && (ns.prefix[len(ns.prefix)-1] == '.') == (rest != "") {
			return ns.index, rest, true
		}
	}
	return 0, "", false
}

// xattrCount is what an inode says of the size of its attributes.
func xattrCount(size int) uint16 {
	if size == 0 {
		return 0
	}
	return uint16((size-xattrHeader)/xattrAlign + 1)
}

// xattrSize is how many bytes the attributes take. The error is an ErrUnfit.
func xattrSize(list []index.Xattr) (int, error) {
	if len(list) == 0 {
		return 0, nil
	}
	size := xattrHeader
	for _, x := range list {
		_, rest, ok := cutNamespace(x.Name)
		switch {
		case !ok || len(rest) > 255:
			return 0, fmt.Errorf("%w: attribute %q", ErrUnfit, x.Name)
		case len(x.Value) > maxXattrValue:
			return 0, fmt.Errorf("%w: attribute %q has %d bytes", ErrUnfit, x.Name, len(x.Value))
		case isACL(x.Name) && !validACL(x.Value):
			return 0, fmt.Errorf("%w: attribute %q is no list that Linux would return as it is", ErrUnfit, x.Name)
		}
		size += align(xattrEntry+len(rest)+len(x.Value), xattrAlign)
	}
	if size > maxXattrs {
		return 0, fmt.Errorf("%w: %d bytes of attributes", ErrUnfit, size)
	}
	return size, nil
}

// appendXattrs appends the attributes, of which xattrSize has said that they fit.
func appendXattrs(b []byte, list []index.Xattr) []byte {
	if len(list) == 0 {
		return b
	}
	begin := len(b)
	b = append(b, make([]byte, xattrHeader)...)
	for _, x := range list {
		ns, rest, _ := cutNamespace(x.Name)
		b = append(b, byte(len(rest)), ns)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(x.Value)))
		b = append(append(b, rest...), x.Value...)
		for (len(b)-begin)%xattrAlign != 0 {
			b = append(b, 0)
		}
	}
	return b
}

// align rounds n up to a multiple of unit, a power of two.
func align[T int | int64](n, unit T) T { return (n + unit - 1) &^ (unit - 1) }
