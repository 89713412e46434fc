package index

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"sort"

	"ocifs.dev/ocifs/index/internal/ztoc"
)

// spans is the tiling of a layer that came with a zTOC: its chunks are the
// spans, of the tar stream. Of each the compressed bytes have a digest, and
// so has the window, which may be kept where others can write; both are
// checked before anything is decoded.
type spans struct {
	gzip    bool // or uncompressed
	blob    int64
	size    int64  // of the decoded space
	windows int64  // length of the windows file
	held    []byte // the windows file, if the TOC is not a stored one
	list    []span
}

// A span is one chunk of such a layer.
type span struct {
	out    int64             // where it begins in the decoded space
	bit    int64             // where it begins in the blob, in bits
	end    int64             // where it ends in the blob, in bytes
	win    int64             // offset of its window in the windows file
	winLen uint32            // length of the window; what it lacks of 32 KiB are zeros in front
	winSum [sha256.Size]byte // of the window
	digest [sha256.Size]byte // of the blob's bytes from bit/8 to end
}

const (
	spanSize = 8 + 8 + 8 + 8 + 4 + 2*sha256.Size
	maxSpan  = 1 << 30 // bytes of a span, on either side, however large the limit
)

// newSpans makes a tiling of what a zTOC says, and checks it.
func newSpans(z *ztoc.Ztoc, l Limits) (*spans, error) {
	s := &spans{gzip: z.Algorithm == ztoc.Gzip, blob: z.CompressedSize, size: z.UncompressedSize}
	var err error
	if s.gzip {
		err = s.readCheckpoints(z)
	} else {
		err = s.readGrid(z)
	}
	if err != nil {
		return nil, err
	}
	s.windows = int64(len(s.held))
	return s, s.check(min(l.Chunk, maxSpan))
}

// readCheckpoints makes the spans of a gzip layer. Some can be empty, where
// the stream begins with empty blocks or members, and some lie behind the
// archive's end, where it is padded: these are left out.
func (s *spans) readCheckpoints(z *ztoc.Ztoc) error {
	points, err := ztoc.Checkpoints(z.Checkpoints, z.CompressedSize)
	if err != nil {
		return err
	}
	if len(points) != len(z.Digests) {
		return fmt.Errorf("%d checkpoints, and %d digests", len(points), len(z.Digests))
	}
	for i, p := range points {
		end := s.blob
		if i+1 < len(points) {
			if end = points[i+1].In; points[i+1].Out == p.Out {
				continue
			}
		}
		if p.Out >= s.size {
			break
		}
		window := bytes.TrimLeft(p.Window, "\x00")
		s.list = append(s.list, span{p.Out, p.Bit(), end, int64(len(s.held)), uint32(len(window)), sha256.Sum256(window), z.Digests[i]})
		s.held = append(s.held, window...)
	}
	return nil
}

// readGrid makes the spans of an uncompressed layer.
func (s *spans) readGrid(z *ztoc.Ztoc) error {
	g, err := ztoc.ParseGrid(z.Checkpoints)
	if err != nil {
		return err
	}
	if g.Size != s.blob || s.size > s.blob || g.Len() != int64(len(z.Digests)) {
		return errors.New("the spans are another layer's")
	}
	s.size = s.blob // what is behind the archive's end is covered, too
	for i, d := range z.Digests {
		start := int64(i) * g.Span
		s.list = append(s.list, span{out: start, bit: 8 * start, end: min(start+g.Span, s.blob), winSum: sha256.Sum256(nil), digest: d})
	}
	return nil
}

// check checks that the spans tile the decoded space, by pieces of most bytes
// at most, and lie in order within the blob; neighbours may share a byte.
func (s *spans) check(most int64) error {
	if s.blob > math.MaxInt64/8 {
		return fmt.Errorf("a layer of %d bytes", s.blob)
	}
	if len(s.list) == 0 && s.size > 0 || len(s.list) > 0 && s.list[0].out != 0 {
		return errors.New("spans that don't begin at 0")
	}
	last := span{end: 1}
	for i, p := range s.list {
		_, end := s.Bounds(i)
		switch {
		case end <= p.out, p.bit < last.bit, p.bit/8 < last.end-1, p.end < p.bit/8, p.end > s.blob:
			return fmt.Errorf("span %d is out of order", i)
		case int64(p.winLen) > s.windows-p.win || p.winLen > ztoc.Window:
			return fmt.Errorf("span %d: a window out of bounds", i)
		case !s.gzip && (p.bit != 8*p.out || p.end != end):
			return fmt.Errorf("span %d lies elsewhere than its bytes", i)
		case end-p.out > most || p.end-p.bit/8 > most+most/8+ztoc.Window:
			return fmt.Errorf("%w: span %d of %d bytes, from %d", ErrLimit, i, end-p.out, p.end-p.bit/8)
		}
		last = p
	}
	return nil
}

func (s *spans) Len() int { return len(s.list) }

func (s *spans) Bounds(i int) (start, end int64) {
	if i+1 < len(s.list) {
		return s.list[i].out, s.list[i+1].out
	}
	return s.list[i].out, s.size
}

func (s *spans) At(off int64) int {
	return sort.Search(len(s.list), func(i int) bool { return s.list[i].out > off }) - 1
}

func (s *spans) extent(first, last int) (off, n int64) {
	off = s.list[first].bit / 8
	return off, s.list[last-1].end - off
}

func (s *spans) restart(i int) int { return i }

func (s *spans) append(b []byte) []byte {
	kind := uint32(ztoc.Uncompressed)
	if s.gzip {
		kind = uint32(ztoc.Gzip)
	}
	b = le.AppendUint32(b, kind)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, uint64(len(s.list)))
	b = le.AppendUint64(b, uint64(s.windows))
	for _, p := range s.list {
		for _, v := range []int64{p.out, p.bit, p.end, p.win} {
			b = le.AppendUint64(b, uint64(v))
		}
		b = le.AppendUint32(b, p.winLen)
		b = append(b, p.winSum[:]...)
		b = append(b, p.digest[:]...)
	}
	return b
}

func (s *spans) stored() int64 { return 2*4 + 2*8 + spanSize*int64(len(s.list)) }

func parseSpans(f *fields, size, blob int64, l Limits) (*spans, error) {
	kind, zero := f.uint32(), f.uint32()
	s := &spans{gzip: kind == uint32(ztoc.Gzip), blob: blob, size: size}
	if zero != 0 || !s.gzip && (kind != uint32(ztoc.Uncompressed) || size != blob) {
		return nil, errFile
	}
	n := f.int(int64(len(f.b) / spanSize))
	s.windows = f.int(math.MaxInt64)
	s.list = make([]span, n)
	for i := range s.list {
		p := span{out: f.int(size), bit: f.int(8 * blob), end: f.int(blob), win: f.int(s.windows), winLen: f.uint32()}
		copy(p.winSum[:], f.take(sha256.Size))
		copy(p.digest[:], f.take(sha256.Size))
		s.list[i] = p
	}
	if f.bad {
		return nil, errFile
	}
	if err := s.check(min(l.Chunk, maxSpan)); err != nil {
		return nil, fmt.Errorf("%w: %w", errFile, err)
	}
	return s, nil
}
