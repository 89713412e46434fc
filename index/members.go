package index

import (
	"errors"
	"io"
	"sync"

	"ocifs.dev/ocifs/index/internal/inflate"
)

// members decodes the members of a part of a blob, one after another.
type members struct {
	src   faulty
	in    io.LimitedReader // of src: the member's bytes
	start int64            // where they begin in the blob
	end   int64            // where they end in the blob
	out   int64            // bytes that the member was decoded to so far
	gzip  *gunzip
	pool  *decoders // where gzip's is from
	zstd  *unzstd
	dec   io.Reader // the one of them
	buf   []byte    // for what is passed over
}

// newMembers decodes src, which begins at off of p's blob.
func newMembers(src io.Reader, p *parts, off int64) (*members, error) {
	m := &members{src: faulty{r: src}, end: off, pool: p.pool}
	quiet := func(string) {}
	if p.format == EStargz {
		d := m.pool.get()
		m.gzip = &gunzip{d: d, in: d.Input(), warn: quiet}
		m.dec = m.gzip
		return m, nil
	}
	var err error
	m.zstd, err = newUnzstd(&m.in, p.window, quiet)
	m.dec = m.zstd
	return m, err
}

// open goes on to the member at off, which ends at end.
func (m *members) open(off, end int64) error {
	if _, err := io.CopyN(io.Discard, &m.src, off-(m.end-m.in.N)); err != nil {
		return m.fault(err)
	}
	m.start, m.end, m.out = off, end, 0
	m.in = io.LimitedReader{R: &m.src, N: end - off}
	if m.gzip != nil {
		m.gzip.d.Reset(&m.in)
		m.gzip.members, m.gzip.member = 0, member{}
		return nil
	}
	m.zstd.reset(&m.in)
	return nil
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
	var f *FormatError
	switch {
	case err == nil:
		return nil
	case m.src.err != nil:
		return m.src.err
	case errors.As(err, &f) && m.zstd != nil:
		return &FormatError{Format: ZstdChunked, Off: m.start + f.Off, Err: f.Err}
	case malformed(err), errors.Is(err, ErrLimit):
		return err
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
		m.zstd.close()
	}
	if m.gzip != nil {
		m.pool.put(m.gzip.d)
	}
}

// decoders are DEFLATE decoders at rest. One has 216 KiB to be made and cleared,
// which takes longer than to decode a small file.
type decoders struct{ sync.Pool }

func (p *decoders) get() *inflate.Decoder {
	if d, ok := p.Get().(*inflate.Decoder); ok {
		return d
	}
	return new(inflate.Decoder)
}

func (p *decoders) put(d *inflate.Decoder) {
	d.Reset(nil) // or what it read from couldn't be freed
	p.Put(d)
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
