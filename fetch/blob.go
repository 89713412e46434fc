package fetch

import (
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// A Blob is a layer as it is kept: immutable bytes that can be read anywhere,
// by any number of readers at a time. Its bytes are as they came: they are not
// verified, since only who knows the layer's chunks can do that piece by
// piece.
type Blob struct {
	digest  digest.Digest
	size    int64
	m       medium
	explain func(error) error
}

// A medium is what a blob's bytes are read from. It is asked only for bytes
// that lie within the blob.
type medium interface {
	// ReadAt fills p, and returns an error if it could not.
	io.ReaderAt
	// stream returns the n bytes from off on; once, by one request at a time,
	// however many they are.
	stream(off, n int64, once bool) io.ReadCloser
	io.Closer
}

// Digest is the digest in the blob's descriptor.
func (b *Blob) Digest() digest.Digest { return b.digest }

// Size is the blob's length in bytes, from its descriptor.
func (b *Blob) Size() int64 { return b.size }

// Local says whether the blob is in a file, or in memory, on this machine, as
// it is: then reading it costs no request, nor is anything unpacked for it.
func (b *Blob) Local() bool {
	l, ok := b.m.(*local)
	return ok && !l.packed
}

// ReadAt reads len(p) bytes at off by one bounded ranged request, retries
// apart. At the blob's end it returns what there is and io.EOF.
func (b *Blob) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("fetch: negative offset")
	}
	if off >= b.size {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > b.size-off {
		p, end = p[:b.size-off], io.EOF
	}
	if len(p) == 0 {
		return 0, end
	}
	n, err := b.m.ReadAt(p, off)
	if n == len(p) {
		return n, end
	}
	return n, b.failed(err)
}

// Range returns a stream of blob[off:off+n], cut at the blob's end. A long
// stream from a registry is fetched by several ranged requests side by side,
// at most streamWidth at a time, each of pieceSize bytes; a shorter one by a
// single request. Where the server cannot give ranges, it is one request. A
// connection that breaks is replaced by a new request for the rest.
//
// Close it: that stops the requests and waits until they have ended. It can be
// called while a Read waits, which then fails.
func (b *Blob) Range(off, n int64) io.ReadCloser {
	off = min(max(off, 0), b.size)
	n = min(max(n, 0), b.size-off)
	if n == 0 {
		return io.NopCloser(io.LimitReader(nil, 0))
	}
	return &ranged{r: b.m.stream(off, n, false), left: n, failed: b.failed}
}

// maxOnce is how large a blob may be for Whole to ask for it at once.
const maxOnce = 64 << 20

// Whole is Range for all of the blob, but by one request, for what is needed
// before anything else can be done, and is small beside a layer. One of more than
// 64 MiB is fetched as Range does.
func (b *Blob) Whole() io.ReadCloser {
	if b.size == 0 || b.size > maxOnce {
		return b.Range(0, b.size)
	}
	return &ranged{r: b.m.stream(0, b.size, true), left: b.size, failed: b.failed}
}

// Distrust says that what was read of r, which Range has returned, was wrong.
// It returns true if another server may have the right bytes: then whoever gave
// these is not asked for this blob again, and it may be read once more. That can
// be said of one stream once.
func (b *Blob) Distrust(r io.ReadCloser) bool {
	if stream, ok := r.(*ranged); ok {
		if of, ok := stream.r.(*mirroredStream); ok {
			return of.distrust()
		}
	}
	return false
}

// Close ends all reads that are under way.
func (b *Blob) Close() error { return b.m.Close() }

func (b *Blob) failed(err error) error {
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b.explain(fmt.Errorf("%s: %w", b.digest, err))
}

// ranged holds a stream to its length: it ends with io.EOF exactly at the
// end, and with an error that says what failed before it.
type ranged struct {
	r      io.ReadCloser
	left   int64
	failed func(error) error
}

func (r *ranged) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.r.Read(p)
	r.left -= int64(n)
	if err != nil && r.left > 0 {
		return n, r.failed(err)
	}
	return n, nil
}

func (r *ranged) Close() error { return r.r.Close() }

// local is a medium on this machine.
type local struct {
	r      io.ReaderAt
	close  func() error // nil: nothing to close
	packed bool         // it must be unpacked to be read
	claim  *claim       // nil: its digest hangs from the manifest's
}

func (l *local) ReadAt(p []byte, off int64) (int, error) { return l.r.ReadAt(p, off) }

func (l *local) stream(off, n int64, _ bool) io.ReadCloser {
	return io.NopCloser(io.NewSectionReader(l.r, off, n))
}

func (l *local) Close() error {
	if l.close == nil {
		return nil
	}
	return l.close()
}
