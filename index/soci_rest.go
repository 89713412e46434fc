package index

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
)

// Rest says which bytes of the blob Behind needs: n bytes at off, none if there
// is nothing behind the decoded space, as in all but a gzip layer with a zTOC.
func (t *TOC) Rest() (off, n int64) {
	s, ok := t.tiling.(*spans)
	if !ok || !s.gzip || len(s.list) == 0 {
		return 0, 0
	}
	off = s.list[len(s.list)-1].bit / 8
	return off, s.blob - off
}

// Behind is what the layer decodes to behind the decoded space, mostly what pads
// the archive: with both, the diffID can be computed. src gives the bytes that
// Rest names, and is read from when Behind's is; windows is as for Decode.
func (t *TOC) Behind(src io.Reader, windows io.ReaderAt) io.Reader {
	return &behind{spans: t.tiling.(*spans), src: src, windows: windows}
}

type behind struct {
	*spans
	src     io.Reader
	windows io.ReaderAt
	d       spanDecoder
	r       io.Reader // nil: not begun
}

func (b *behind) Read(p []byte) (int, error) {
	if b.r == nil {
		if err := b.begin(); err != nil {
			return 0, err
		}
	}
	return b.r.Read(p)
}

// begin decodes the last span, of which the decoded space has all.
func (b *behind) begin() error {
	if b.held != nil {
		b.windows = bytes.NewReader(b.held)
	}
	i := b.Len() - 1
	start, end := b.Bounds(i)
	r, err := b.d.begin(b.src, &b.list[i], b.windows)
	if err == errWindow {
		return &ChunkError{Chunk: i}
	} else if err != nil {
		return err
	}
	if err := skip(r, make([]byte, 1<<15), end-start); err != nil {
		return err
	}
	b.r = r
	return nil
}

// begin begins to decode src at span s.
func (d *spanDecoder) begin(src io.Reader, s *span, windows io.ReaderAt) (*gunzip, error) {
	d.window = append(d.window[:0], make([]byte, s.winLen)...)
	if s.winLen > 0 {
		if windows == nil {
			return nil, errWindows
		}
		if _, err := windows.ReadAt(d.window, s.win); err != nil {
			return nil, fmt.Errorf("window at %d: %w", s.win, err)
		}
	}
	if sha256.Sum256(d.window) != s.winSum {
		return nil, errWindow
	}
	d.d.ResumeBlock(src, int(s.bit%8), d.window)
	return &gunzip{d: &d.d, in: d.d.Input(), warn: func(string) {}, members: 1, member: member{open: true, partial: true}}, nil
}
