package index

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"ocifs.dev/ocifs/index/internal/inflate"
)

// members decodes the members of a part of a blob, one after another.
type members struct {
	src  faulty
	in   io.LimitedReader // of src: the member's bytes
	end  int64            // where they end in the blob
	out  int64            // bytes that the member was decoded to so far
	gzip *gunzip
	zstd *zstd.Decoder
	dec  io.Reader // the one of them
	buf  []byte    // for what is passed over
}

// partWindow is the memory that a zstd frame may ask for: Limits.Window's
// default.
const partWindow = 128 << 20

// newMembers decodes src, which begins at off of the blob.
func newMembers(src io.Reader, f Format, off int64) (*members, error) {
	m := &members{src: faulty{r: src}, end: off}
	if f == EStargz {
		d := new(inflate.Decoder)
		m.gzip = &gunzip{d: d, in: d.Input(), warn: func(string) {}}
		m.dec = m.gzip
		return m, nil
	}
	var err error
	m.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(partWindow))
	m.dec = m.zstd
	return m, err
}

// open goes on to the member at off, which ends at end.
func (m *members) open(off, end int64) error {
	if _, err := io.CopyN(io.Discard, &m.src, off-(m.end-m.in.N)); err != nil {
		return m.fault(err)
	}
	m.end, m.out = end, 0
	m.in = io.LimitedReader{R: &m.src, N: end - off}
	if m.gzip != nil {
		m.gzip.d.Reset(&m.in)
		m.gzip.members, m.gzip.member = 0, member{}
		return nil
	}
	return m.fault(m.zstd.Reset(&m.in))
}

// read fills p with what the member decodes to behind skip bytes, of which
// those that were read already are behind m.
func (m *members) read(p []byte, skip int64) error {
	if m.buf == nil && skip > m.out {
		m.buf = make([]byte, 1<<15)
	}
	for m.out < skip {
		n, err := io.ReadFull(m.dec, m.buf[:min(int64(len(m.buf)), skip-m.out)])
		if m.out += int64(n); err != nil {
			return m.fault(err)
		}
	}
	n, err := io.ReadFull(m.dec, p)
	m.out += int64(n)
	return m.fault(err)
}

// fault tells apart what the blob is to blame for.
func (m *members) fault(err error) error {
	switch {
	case err == nil:
		return nil
	case m.src.err != nil:
		return m.src.err
	case malformed(err):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fmt.Errorf("%w: zstd: %w", ErrLimit, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errTruncated
	}
	return &FormatError{Format: m.format(), Off: m.end - m.in.N, Err: err}
}

func (m *members) format() Format {
	if m.gzip != nil {
		return EStargz
	}
	return ZstdChunked
}

func (m *members) close() {
	if m.zstd != nil {
		m.zstd.Close()
	}
}

// faulty is a reader that remembers what it failed with.
type faulty struct {
	r   io.Reader
	err error
}

func (f *faulty) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}
