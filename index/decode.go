package index

import (
	"errors"
	"fmt"
	"io"
)

// Extent says which bytes of the blob Decode needs for chunks [first, last):
// n bytes at off, which may be none.
func (t *TOC) Extent(first, last int) (off, n int64) { return t.tiling.extent(first, last) }

// Likely is how many of the bytes that Extent names, from the first one on,
// Decode will read, as far as that can be told: all, unless it ends in the
// middle of a zstd frame, of which nobody knows where in it what lies.
func (t *TOC) Likely(first, last int) int64 {
	_, n := t.Extent(first, last)
	if s, ok := t.tiling.(*stream); ok && s.format == Zstd {
		n = min(n, s.likely(first, last))
	}
	return n
}

// Coarse is a TOC of the same layer for when the windows file is lost: its
// Decode needs none, and begins at the layer's first byte.
func (t *TOC) Coarse() *TOC {
	s, ok := t.tiling.(*stream)
	if !ok || s.format != Gzip {
		return t
	}
	c := *t
	c.tiling = s.coarse()
	return &c
}

// Restart is the first chunk that Decode decodes on its way to chunk i,
// needed or not: i itself where a point is near, the frame's first chunk for a
// zstd layer of one frame, the member's first where several files share one. A
// caller that keeps chunks does well to ask for all of them.
func (t *TOC) Restart(i int) int { return t.tiling.restart(i) }

// Decode decodes chunks [first, last) from src, which gives the bytes that
// Extent names, and hands each, verified, to emit; p is the caller's again
// when emit returns. windows is the windows file that Build wrote; see
// WindowsSize for where there is none.
//
// It is a function of its arguments and safe for concurrent use. A
// *ChunkError or *FormatError says that the bytes are not the layer's; errors
// of src, windows and emit are passed on.
func (t *TOC) Decode(src io.Reader, windows io.ReaderAt, first, last int, emit func(i int, p []byte) error) error {
	err := t.tiling.decode(src, windows, first, last, emit)
	if c, ok := err.(*ChunkError); ok && c.Digest == "" {
		c.Digest = string(t.blob)
	}
	return err
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
