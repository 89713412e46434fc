package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// contents is a table of contents of the stargz family being read: JSON that
// lists the archive's entries in their order, and behind each regular file the
// further chunks of its content.
//
// It tells less than the archive does. Names, links and attributes must be
// Unicode, so a table with U+FFFD in one is not used: the archive may have
// other bytes there. Times are rounded to seconds by all writers but Podman's.
// Extended attributes of libarchive's kind are left out.
type contents struct {
	format  Format
	limits  Limits
	end     int64 // where the last member ends in the blob
	json    jsonReader
	entries []byte
	n       int // entries
	delta   delta
	parts   []byte
	size    int64   // of the decoded space
	holes   int64   // bytes of the chunks of zeros, which are not in it
	zeros   []zeros // of those, the ones not held to their digests yet

	file    *Entry            // the regular file whose chunks are being read, or nil
	name    string            // as the table has it
	covered int64             // by the chunks so far
	whole   []byte            // the digest of its content
	chunks  int               // so far
	sum     [sha256.Size]byte // of the latest chunk

	keep  bool // Hints.Files
	files []fileSum

	last  last
	after int // entries behind the last part's
}

// last is where the last part ends.
type last struct {
	off int64 // where its member begins
	out int64 // what that was decoded to
	pad int64 // bytes between its file's content and the next header
}

func newContents(f Format, h *Hints, end int64) *contents {
	return &contents{format: f, limits: h.Limits, keep: h.Files, end: end}
}

// read reads all of the table.
func (c *contents) read(json []byte) error {
	c.json = jsonReader{b: json}
	version, entries := int64(0), false
	c.json.object(func(key []byte) {
		switch string(key) {
		case "version":
			if version != 0 {
				c.json.fail(errTwice)
			}
			version = c.json.int()
		case "entries":
			if entries {
				c.json.fail(errTwice)
			}
			if entries = true; !c.json.null() {
				c.json.array(c.entry)
			}
		default:
			c.odd(key, "version", "entries")
		}
	})
	c.json.end()
	err := c.json.err
	switch {
	case err != nil:
	case version != 1:
		err = fmt.Errorf("version %d", version)
	default:
		if err = c.close(); err == nil {
			err = c.proveZeros()
		}
	}
	if err == nil || malformed(err) || errors.Is(err, ErrNoIndex) || errors.Is(err, ErrLimit) {
		return err
	}
	return &FormatError{Format: c.format, Off: int64(c.json.i), Err: fmt.Errorf("table of contents: %w", err)}
}

var errTwice = errors.New("a key twice in one object")

// odd passes over the value of a key that isn't one of known, nor likely to be
// taken for one.
func (c *contents) odd(key []byte, known ...string) {
	for _, k := range known {
		if bytes.EqualFold(key, []byte(k)) {
			c.json.fail(fmt.Errorf("the key %q", key))
		}
	}
	c.json.skip()
}

// entry reads one element of the list.
func (c *contents) entry() {
	off := c.json.i
	var r record
	r.read(c)
	if c.json.err != nil {
		return
	}
	if err := c.add(&r); err != nil {
		c.json.fail(c.blame(err, string(r.name), off))
	}
}

// blame is err, for an entry at off of the JSON.
func (c *contents) blame(err error, name string, off int) error {
	if errors.Is(err, ErrNoIndex) || malformed(err) {
		return err
	}
	return &FormatError{Format: c.format, Off: int64(off), Name: name, Err: err}
}

func (c *contents) add(r *record) error {
	if string(r.kind) == "chunk" {
		return c.chunk(r)
	}
	if err := c.close(); err != nil {
		return err
	}
	e, err := r.entry()
	if err != nil {
		return err
	}
	if e.Mode&ModeType == ModeRegular && !e.HardLink && r.size != 0 {
		if r.size < 0 {
			return fmt.Errorf("a size of %d", r.size)
		}
		e.Size, e.Off = r.size, c.size
		c.file, c.name, c.covered, c.whole, c.chunks = e, string(r.name), 0, r.digest, 0
		return c.chunk(r)
	}
	return c.emit(e)
}

// chunk takes in one chunk of the file being read, the first of them told by
// the file's own entry.
func (c *contents) chunk(r *record) error {
	f := c.file
	if f == nil || len(r.name) > 0 && string(r.name) != c.name {
		return errors.New("a chunk of no file")
	}
	left := f.Size - c.covered
	n := r.chunkSize
	if n == 0 {
		n = left // to the file's end
	}
	if r.chunkOff != c.covered || n <= 0 || n > left {
		return fmt.Errorf("a chunk of %d bytes at %d, after %d of %d bytes", n, r.chunkOff, c.covered, f.Size)
	}
	d := r.chunkDigest
	if len(d) == 0 && n == f.Size {
		d = c.whole
	}
	sum, ok := parseDigest(d)
	if !ok {
		return fmt.Errorf("%w: it has a chunk without a SHA-256 digest", ErrNoIndex)
	}
	start := c.covered
	c.covered += n
	c.chunks, c.sum = c.chunks+1, sum
	if c.format == ZstdChunked && string(r.chunkKind) == "zeros" {
		return c.hole(n, sum)
	}
	if last := len(f.Data) - 1; last >= 0 && f.Data[last].Off+f.Data[last].Len == start {
		f.Data[last].Len += n
	} else {
		f.Data = append(f.Data, Extent{start, n})
	}
	return c.part(r.off, r.skip, n, sum)
}

// part appends a part of n bytes.
func (c *contents) part(off, skip, n int64, sum [sha256.Size]byte) error {
	if err := c.room(n); err != nil {
		return err
	}
	switch {
	case skip > maxPart:
		return fmt.Errorf("%w: a chunk behind %d others' bytes", ErrLimit, skip)
	case off < 0 || skip < 0 || off >= c.end:
		return fmt.Errorf("a chunk at %d, %d of %d bytes", off, skip, c.end)
	case c.size > 0 && off < c.last.off:
		return fmt.Errorf("%w: its chunks are out of order", ErrNoIndex)
	case c.size > 0 && off == c.last.off && skip < c.last.out:
		return fmt.Errorf("a chunk at %d, %d, where the last one ends at %d", off, skip, c.last.out)
	}
	c.size += n
	p := part{end: c.size, off: off, skip: uint32(skip), digest: sum}
	c.parts = p.append(c.parts)
	c.last, c.after = last{off: off, out: skip + n}, 0
	return nil
}

// room says whether there may be one more chunk, of n bytes.
func (c *contents) room(n int64) error {
	switch {
	case n > c.limits.Chunk:
		return fmt.Errorf("%w: a chunk of %d bytes", ErrLimit, n)
	case n > c.limits.Decoded-c.size-c.holes:
		return fmt.Errorf("%w: the layer decodes to more than %d bytes", ErrLimit, c.limits.Decoded)
	}
	return nil
}

// parseDigest reads a digest as in a descriptor.
func parseDigest(s []byte) (sum [sha256.Size]byte, ok bool) {
	s, ok = bytes.CutPrefix(s, []byte("sha256:"))
	if !ok || len(s) != 2*sha256.Size {
		return sum, false
	}
	_, err := hex.Decode(sum[:], s)
	return sum, err == nil
}

// close ends the file being read.
func (c *contents) close() error {
	e := c.file
	if e == nil {
		return nil
	}
	c.file = nil
	if c.covered < e.Size {
		return c.blame(fmt.Errorf("its chunks end at %d of %d bytes", c.covered, e.Size), c.name, c.json.i)
	}
	switch {
	case e.Data == nil: // all zeros
		e.Data = []Extent{}
	case e.Data[0].Len == e.Size:
		e.Data = nil
	}
	if sum, ok := parseDigest(c.whole); ok && c.keep && (c.chunks > 1 || sum != c.sum) {
		c.files = append(c.files, fileSum{c.n, sum})
	}
	c.last.pad = align(e.Size) - e.Size
	if err := c.emit(e); err != nil {
		return c.blame(err, c.name, c.json.i)
	}
	return nil
}

func (c *contents) emit(e *Entry) error {
	if c.n >= c.limits.Entries {
		return fmt.Errorf("%w: more than %d entries", ErrLimit, c.limits.Entries)
	}
	if err := c.limits.check(e); err != nil {
		return err
	}
	c.entries = appendEntry(c.entries, e, &c.delta)
	c.n++
	if e.stored() == 0 {
		c.after++
	}
	return nil
}
