package index

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// unzstd decodes a zstd blob (RFC 8878), frame by frame, so that every frame's
// start can become a point.
type unzstd struct {
	in     *frames
	dec    *zstd.Decoder
	inside bool // a frame
	out    int64
	marks  marks
	spaced int64 // where the next one is worth keeping
}

// newUnzstd decodes in, whose frames may ask for window bytes of memory.
func newUnzstd(in io.Reader, window int64, warn func(string)) (*unzstd, error) {
	dec, err := newZstd(window)
	if err != nil {
		return nil, err
	}
	return &unzstd{in: &frames{r: bufio.NewReader(in), window: window, warn: warn}, dec: dec}, nil
}

// newZstd is a decoder of frames that have been held to window.
func newZstd(window int64) (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1), // a pass has goroutines enough, and a fill is one of many
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(max(window, zstd.MinWindowSize))))
}

// reset goes on with another blob, which begins with a frame.
func (z *unzstd) reset(in io.Reader) {
	z.in.r.Reset(in)
	*z.in = frames{r: z.in.r, window: z.in.window, warn: z.in.warn}
	z.inside, z.out, z.spaced, z.marks = false, 0, 0, nil
}

func (z *unzstd) Read(p []byte) (int, error) {
	for {
		if !z.inside {
			if err := z.begin(); err != nil {
				return 0, err
			}
		}
		n, err := z.dec.Read(p)
		z.out += int64(n)
		if err == io.EOF {
			z.inside, err = false, nil
		}
		if n > 0 || err != nil {
			return n, z.fault(err)
		}
	}
}

func (z *unzstd) begin() error {
	if err := z.in.next(); err != nil {
		return err
	}
	z.inside = true
	if z.out >= z.spaced { // one closer than a chunk to the one before would save no work
		z.spaced = z.out + ChunkSize
		z.marks = append(z.marks, mark{out: z.out, bit: 8 * z.in.off})
	}
	return z.fault(z.dec.Reset(z.in))
}

// fault tells apart what the blob is to blame for.
func (z *unzstd) fault(err error) error {
	switch {
	case err == nil:
		return nil
	case z.in.err != nil:
		return z.in.err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("%w: zstd: %w", ErrLimit, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errTruncated
	}
	return &FormatError{Format: Zstd, Off: z.in.off, Err: err}
}

func (z *unzstd) found() []mark { return z.marks.take() }

func (z *unzstd) close() { z.dec.Close() }

var errTruncated = errors.New("the layer ends in the middle of the stream")

// frames shows a blob's frames one by one: after each next, Read gives the
// bytes of one frame and then io.EOF. Blocks tell their length (RFC 8878,
// 3.1.1.2), so nothing is decoded for it.
type frames struct {
	r      *bufio.Reader
	window int64 // bytes that a frame may ask for
	warn   func(string)
	off    int64 // of the next byte in the blob
	n      int   // frames so far
	err    error // what r failed with

	left     int64 // bytes of the header or block being read
	last     bool  // no block follows
	checksum bool  // 4 bytes follow the last block
	ended    bool
}

// Magic numbers and lengths of RFC 8878.
const (
	frameMagic    = 0xfd2fb528
	skippable     = 0x184d2a50 // and the 15 numbers that follow
	skippableHead = 8
	blockHead     = 3
	checksumLen   = 4
)

// next goes to the next frame; io.EOF says that there is none.
func (f *frames) next() error {
	for {
		b, err := f.peek(4)
		if err == io.EOF && len(b) == 0 {
			return io.EOF
		}
		magic := uint32(0)
		for i := range b {
			magic |= uint32(b[i]) << (8 * i)
		}
		switch {
		case f.err != nil:
			return f.err
		case len(b) == 4 && magic == frameMagic:
			return f.header()
		case len(b) == 4 && magic&^15 == skippable:
			if err := f.skip(); err != nil {
				return err
			}
		case f.n == 0:
			return &FormatError{Format: Zstd, Off: f.off, Err: errors.New("no frame begins here")}
		default:
			f.warn(fmt.Sprintf("zstd: bytes that are no frame follow the last one, at %d of the layer", f.off))
			return io.EOF
		}
	}
}

// peek is the next n bytes, or with io.EOF fewer.
func (f *frames) peek(n int) ([]byte, error) {
	b, err := f.r.Peek(n)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return b, err
}

func (f *frames) skip() error {
	b, err := f.peek(skippableHead)
	if err != nil {
		return f.truncated()
	}
	n := skippableHead + int64(b[4]) + int64(b[5])<<8 + int64(b[6])<<16 + int64(b[7])<<24
	m, err := io.CopyN(io.Discard, f.r, n)
	f.off += m
	if err != nil && err != io.EOF {
		f.err = err
	}
	if err != nil {
		return f.truncated()
	}
	return nil
}

func (f *frames) truncated() error {
	if f.err != nil {
		return f.err
	}
	return &FormatError{Format: Zstd, Off: f.off, Err: errTruncated}
}

// header reads the frame's header, and holds it to the limit.
func (f *frames) header() error {
	b, _ := f.peek(maxFrameHeader) // the blob may end before so many
	h, ok := parseFrameHeader(b)
	if !ok {
		return f.truncated()
	}
	if h.window > f.window {
		return &WindowError{Window: h.window, Limit: f.window}
	}
	f.n++
	f.left, f.last, f.ended = int64(h.n), false, false
	f.checksum = h.checksum
	return nil
}

func (f *frames) Read(p []byte) (int, error) {
	for f.left == 0 {
		if err := f.block(); err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	f.off += int64(n)
	f.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	} else if err != nil {
		f.err = err
	}
	return n, err
}

// block goes to the next block, to the checksum, or to the frame's end.
func (f *frames) block() error {
	switch {
	case f.ended || f.last && !f.checksum:
		f.ended = true
		return io.EOF
	case f.last:
		f.ended, f.left = true, checksumLen
		return nil
	}
	b, err := f.peek(blockHead)
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	} else if err != nil {
		return err
	}
	h := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
	f.last = h&1 != 0
	f.left = blockHead + h>>3
	if h>>1&3 == 1 { // RLE: one byte, repeated
		f.left = blockHead + 1
	}
	return nil
}
