package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/opencontainers/go-digest"
)

// The stored form of a TOC; FORMAT.md gives it to the byte.
const (
	fileMagic   = "ocifstoc"
	fileVersion = 1
	maxDigest   = 7 + 128 // "sha512:" and its hex
)

var le = binary.LittleEndian

// Append appends t's stored form to b.
func (t *TOC) Append(b []byte) []byte {
	section := t.tiling.append(nil)
	b = append(b, fileMagic...)
	b = append(b, fileVersion, byte(t.format), 0, 0, 0, 0, 0, 0)
	for _, v := range []int64{t.size, t.blobSize, int64(len(section)), int64(t.nentries), int64(len(t.entries))} {
		b = le.AppendUint64(b, uint64(v))
	}
	for _, d := range []digest.Digest{t.blob, t.diffID} {
		b = append(le.AppendUint16(b, uint16(len(d))), d...)
	}
	return append(append(b, section...), t.entries...)
}

// errFile is what a damaged stored TOC is refused with.
var errFile = errors.New("index: damaged table of contents")

// Parse reads what Append wrote. The TOC keeps b, which must not change.
// Every number in it is checked, so that no method of the TOC can be made to
// panic or to reach beyond the blob; whether it tells the truth is for the
// chunks' verification to find out. It is held to l as the layer was that it is
// of; an ErrLimit says that it asks for more.
func Parse(b []byte, l Limits) (*TOC, error) {
	l = l.withDefaults()
	t := new(TOC)
	f := fields{b: b}
	if string(f.take(len(fileMagic))) != fileMagic {
		return nil, errFile
	}
	head := f.take(8)
	if head == nil || head[0] != fileVersion || string(head[2:]) != "\x00\x00\x00\x00\x00\x00" {
		return nil, fmt.Errorf("%w: an unknown version", errFile)
	}
	t.format = Format(head[1])
	t.size, t.blobSize = f.int(math.MaxInt64-ChunkSize), f.int(math.MaxInt64/8)
	section := f.int(int64(len(b)))
	nentries, lentries := f.int(math.MaxInt32), f.int(int64(len(b)))
	t.blob, t.diffID = f.digest(), f.digest()
	s := fields{b: f.take(int(section))}
	t.nentries, t.entries = int(nentries), f.take(int(lentries))
	if f.bad || len(f.b) != 0 {
		return nil, errFile
	}
	err := t.checkSizes(l)
	if err == nil {
		t.tiling, err = t.parseTiling(&s, l)
	}
	if err != nil {
		return nil, err
	}
	if s.bad || len(s.b) != 0 {
		return nil, errFile
	}
	if err := t.checkEntries(l); err != nil {
		return nil, err
	}
	return t, nil
}

// checkSizes holds the numbers at the beginning to l. Where a table that the
// layer brings says so, bytes may decode to any number of zeros.
func (t *TOC) checkSizes(l Limits) error {
	if t.nentries > l.Entries {
		return fmt.Errorf("%w: more than %d entries", ErrLimit, l.Entries)
	}
	if t.format == EStargz || t.format == ZstdChunked {
		l.Ratio = math.MaxInt64
	}
	return l.decoded(t.size, t.blobSize)
}

// checkEntries checks that entries are sound, within the decoded space and l.
func (t *TOC) checkEntries(l Limits) error {
	n, e, c := 0, new(Entry), cursor{b: t.entries}
	for c.next(e) {
		if c.d.end > t.size {
			return fmt.Errorf("%w: %q lies beyond the end", errFile, e.Name)
		}
		switch err := l.check(e); {
		case errors.Is(err, ErrLimit):
			return fmt.Errorf("%q: %w", e.Name, err)
		case err != nil:
			return fmt.Errorf("%w: %q: %w", errFile, e.Name, err)
		case !isClean(e.Name), e.HardLink && !isClean(e.Link):
			return fmt.Errorf("%w: %q is not a path as it is stored", errFile, e.Name)
		}
		n++
	}
	if c.err != nil || n != t.nentries {
		return errFile
	}
	return nil
}

// fields takes a stored TOC apart; after the first failure everything is 0.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.b) || f.bad {
		f.bad = true
		return nil
	}
	p := f.b[:n:n]
	f.b = f.b[n:]
	return p
}

func (f *fields) uint32() uint32 {
	if p := f.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

// int is a number from 0 to limit.
func (f *fields) int(limit int64) int64 {
	p := f.take(8)
	if p == nil {
		return 0
	}
	v := binary.LittleEndian.Uint64(p)
	if v > uint64(limit) {
		f.bad = true
		return 0
	}
	return int64(v)
}

func (f *fields) digest() digest.Digest {
	var n int
	if p := f.take(2); p != nil {
		n = int(binary.LittleEndian.Uint16(p))
	}
	d := digest.Digest(f.take(min(n, maxDigest+1)))
	if d.Validate() != nil {
		f.bad = true
	}
	return d
}
