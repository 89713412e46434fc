package index

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"

	"ocifs.dev/ocifs/index/internal/inflate"
)

func (s *spans) decode(src io.Reader, windows io.ReaderAt, first, last int, emit func(i int, p []byte) error) error {
	if s.held != nil {
		windows = bytes.NewReader(s.held)
	}
	in := spanReader{src: src, pos: s.list[first].bit / 8}
	var d spanDecoder
	for i := first; i < last; i++ {
		p, err := in.read(&s.list[i])
		if err != nil {
			return err
		}
		if sha256.Sum256(p) != s.list[i].digest {
			return &ChunkError{Chunk: i}
		}
		if s.gzip {
			start, end := s.Bounds(i)
			if p, err = d.decode(p, &s.list[i], windows, end-start); err == errWindow {
				return &ChunkError{Chunk: i}
			} else if err != nil {
				return err
			}
		}
		if err := emit(i, p); err != nil {
			return err
		}
	}
	return nil
}

// A spanReader reads the bytes of spans, one after another.
type spanReader struct {
	src io.Reader
	pos int64  // of the blob that src is at
	buf []byte // what was read last; its last byte may be the next span's first
}

func (r *spanReader) read(s *span) ([]byte, error) {
	kept := r.buf[:0]
	if start := s.bit / 8; start < r.pos {
		kept = r.buf[len(r.buf)-1:]
	} else if _, err := io.CopyN(io.Discard, r.src, start-r.pos); err != nil {
		return nil, short(err)
	}
	n := int(s.end - s.bit/8)
	buf := r.buf[:0]
	if cap(buf) < n {
		buf = make([]byte, 0, n)
	}
	buf = append(buf, kept...)[:n]
	if _, err := io.ReadFull(r.src, buf[len(kept):]); err != nil {
		return nil, short(err)
	}
	r.buf, r.pos = buf, s.end
	return buf, nil
}

// A spanDecoder decodes spans of a gzip layer, one after another.
type spanDecoder struct {
	d      inflate.Decoder
	window []byte
	buf    []byte
}

var (
	errWindows = errors.New("the windows of the layer's spans are not at hand")
	errWindow  = errors.New("a window is not what it was")
)

// decode decodes p, the bytes of span s, which come to n.
func (d *spanDecoder) decode(p []byte, s *span, windows io.ReaderAt, n int64) ([]byte, error) {
	g, err := d.begin(bytes.NewReader(p), s, windows)
	if err != nil {
		return nil, err
	}
	if int64(cap(d.buf)) < n {
		d.buf = make([]byte, n)
	}
	if _, err := io.ReadFull(g, d.buf[:n]); err != nil {
		return nil, short(err)
	}
	return d.buf[:n], nil
}
