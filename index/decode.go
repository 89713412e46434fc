package index

import (
	"errors"
	"fmt"
	"io"
	"sort"
)

// Extent says which bytes of the blob Decode needs for chunks [first, last).
func (t *TOC) Extent(first, last int) (off, n int64) {
	start, _ := t.Bounds(first)
	_, end := t.Bounds(last - 1)
	if t.format == Tar {
		return start, end - start
	}
	off = t.points[t.before(start)].bit / 8
	after := sort.Search(len(t.points), func(i int) bool { return t.points[i].out >= end })
	if after == len(t.points) || end == t.size {
		return off, t.blobSize - off
	}
	return off, min((t.points[after].bit+lookahead+7)/8, t.blobSize) - off
}

// lookahead is how many bits beyond a checkpoint the bytes before it may
// reach: the checkpoint stands before a match if the match reaches across it.
// That is a length and a distance, each with extra bits (RFC 1951, 3.2.5).
const lookahead = 15 + 5 + 15 + 13

// Coarse is a TOC of the same layer for when the windows file is lost: its
// Decode needs none, and begins at the layer's first byte.
func (t *TOC) Coarse() *TOC {
	if t.format != Gzip {
		return t
	}
	c := *t
	c.points = []point{{}}
	return &c
}

// before is the last point at or before offset out of the decoded space.
func (t *TOC) before(out int64) int {
	return sort.Search(len(t.points), func(i int) bool { return t.points[i].out > out }) - 1
}

// Restart is the first chunk that Decode decodes on its way to chunk i,
// needed or not: i itself where a point is near, the frame's first chunk for a
// zstd layer of one frame. A caller that keeps chunks does well to ask for all
// of them.
func (t *TOC) Restart(i int) int {
	if t.format == Tar {
		return i
	}
	start, _ := t.Bounds(i)
	out := t.points[t.before(start)].out
	if start-out < ChunkSize {
		return i
	}
	return int((out + ChunkSize - 1) / ChunkSize)
}

// Decode decodes chunks [first, last) from src, which gives the bytes that
// Extent names, and hands each, verified, to emit; p is the caller's again
// when emit returns. windows is the windows file that Build wrote.
//
// It is a function of its arguments and safe for concurrent use. A
// *ChunkError or *FormatError says that the bytes are not the layer's; errors
// of src, windows and emit are passed on.
func (t *TOC) Decode(src io.Reader, windows io.ReaderAt, first, last int, emit func(i int, p []byte) error) error {
	r, out, err := t.open(src, windows, first)
	if err != nil {
		return err
	}
	defer r.close()
	buf := make([]byte, ChunkSize)
	start, _ := t.Bounds(first)
	if err := skip(r, buf, start-out); err != nil {
		return err
	}
	for i := first; i < last; i++ {
		start, end := t.Bounds(i)
		p := buf[:end-start]
		if _, err := io.ReadFull(r, p); err != nil {
			return short(err)
		}
		if err := t.verify(i, p); err != nil {
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
func (t *TOC) open(src io.Reader, windows io.ReaderAt, first int) (decoder, int64, error) {
	start, _ := t.Bounds(first)
	if t.format == Tar {
		return plain{src}, start, nil
	}
	p := t.points[t.before(start)]
	switch t.format {
	case Gzip:
		if p.bit == 0 { // coarse: before the header, where no checkpoint lies
			return newGunzip(src, func(string) {}), 0, nil
		}
		window, err := readWindow(windows, p)
		if err != nil {
			return nil, 0, err
		}
		r, err := resumeGunzip(src, window)
		return r, p.out, err
	case Zstd:
		r, err := newUnzstd(src, Options{Limits: Limits{Window: 1 << 31}, Warn: func(string) {}})
		return r, p.out, err
	}
	return nil, 0, fmt.Errorf("%w: a layer in %s", ErrUnsupported, t.format)
}

func readWindow(windows io.ReaderAt, p point) ([]byte, error) {
	if p.winLen == 0 {
		return nil, nil
	}
	b := make([]byte, p.winLen)
	if _, err := windows.ReadAt(b, p.win); err != nil {
		return nil, fmt.Errorf("checkpoint at %d: %w", p.out, err)
	}
	return b, nil
}

func skip(r io.Reader, buf []byte, n int64) error {
	for n > 0 {
		m, err := io.ReadFull(r, buf[:min(n, int64(len(buf)))])
		if n -= int64(m); err != nil {
			return short(err)
		}
	}
	return nil
}

// short is err, where the source ended before the chunks did, as that.
func short(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTruncated
	}
	return err
}
