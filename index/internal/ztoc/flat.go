package ztoc

import (
	"encoding/binary"
	"math"
)

// A flat is a FlatBuffers buffer. A table begins with the distance back to its
// vtable; the vtable has its own length, the table's, and then for each field
// its place in the table, 0 if it has its default. Strings, vectors and tables
// are referred to by their distance ahead. All numbers are little endian.
//
// What lies out of bounds reads as 0, and makes the buffer bad. So does an
// object that is referred to more than once, all in all: no writer of zTOCs
// does so (but for vtables), and a small buffer could be made to seem huge.
type flat struct {
	s    string
	bad  bool
	read int // bytes of all objects referred to so far
}

// Lengths of the format's numbers, and of a vtable's head.
const (
	size16    = 2
	size32    = 4
	size64    = 8
	vtableTop = 2 * size16
)

// bytes is the n bytes at i, or "" if the buffer hasn't got them.
func (f *flat) bytes(i, n int) string {
	if i < 0 || n < 0 || i > len(f.s) || n > len(f.s)-i {
		f.bad = true
		return ""
	}
	return f.s[i : i+n]
}

// number is the little-endian number of n bytes at i.
func (f *flat) number(i, n int) uint64 {
	v, b := uint64(0), f.bytes(i, n)
	for i := range len(b) {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

// count is a 32-bit length or distance at i. The format allows no buffer of
// more than 2 GiB.
func (f *flat) count(i int) int {
	v := f.number(i, size32)
	if v > math.MaxInt32 {
		f.bad = true
		return 0
	}
	return int(v)
}

// follow is where the reference at i leads to.
func (f *flat) follow(i int) int {
	to := i + f.count(i)
	if to > len(f.s) {
		f.bad = true
		return len(f.s)
	}
	return to
}

// use counts n bytes of an object in.
func (f *flat) use(n int) {
	if f.read += n; f.read > len(f.s) {
		f.bad = true
	}
}

// A table is one within a flat, whose bounds have been checked. The zero value
// but for f has no fields.
type table struct {
	f         *flat
	pos, size int
	vtable    string // of the fields alone
}

// table is the one at pos.
func (f *flat) table(pos int) table {
	back := int(int32(f.number(pos, size32)))
	at := pos - back
	vsize, size := int(f.number(at, size16)), int(f.number(at+size16, size16))
	if f.bad || vsize < vtableTop || vsize%size16 != 0 || size < size32 || size > len(f.s)-pos {
		f.bad = true
		return table{f: f}
	}
	f.use(size)
	return table{f: f, pos: pos, size: size, vtable: f.bytes(at+vtableTop, vsize-vtableTop)}
}

// field is where the table's field i is, which takes n bytes; 0 if it has its
// default.
func (t table) field(i, n int) int {
	if (i+1)*size16 > len(t.vtable) {
		return 0
	}
	off := int(t.vtable[i*size16]) | int(t.vtable[i*size16+1])<<8
	if off == 0 {
		return 0
	}
	if off < size32 || off > t.size-n {
		t.f.bad = true
		return 0
	}
	return t.pos + off
}

// number is field i, a number of n bytes, or the default.
func (t table) number(i, n int, otherwise uint64) uint64 {
	if at := t.field(i, n); at != 0 {
		return t.f.number(at, n)
	}
	return otherwise
}

func (t table) int64(i int) int64 { return int64(t.number(i, size64, 0)) }

// table is the table that field i refers to.
func (t table) table(i int) table {
	if at := t.field(i, size32); at != 0 {
		return t.f.table(t.f.follow(at))
	}
	return table{f: t.f}
}

// vector is the vector that field i refers to: n elements of size bytes, the
// first at pos.
func (t table) vector(i, size int) (pos, n int) {
	at := t.field(i, size32)
	if at == 0 {
		return 0, 0
	}
	return t.f.vector(t.f.follow(at), size)
}

func (f *flat) vector(at, size int) (pos, n int) {
	pos, n = at+size32, f.count(at)
	if f.bad || n > (len(f.s)-pos)/size {
		f.bad = true
		return 0, 0
	}
	f.use(size32 + n*size)
	return pos, n
}

// string is the string that field i refers to.
func (t table) string(i int) string {
	pos, n := t.vector(i, 1)
	return t.f.bytes(pos, n)
}

// element is the table that element i of the vector at pos refers to.
func (f *flat) element(pos, i int) table { return f.table(f.follow(pos + i*size32)) }

var le = binary.LittleEndian
