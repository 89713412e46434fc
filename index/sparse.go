package index

import (
	"archive/tar"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// archive/tar reads the maps of sparse files and checks them, but shows a file
// without its holes filled in only as a stream of zeros. To read such a file
// at any offset one needs the map, so it is read once more, from the recorded
// headers, and must come to the same sizes. The three forms are described in
// "Storing Sparse Files" of GNU tar's manual.

// The PAX records of sparse files.
const (
	paxMajor = "GNU.sparse.major"
	paxMinor = "GNU.sparse.minor"
	paxMap   = "GNU.sparse.map"
	paxSize  = "size"
)

var errSparse = errors.New("a damaged map of a sparse file")

// sparseData is the list of data extents of the regular file that h tells, or
// nil if it is all data. rec is what archive/tar read of it, from its first
// header block to the last block before its data.
func sparseData(h *tar.Header, rec []byte) ([]Extent, error) {
	major, minor := h.PAXRecords[paxMajor], h.PAXRecords[paxMinor]
	old := h.Typeflag == tar.TypeGNUSparse
	pax1 := major == "1" && minor == "0"
	pax0 := major == "0" && (minor == "0" || minor == "1") || major == "" && minor == "" && h.PAXRecords[paxMap] != ""
	if !old && !pax0 && !pax1 {
		return nil, nil
	}
	head, rest, err := mainHeader(rec)
	if err != nil {
		return nil, err
	}
	size, err := storedSize(h, head)
	if err != nil {
		return nil, err
	}
	var fields []int64
	switch {
	case old:
		fields, err = oldMap(head, rest)
	case pax1:
		size -= int64(len(rest)) // the map is stored before the data
		fields, err = textMap(strings.Split(string(rest), "\n"), true)
	default:
		fields, err = textMap(strings.Split(h.PAXRecords[paxMap], ","), false)
	}
	if err != nil {
		return nil, err
	}
	return extents(fields, h.Size, size)
}

// mainHeader finds, behind the extension headers of an entry, its own.
func mainHeader(rec []byte) (head, rest []byte, err error) {
	for len(rec) >= blockSize {
		head, rest = rec[:blockSize], rec[blockSize:]
		switch head[typeflag] {
		case tar.TypeXHeader, tar.TypeGNULongName, tar.TypeGNULongLink:
		default:
			return head, rest, nil
		}
		n, err := number(head[sizeOff : sizeOff+sizeLen])
		if err != nil || n > int64(len(rest)) {
			return nil, nil, errSparse
		}
		rec = rest[min(align(n), int64(len(rest))):]
	}
	return nil, nil, errSparse
}

// Fields of a header block: POSIX ustar's, and, where ustar has the prefix,
// old GNU's four pieces of a sparse map and the flag that blocks of 21 more
// follow.
const (
	sizeOff, sizeLen  = 124, 12
	typeflag          = 156
	oldOff, oldPieces = 386, 4
	oldMore           = oldOff + oldPieces*2*sizeLen // 482
	extPieces         = 21
	extMore           = extPieces * 2 * sizeLen // 504
)

// storedSize is the size in the archive: PAX's if it gives one.
func storedSize(h *tar.Header, head []byte) (int64, error) {
	if s := h.PAXRecords[paxSize]; s != "" {
		return strconv.ParseInt(s, 10, 64)
	}
	return number(head[sizeOff : sizeOff+sizeLen])
}

// number is a numeric header field: octal text, or base 256 if its first bit
// is set.
func number(b []byte) (int64, error) {
	if b[0]&0x80 == 0 {
		s := strings.Trim(string(b), " \x00")
		if s == "" {
			return 0, nil
		}
		return strconv.ParseInt(s, 8, 64)
	}
	v := int64(b[0] & 0x7f)
	for _, c := range b[1:] {
		if v >= 1<<55 {
			return 0, errSparse
		}
		v = v<<8 | int64(c)
	}
	return v, nil
}

// oldMap reads old GNU's map: pairs of offset and length in the header, then
// in extension blocks as long as a flag says that one follows.
func oldMap(head, rest []byte) ([]int64, error) {
	fields, err := pieces(nil, head[oldOff:], oldPieces)
	for more := head[oldMore]; more != 0 && err == nil; {
		if len(rest) < blockSize {
			return nil, errSparse
		}
		fields, err = pieces(fields, rest, extPieces)
		more, rest = rest[extMore], rest[blockSize:]
	}
	return fields, err
}

func pieces(fields []int64, b []byte, n int) ([]int64, error) {
	for range n {
		if b[0] == 0 {
			break
		}
		for range 2 {
			v, err := number(b[:sizeLen])
			if err != nil {
				return nil, errSparse
			}
			fields, b = append(fields, v), b[sizeLen:]
		}
	}
	return fields, nil
}

// textMap reads a map written in decimal; counted ones begin with the number
// of their pairs and end in padding.
func textMap(words []string, counted bool) ([]int64, error) {
	if counted {
		n, err := strconv.Atoi(words[0])
		if err != nil || n < 0 || n > (len(words)-1)/2 {
			return nil, errSparse
		}
		words = words[1 : 1+2*n]
	}
	fields := make([]int64, 0, len(words))
	for _, w := range words {
		v, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return nil, errSparse
		}
		fields = append(fields, v)
	}
	return fields, nil
}

// extents turns pairs of offset and length into the data extents of a file of
// size bytes that takes stored bytes in the archive.
func extents(fields []int64, size, stored int64) ([]Extent, error) {
	if len(fields)%2 != 0 {
		return nil, errSparse
	}
	x, end := make([]Extent, 0, len(fields)/2), int64(0)
	for i := 0; i < len(fields); i += 2 {
		off, n := fields[i], fields[i+1]
		if off < end || n < 0 || n > size-off {
			return nil, errSparse
		}
		end = off + n
		stored -= n
		if last := len(x) - 1; last >= 0 && x[last].Off+x[last].Len == off {
			x[last].Len += n
		} else if n > 0 {
			x = append(x, Extent{off, n})
		}
	}
	if stored != 0 {
		return nil, fmt.Errorf("%w: %d bytes lie outside it", errSparse, stored)
	}
	if len(x) == 1 && x[0] == (Extent{0, size}) {
		return nil, nil
	}
	return x, nil
}
