package index

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"sort"
)

// parts is the tiling of a layer that came with its own table of contents:
// its decoded space is the files' contents alone, without the archive around
// them, in the order in which they lie in the blob, cut as the table says.
//
// The blob is a line of members, gzip's or zstd's, and a part is some bytes
// of what one member decodes to: mostly the first ones, behind which come the
// headers of the next file, but several small files may share a member. A
// member ends where the next one begins.
type parts struct {
	format Format // EStargz or ZstdChunked
	size   int64  // of the decoded space
	end    int64  // where the last part's member ends in the blob
	b      []byte // partSize bytes per part
	window int64  // Limits.Window
	pool   *decoders
}

// A part is one chunk of such a layer.
type part struct {
	end    int64  // where it ends in the decoded space
	off    int64  // where its member begins in the blob
	skip   uint32 // bytes that the member decodes to before it
	digest [sha256.Size]byte
}

const (
	partSize = 8 + 8 + 4 + sha256.Size
	maxPart  = 1 << 30 // bytes of a part, however large the limit
)

func (p *part) append(b []byte) []byte {
	b = le.AppendUint64(b, uint64(p.end))
	b = le.AppendUint64(b, uint64(p.off))
	b = le.AppendUint32(b, p.skip)
	return append(b, p.digest[:]...)
}

func (p *parts) Len() int { return len(p.b) / partSize }

func (p *parts) Bounds(i int) (start, end int64) {
	if i > 0 {
		start = p.endOf(i - 1)
	}
	return start, p.endOf(i)
}

func (p *parts) At(off int64) int {
	return sort.Search(p.Len(), func(i int) bool { return p.endOf(i) > off })
}

func (p *parts) endOf(i int) int64     { return int64(le.Uint64(p.b[i*partSize:])) }
func (p *parts) offOf(i int) int64     { return int64(le.Uint64(p.b[i*partSize+8:])) }
func (p *parts) skipOf(i int) int64    { return int64(le.Uint32(p.b[i*partSize+16:])) }
func (p *parts) digestOf(i int) []byte { return p.b[i*partSize+20 : (i+1)*partSize] }

// memberEnd is where the member of part i ends in the blob.
func (p *parts) memberEnd(i int) int64 {
	off := p.offOf(i)
	next := i + 1 + sort.Search(p.Len()-i-1, func(k int) bool { return p.offOf(i+1+k) > off })
	if next == p.Len() {
		return p.end
	}
	return p.offOf(next)
}

func (p *parts) extent(first, last int) (off, n int64) {
	off = p.offOf(first)
	return off, p.memberEnd(last-1) - off
}

// restart is the first part of the member that i lies in.
func (p *parts) restart(i int) int {
	if p.skipOf(i) == 0 {
		return i
	}
	off := p.offOf(i)
	return sort.Search(i, func(k int) bool { return p.offOf(k) >= off })
}

func (p *parts) decode(src io.Reader, _ io.ReaderAt, first, last int, emit func(i int, p []byte) error) error {
	m, err := newMembers(src, p, p.offOf(first))
	if err != nil {
		return err
	}
	defer m.close()
	var buf []byte
	for i := first; i < last; i++ {
		if off := p.offOf(i); i == first || off != p.offOf(i-1) {
			if err := m.open(off, p.memberEnd(i)); err != nil {
				return misplaced(i, err)
			}
		}
		start, end := p.Bounds(i)
		if int64(cap(buf)) < end-start {
			buf = make([]byte, end-start)
		}
		buf = buf[:end-start]
		if err := m.read(buf, p.skipOf(i)); err != nil {
			return misplaced(i, err)
		}
		if sum := sha256.Sum256(buf); string(sum[:]) != string(p.digestOf(i)) {
			return &ChunkError{Chunk: i}
		}
		if err := emit(i, buf); err != nil {
			return err
		}
	}
	return nil
}

// misplaced is err, for chunk i: where it is the bytes that are to blame, they
// aren't those that the table tells of.
func misplaced(i int, err error) error {
	if malformed(err) {
		return &ChunkError{Chunk: i, Err: err}
	}
	return err
}

func (p *parts) append(b []byte) []byte {
	b = le.AppendUint64(b, uint64(p.Len()))
	b = le.AppendUint64(b, uint64(p.end))
	return append(b, p.b...)
}

func (p *parts) stored() int64 { return 2*8 + int64(len(p.b)) }

func parseParts(f *fields, format Format, size, blob int64, l Limits) (*parts, error) {
	n := f.int(int64(len(f.b) / partSize))
	p := &parts{format: format, size: size, end: f.int(blob), window: l.Window, pool: new(decoders)}
	p.b = f.take(int(n) * partSize)
	if f.bad {
		return nil, errFile
	}
	start, off, skip := int64(0), int64(0), int64(0)
	for i := range p.Len() {
		end := p.endOf(i)
		if end <= start || end > size {
			return nil, fmt.Errorf("%w: chunk %d of a size", errFile, i)
		}
		if end-start > l.Chunk {
			return nil, fmt.Errorf("%w: a chunk of %d bytes", ErrLimit, end-start)
		}
		if o := p.offOf(i); o < off || o >= p.end || o == off && p.skipOf(i) < skip {
			return nil, fmt.Errorf("%w: chunk %d at a place", errFile, i)
		}
		off, skip = p.offOf(i), p.skipOf(i)+end-start
		start = end
	}
	if start != size || size > math.MaxInt64-maxPart {
		return nil, errFile
	}
	return p, nil
}
