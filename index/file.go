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
	pointSize   = 8 + 8 + 8 + 4 // out, bit, win, winLen
	maxDigest   = 7 + 128       // "sha512:" and its hex
)

// Append appends t's stored form to b.
func (t *TOC) Append(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, fileMagic...)
	b = append(b, fileVersion, byte(t.format), 0, 0)
	b = le.AppendUint32(b, ChunkSize)
	for _, v := range []int64{t.size, t.blobSize, int64(t.nentries), int64(len(t.entries)), int64(len(t.points)), t.windows} {
		b = le.AppendUint64(b, uint64(v))
	}
	for _, d := range []digest.Digest{t.blob, t.diffID} {
		b = append(le.AppendUint16(b, uint16(len(d))), d...)
	}
	b = append(b, t.chain...)
	for _, p := range t.points {
		b = le.AppendUint64(b, uint64(p.out))
		b = le.AppendUint64(b, uint64(p.bit))
		b = le.AppendUint64(b, uint64(p.win))
		b = le.AppendUint32(b, p.winLen)
	}
	return append(b, t.entries...)
}

// errFile is what a damaged stored TOC is refused with.
var errFile = errors.New("index: damaged table of contents")

// Parse reads what Append wrote. The TOC keeps b, which must not change.
// Every number in it is checked, so that no method of the TOC can be made to
// panic or to reach beyond the blob; whether it tells the truth is for the
// chunks' verification to find out.
func Parse(b []byte) (*TOC, error) {
	t := new(TOC)
	f := fields{b: b}
	if string(f.take(len(fileMagic))) != fileMagic {
		return nil, errFile
	}
	head := f.take(4)
	if head == nil || head[0] != fileVersion {
		return nil, fmt.Errorf("%w: an unknown version", errFile)
	}
	t.format = Format(head[1])
	if t.format < Tar || t.format > Zstd || f.uint32() != ChunkSize {
		return nil, errFile
	}
	t.size, t.blobSize = f.int(math.MaxInt64-ChunkSize), f.int(math.MaxInt64/8)
	nentries, lentries := f.int(math.MaxInt32), f.int(int64(len(b)))
	npoints := f.int(int64(len(b) / pointSize))
	t.windows = f.int(math.MaxInt64)
	t.blob, t.diffID = f.digest(), f.digest()
	if chunks := (t.size + ChunkSize - 1) / ChunkSize; chunks <= int64(len(b)/stateSize) {
		t.chain = f.take(int(chunks) * stateSize)
	}
	t.readPoints(&f, int(npoints))
	t.nentries, t.entries = int(nentries), f.take(int(lentries))
	if f.bad || len(f.b) != 0 || len(t.chain) != t.Len()*stateSize {
		return nil, errFile
	}
	return t, t.checkAll()
}

func (t *TOC) readPoints(f *fields, n int) {
	t.points = make([]point, n)
	for i := range t.points {
		t.points[i] = point{out: f.int(t.size), bit: f.int(8 * t.blobSize), win: f.int(t.windows), winLen: f.uint32()}
	}
}

// checkAll checks what the parts of a TOC have to do with each other.
func (t *TOC) checkAll() error {
	last := point{}
	for i, p := range t.points {
		if i == 0 && p.out != 0 || i > 0 && (p.out <= last.out || p.bit <= last.bit) || int64(p.winLen) > t.windows-p.win {
			return fmt.Errorf("%w: checkpoint %d", errFile, i)
		}
		last = p
	}
	if len(t.points) == 0 && t.format != Tar && t.size > 0 || t.format == Tar && t.blobSize != t.size {
		return fmt.Errorf("%w: nowhere to begin", errFile)
	}
	n, e, c := 0, new(Entry), cursor{b: t.entries}
	limits := Limits{Xattrs: math.MaxInt, Extents: math.MaxInt} // Build kept to its own
	for c.next(e) {
		if c.d.end > t.size {
			return fmt.Errorf("%w: %q lies beyond the end", errFile, e.Name)
		}
		if err := limits.check(e); err != nil || clean(e.Name) != e.Name || e.HardLink && clean(e.Link) != e.Link {
			return fmt.Errorf("%w: %q: %v", errFile, e.Name, err)
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
