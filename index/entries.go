package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Entries are kept as they are stored: one stream of varints, each entry told
// as its difference from the one before. That is a fifth of the memory of a
// slice of Entry, is written and read back without conversion, and costs
// nothing but being walked in order, which is all a tree does. FORMAT.md
// gives the bytes.

// The flags of an encoded entry, saying which optional fields follow.
const (
	hasHardLink = 1 << iota
	hasLink
	hasDevice
	hasXattrs
	hasContent // Size > 0
	hasExtents // Data != nil
	allFlags   = 1<<iota - 1
)

// errEntries is what a damaged stream is refused with.
var errEntries = errors.New("index: damaged entries")

// delta is what the encoder and the decoder remember of the entry before.
type delta struct {
	name string
	sec  int64
	end  int64 // where the last content ended in the decoded space
}

// appendEntry appends e, which must have passed Limits.check, and returns the
// longer stream.
func appendEntry(b []byte, e *Entry, d *delta) []byte {
	n := shared(d.name, e.Name)
	b = binary.AppendUvarint(b, uint64(n))
	b = appendString(b, e.Name[n:])
	flags := flagsOf(e)
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendUvarint(b, uint64(e.UID))
	b = binary.AppendUvarint(b, uint64(e.GID))
	b = binary.AppendVarint(b, e.ModTime.Unix()-d.sec)
	b = binary.AppendUvarint(b, uint64(e.ModTime.Nanosecond()))
	if flags&hasLink != 0 {
		b = appendString(b, e.Link)
	}
	if flags&hasDevice != 0 {
		b = binary.AppendUvarint(b, uint64(e.Major))
		b = binary.AppendUvarint(b, uint64(e.Minor))
	}
	if flags&hasXattrs != 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Xattrs)))
		for _, x := range e.Xattrs {
			b = appendString(appendString(b, x.Name), x.Value)
		}
	}
	if flags&hasContent != 0 {
		b = binary.AppendUvarint(b, uint64(e.Size))
		b = binary.AppendUvarint(b, uint64(e.Off-d.end))
		d.end = e.Off + e.stored()
	}
	if flags&hasExtents != 0 {
		b = appendExtents(b, e.Data)
	}
	d.name, d.sec = e.Name, e.ModTime.Unix()
	return b
}

func flagsOf(e *Entry) byte {
	var f byte
	if e.HardLink {
		f |= hasHardLink
	}
	if e.Link != "" || e.HardLink {
		f |= hasLink
	}
	if e.Major|e.Minor != 0 {
		f |= hasDevice
	}
	if len(e.Xattrs) > 0 {
		f |= hasXattrs
	}
	if e.Size > 0 {
		f |= hasContent
	}
	if e.Data != nil {
		f |= hasExtents
	}
	return f
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendExtents writes each extent as its distance from the end of the one
// before, and its length.
func appendExtents(b []byte, x []Extent) []byte {
	b = binary.AppendUvarint(b, uint64(len(x)))
	end := int64(0)
	for _, e := range x {
		b = binary.AppendUvarint(b, uint64(e.Off-end))
		b = binary.AppendUvarint(b, uint64(e.Len))
		end = e.Off + e.Len
	}
	return b
}

func shared(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// stored is how many bytes of the decoded space e's content takes.
func (e *Entry) stored() int64 {
	if e.Data == nil {
		return e.Size
	}
	n := int64(0)
	for _, x := range e.Data {
		n += x.Len
	}
	return n
}

// A cursor walks a stream of entries. The zero value with b set begins at its
// start.
type cursor struct {
	b     []byte
	err   error
	d     delta
	names strings.Builder // of entries, one behind the other; none is written over
}

// nameBlock is how much memory names are given at a time: what one name that is
// kept keeps alive.
const nameBlock = 4 << 10

// next decodes one entry into e and says whether there was one. After the last
// entry, or damage, it says false; then c.err tells which.
func (c *cursor) next(e *Entry) bool {
	if len(c.b) == 0 || c.err != nil {
		return false
	}
	n := c.uint(uint64(len(c.d.name)))
	*e = Entry{Name: c.name(c.d.name[:n], c.bytes())}
	flags := c.byte()
	e.Mode = uint32(c.uint(ModeType | ModePerm))
	e.UID, e.GID = uint32(c.uint(math.MaxUint32)), uint32(c.uint(math.MaxUint32))
	c.d.sec += c.int()
	e.ModTime = time.Unix(c.d.sec, int64(c.uint(999_999_999))).UTC()
	e.HardLink = flags&hasHardLink != 0
	if flags&hasLink != 0 {
		e.Link = c.string()
	}
	if flags&hasDevice != 0 {
		e.Major, e.Minor = uint32(c.uint(math.MaxUint32)), uint32(c.uint(math.MaxUint32))
	}
	if flags&hasXattrs != 0 {
		e.Xattrs = c.xattrs()
	}
	if flags&hasContent != 0 {
		e.Size = int64(c.uint(math.MaxInt64))
		e.Off = c.d.end + int64(c.uint(uint64(math.MaxInt64-c.d.end)))
	}
	if flags&hasExtents != 0 {
		e.Data = c.extents(e.Size)
	}
	if flags&^byte(allFlags) != 0 {
		c.fail()
	}
	c.d.name = e.Name
	if e.Size > 0 {
		c.d.end = c.sum(e.Off, e.stored())
	}
	return c.err == nil
}

func (c *cursor) fail() {
	if c.err == nil {
		c.err, c.b = errEntries, nil
	}
}

// sum is a+b, or a failure where that isn't an int64.
func (c *cursor) sum(a, b int64) int64 {
	if b > math.MaxInt64-a {
		c.fail()
		return a
	}
	return a + b
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.fail()
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

// uint reads a number that must not be above limit; a failure reads as 0.
func (c *cursor) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 || v > limit {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) int() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) string() string { return string(c.bytes()) }

// bytes are those of a string, in the stream.
func (c *cursor) bytes() []byte {
	n := c.uint(uint64(len(c.b)))
	if n > uint64(len(c.b)) { // the length itself took some of them
		c.fail()
		return nil
	}
	s := c.b[:n]
	c.b = c.b[n:]
	return s
}

// name is a followed by b.
func (c *cursor) name(a string, b []byte) string {
	if len(b) == 0 {
		return a
	}
	if n := len(a) + len(b); n > c.names.Cap()-c.names.Len() {
		c.names = strings.Builder{}
		c.names.Grow(max(n, nameBlock))
	}
	start := c.names.Len()
	c.names.WriteString(a)
	c.names.Write(b)
	return c.names.String()[start:]
}

func (c *cursor) xattrs() []Xattr {
	n := c.uint(uint64(len(c.b) / 2)) // each takes two bytes at least
	x := make([]Xattr, 0, n)
	for range n {
		x = append(x, Xattr{Name: c.string(), Value: c.string()})
	}
	return x
}

func (c *cursor) extents(size int64) []Extent {
	n := c.uint(uint64(len(c.b) / 2))
	x := make([]Extent, 0, n)
	end := int64(0)
	for range n {
		off := end + int64(c.uint(uint64(size-end)))
		l := int64(c.uint(uint64(size - off)))
		x = append(x, Extent{Off: off, Len: l})
		end = off + l
	}
	return x
}

// String tells an entry in one line, for messages and tests.
func (e *Entry) String() string {
	s := fmt.Sprintf("%07o %d:%d %q", e.Mode, e.UID, e.GID, e.Name)
	switch {
	case e.HardLink:
		s += fmt.Sprintf(" = %q", e.Link)
	case e.Link != "":
		s += fmt.Sprintf(" -> %q", e.Link)
	case e.Size > 0:
		s += fmt.Sprintf(" %d at %d", e.Size, e.Off)
	}
	return s
}
