package index

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"
)

// A MismatchError says in what the table of contents that came with a layer
// differs from the layer.
type MismatchError struct {
	Name        string // of the first entry that differs
	What        string // in what: "mode", "content", …; "entry" if only one of the two has it
	Table, Blob string // what the table says, and what the layer has
}

func (e *MismatchError) Error() string {
	s := fmt.Sprintf("entry %q: the table of contents has another %s than the layer", e.Name, e.What)
	if e.Table != e.Blob {
		s += fmt.Sprintf(": %s, not %s", e.Table, e.Blob)
	}
	return s
}

// Check compares table, which Open has made of a layer, with whole, which
// Build has made of the same one: the same entries in the same order, and, by
// the table's digests, the same contents; digests of whole files count if Open
// was told to keep them. data is the decoded space of whole,
// of which all that is content is read. Times that the table gives in whole
// seconds may be rounded ones.
//
// A *MismatchError names the first difference, a *DigestError says that the
// two are of different layers; errors of data are passed on.
func Check(table, whole *TOC, data io.ReaderAt) error {
	if err := check("layer", table.blob, whole.blob); err != nil {
		return err
	}
	return Compare(table, whole, data)
}

// Compare is Check for a whole that Build has made of the decoded archive, not
// of the blob: whose layer it is is the caller's to know.
func Compare(table, whole *TOC, data io.ReaderAt) error {
	c := &checker{data: data, buf: make([]byte, 1<<18)}
	c.parts, _ = table.tiling.(*parts)
	next, stop := iter.Pull(whole.Entries())
	defer stop()
	files, n := table.files, 0
	for t := range table.Entries() {
		b, ok := next()
		if !ok {
			return &MismatchError{t.Name, "entry", t.String(), "nothing"}
		}
		if err := c.entry(t, b); err != nil {
			return err
		}
		if len(files) > 0 && files[0].entry == n {
			if err := c.file(b, files[0].digest); err != nil {
				return err
			}
			files = files[1:]
		}
		n++
	}
	if b, more := next(); more {
		return &MismatchError{b.Name, "entry", "nothing", b.String()}
	}
	return nil
}

// A checker is one call of Check.
type checker struct {
	parts *parts // the table's; nil if its decoded space is the archive, as that of any whole
	data  io.ReaderAt
	buf   []byte
}

// entry compares what the table, t, and the blob, b, tell of an entry.
func (c *checker) entry(t, b *Entry) error {
	differ := func(what string, table, blob any) error {
		return &MismatchError{b.Name, what, fmt.Sprint(table), fmt.Sprint(blob)}
	}
	switch {
	case t.Name != b.Name:
		return differ("name", t.Name, b.Name)
	case t.Mode != b.Mode:
		return differ("mode", fmt.Sprintf("%07o", t.Mode), fmt.Sprintf("%07o", b.Mode))
	case t.HardLink != b.HardLink || t.Link != b.Link:
		return differ("link", t, b)
	case t.UID != b.UID || t.GID != b.GID:
		return differ("owner", []uint32{t.UID, t.GID}, []uint32{b.UID, b.GID})
	case t.Major != b.Major || t.Minor != b.Minor:
		return differ("device", []uint32{t.Major, t.Minor}, []uint32{b.Major, b.Minor})
	case !sameTime(t.ModTime, b.ModTime):
		return differ("modification time", t.ModTime, b.ModTime)
	case !slices.Equal(t.Xattrs, b.Xattrs):
		return differ("list of extended attributes", t.Xattrs, b.Xattrs)
	case t.Size != b.Size:
		return differ("size", t.Size, b.Size)
	case c.parts != nil:
		return c.content(t, b)
	case t.Off != b.Off || !slices.Equal(t.Data, b.Data):
		return differ("place", t, b)
	}
	return nil
}

// sameTime is whether a table that says t may mean b: all writers but Podman's
// round, and leave out the first second of 1970.
func sameTime(t, b time.Time) bool {
	return t.Equal(b) || t.Nanosecond() == 0 && (t.Equal(b.Round(time.Second)) || t.Unix() == 0 && b.Unix() == 0)
}

// content compares contents: data part by part, holes as zeros.
func (c *checker) content(t, b *Entry) error {
	r := &content{data: c.data, e: b, at: b.Off}
	data := t.Data
	if data == nil {
		data = []Extent{{0, t.Size}}
	}
	differs := &MismatchError{b.Name, "content", "", ""}
	i, end := 0, int64(0)
	if t.stored() > 0 {
		i = c.parts.At(t.Off)
	}
	for _, x := range append(slices.Clip(data), Extent{t.Size, 0}) {
		if zero, err := r.zeros(c.buf, x.Off-end); err != nil || !zero {
			return orElse(err, differs)
		}
		end = x.Off + x.Len
		for n := x.Len; n > 0; i++ {
			start, stop := c.parts.Bounds(i)
			same, err := r.sum(c.buf, stop-start, c.parts.digestOf(i))
			if err != nil || !same {
				return orElse(err, differs)
			}
			n -= stop - start
		}
	}
	return nil
}

// file holds the content of a whole file, whose chunks are what they should be,
// to the digest that the table has of it.
func (c *checker) file(b *Entry, want [sha256.Size]byte) error {
	r := &content{data: c.data, e: b, at: b.Off}
	same, err := r.sum(c.buf, b.Size, want[:])
	if err != nil || !same {
		return orElse(err, &MismatchError{b.Name, "digest of the whole file", "", ""})
	}
	return nil
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// content reads the content of a regular file from its first byte to its
// last, holes as zeros.
type content struct {
	data io.ReaderAt
	e    *Entry
	off  int64 // in the file
	at   int64 // of the next data, in the decoded space
	k    int   // the extent that off lies in or before
}

// extent is the data that off lies in or before; at the file's end if there
// is no more.
func (r *content) extent() Extent {
	if r.e.Data == nil {
		return Extent{0, r.e.Size}
	}
	for ; r.k < len(r.e.Data); r.k++ {
		if x := r.e.Data[r.k]; r.off < x.Off+x.Len {
			return x
		}
	}
	return Extent{r.e.Size, 0}
}

func (r *content) Read(p []byte) (int, error) {
	if r.off >= r.e.Size {
		return 0, io.EOF
	}
	x := r.extent()
	if r.off < x.Off {
		p = p[:min(int64(len(p)), x.Off-r.off)]
		clear(p)
		r.off += int64(len(p))
		return len(p), nil
	}
	p = p[:min(int64(len(p)), x.Off+x.Len-r.off)]
	if err := readAt(r.data, p, r.at); err != nil {
		return 0, err
	}
	r.off, r.at = r.off+int64(len(p)), r.at+int64(len(p))
	return len(p), nil
}

// zeros reads n bytes and says whether they are zeros; holes it passes over.
func (r *content) zeros(buf []byte, n int64) (bool, error) {
	for n > 0 {
		if x := r.extent(); r.off < x.Off {
			hole := min(n, x.Off-r.off)
			r.off, n = r.off+hole, n-hole
			continue
		}
		m, err := r.Read(buf[:min(n, int64(len(buf)))])
		if err != nil {
			return false, err
		}
		if len(bytes.Trim(buf[:m], "\x00")) > 0 {
			return false, nil
		}
		n -= int64(m)
	}
	return true, nil
}

// sum reads n bytes and says whether they have the digest.
func (r *content) sum(buf []byte, n int64, digest []byte) (bool, error) {
	h := sha256.New()
	if _, err := io.CopyBuffer(h, io.LimitReader(r, n), buf); err != nil {
		return false, err
	}
	return bytes.Equal(h.Sum(nil), digest), nil
}
