package index

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sort"

	"github.com/opencontainers/go-digest"
)

// A stream is the tiling of a layer that was read from its first byte to its
// last: chunks of one size, points where decoding can begin (point.go), and a
// chain of hashes to verify them by (chain.go).
type stream struct {
	format  Format
	blob    int64   // length of the blob
	size    int64   // of the decoded space
	chain   []byte  // stateSize bytes per chunk
	points  []point // the first at 0
	windows int64   // length of the windows file
	window  int64   // Limits.Window
}

func (s *stream) Len() int { return int((s.size + ChunkSize - 1) / ChunkSize) }

func (s *stream) Bounds(i int) (start, end int64) {
	start = int64(i) * ChunkSize
	return start, min(start+ChunkSize, s.size)
}

func (s *stream) At(off int64) int { return int(off / ChunkSize) }

func (s *stream) extent(first, last int) (off, n int64) {
	start, _ := s.Bounds(first)
	_, end := s.Bounds(last - 1)
	if s.format.plain() {
		return start, end - start
	}
	off = s.points[s.before(start)].bit / 8
	after := sort.Search(len(s.points), func(i int) bool { return s.points[i].out >= end })
	if after == len(s.points) || end == s.size {
		return off, s.blob - off
	}
	till := s.points[after].bit
	if s.format == Gzip {
		till += lookahead
	}
	return off, min((till+7)/8, s.blob) - off
}

// likely is what extent would say, if all of the last frame were compressed
// equally well, and a block and an eighth more: so it will do, mostly.
func (s *stream) likely(first, last int) int64 {
	start, _ := s.Bounds(first)
	_, end := s.Bounds(last - 1)
	i := s.before(end - 1)
	p, next := s.points[i], point{out: s.size, bit: 8 * s.blob}
	if i+1 < len(s.points) {
		next = s.points[i+1]
	}
	share := float64(end-p.out) / float64(next.out-p.out) * float64((next.bit-p.bit)/8)
	return (p.bit-s.points[s.before(start)].bit)/8 + int64(share+share/8) + maxBlock
}

// maxBlock is how long a block of a zstd frame can be (RFC 8878, 3.1.1.2.4).
const maxBlock = 128 << 10

// lookahead is how many bits beyond a checkpoint the bytes before it may
// reach: the checkpoint stands before a match if the match reaches across it.
// That is a length and a distance, each with extra bits (RFC 1951, 3.2.5).
const lookahead = 15 + 5 + 15 + 13

// before is the last point at or before offset out of the decoded space.
func (s *stream) before(out int64) int {
	return sort.Search(len(s.points), func(i int) bool { return s.points[i].out > out }) - 1
}

// coarse is s for when the windows file is lost.
func (s *stream) coarse() *stream {
	c := *s
	c.points = []point{{}}
	return &c
}

func (s *stream) restart(i int) int {
	if s.format.plain() {
		return i
	}
	start, _ := s.Bounds(i)
	out := s.points[s.before(start)].out
	if start-out < ChunkSize {
		return i
	}
	return int((out + ChunkSize - 1) / ChunkSize)
}

func (s *stream) decode(src io.Reader, windows io.ReaderAt, first, last int, emit func(i int, p []byte) error) error {
	r, out, err := s.open(src, windows, first)
	if err != nil {
		return err
	}
	defer r.close()
	buf := make([]byte, ChunkSize)
	start, _ := s.Bounds(first)
	if err := skip(r, buf, start-out); err != nil {
		return err
	}
	for i := first; i < last; i++ {
		start, end := s.Bounds(i)
		p := buf[:end-start]
		if _, err := io.ReadFull(r, p); err != nil {
			return s.short(start, err)
		}
		if err := s.verify(i, p); err != nil {
			return err
		}
		if err := emit(i, p); err != nil {
			return err
		}
	}
	return nil
}

// open begins decoding at the point before chunk first, and says where in the
// decoded space that is.
func (s *stream) open(src io.Reader, windows io.ReaderAt, first int) (decoder, int64, error) {
	start, _ := s.Bounds(first)
	if s.format.plain() {
		return plain{src}, start, nil
	}
	p := s.points[s.before(start)]
	switch s.format {
	case Gzip:
		if p.bit == 0 { // coarse: before the header, where no checkpoint lies
			return newGunzip(src, MaxSpan, func(string) {}), 0, nil
		}
		window, err := readWindow(windows, p)
		if err != nil {
			return nil, 0, err
		}
		r, err := resumeGunzip(src, window)
		return r, p.out, err
	case Zstd:
		r, err := newUnzstd(src, s.window, func(string) {})
		return r, p.out, err
	}
	return nil, 0, fmt.Errorf("%w: a layer in %s", ErrUnsupported, s.format)
}

func (s *stream) append(b []byte) []byte {
	b = le.AppendUint32(b, ChunkSize)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, uint64(len(s.points)))
	b = le.AppendUint64(b, uint64(s.windows))
	b = append(b, s.chain...)
	for _, p := range s.points {
		b = le.AppendUint64(b, uint64(p.out))
		b = le.AppendUint64(b, uint64(p.bit))
		b = le.AppendUint64(b, uint64(p.win))
		b = le.AppendUint32(b, p.winLen)
	}
	return b
}

// pointSize is the length of a stored point: out, bit, win, winLen.
const pointSize = 8 + 8 + 8 + 4

func (s *stream) stored() int64 {
	return 2*4 + 2*8 + int64(len(s.chain)) + pointSize*int64(len(s.points))
}

func parseStream(f *fields, format Format, size, blob, window int64) (*stream, error) {
	s := &stream{format: format, blob: blob, size: size, window: window}
	if f.uint32() != ChunkSize || f.uint32() != 0 {
		return nil, errFile
	}
	npoints := f.int(int64(len(f.b) / pointSize))
	s.windows = f.int(math.MaxInt64)
	if chunks := (size + ChunkSize - 1) / ChunkSize; chunks <= int64(len(f.b)/stateSize) {
		s.chain = f.take(int(chunks) * stateSize)
	}
	s.points = make([]point, npoints)
	for i := range s.points {
		s.points[i] = point{out: f.int(size), bit: f.int(8 * blob), win: f.int(s.windows), winLen: f.uint32()}
	}
	if f.bad || len(s.chain) != s.Len()*stateSize {
		return nil, errFile
	}
	return s, s.check()
}

// proves says whether the chain ends in the diffID, as it must where that is a
// SHA-256: then chunks that were all verified have proved it.
func (s *stream) proves(diffID digest.Digest) bool {
	n := len(s.chain)
	if n == 0 || diffID.Algorithm() != digest.SHA256 {
		return true
	}
	return digest.NewDigestFromBytes(digest.SHA256, s.chain[n-stateSize:]) == diffID
}

// check checks what the points have to do with each other.
func (s *stream) check() error {
	last := point{}
	for i, p := range s.points {
		if i == 0 && p.out != 0 || i > 0 && (p.out <= last.out || p.bit <= last.bit) || int64(p.winLen) > s.windows-p.win {
			return fmt.Errorf("%w: checkpoint %d", errFile, i)
		}
		last = p
	}
	if len(s.points) == 0 && !s.format.plain() && s.size > 0 || s.format.plain() && s.blob != s.size {
		return fmt.Errorf("%w: nowhere to begin", errFile)
	}
	return nil
}

// short is err, where the source ended before the chunks did, as that.
func (s *stream) short(at int64, err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return &FormatError{Format: s.format, Off: at, Err: errTruncated}
	}
	return err
}
