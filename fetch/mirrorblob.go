package fetch

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A mirroredBlob is a blob that several registries may have. Whoever could
// give of it last is asked first.
type mirroredBlob struct {
	m      *mirrored
	name   string
	copies []*blobCopy
	last   atomic.Pointer[blobCopy] // nil: none has given any of it
	ctx    context.Context
}

// A blobCopy is the blob in one of the registries.
type blobCopy struct {
	*remote
	at    *standby
	wrong atomic.Bool // it is something else
}

func (m *mirrored) blob(ctx context.Context, d ocispec.Descriptor) (medium, error) {
	b := &mirroredBlob{m: m, name: string(d.Digest), ctx: ctx}
	for _, s := range m.list {
		if s.pull {
			b.copies = append(b.copies, &blobCopy{remote: s.registry.remote(ctx, d), at: s})
		}
	}
	if len(b.copies) == 0 {
		return nil, fmt.Errorf("%w: %s lets no server be asked for content", ErrUnsupported, m.file)
	}
	return b, nil
}

// order lists the copies in the order in which to try them: what is down comes
// late, and what is known to be wrong not at all, unless there is nothing else.
func (b *mirroredBlob) order() []*blobCopy {
	var list, down []*blobCopy
	if last := b.last.Load(); last != nil && !last.at.isDown() && !last.wrong.Load() {
		list = append(list, last)
	}
	for i, c := range b.copies {
		switch {
		case len(list) > 0 && c == list[0] || c.wrong.Load():
		case c.at.isDown() && i < len(b.copies)-1:
			down = append(down, c)
		default:
			list = append(list, c)
		}
	}
	if list = append(list, down...); len(list) == 0 {
		return b.copies
	}
	return list
}

func (s *mirroredStream) worked(c *blobCopy) {
	if len(s.gave) == 0 || s.gave[len(s.gave)-1] != c {
		s.gave = append(s.gave, c)
	}
	if s.b.last.Swap(c) != c {
		s.b.m.tell.got(s.b.name, c.at)
	}
}

// distrust gives up the copies that the stream is of, and reports whether there
// are others. The stream has been read, and by nobody any more.
func (s *mirroredStream) distrust() bool {
	for _, c := range s.gave {
		if !c.wrong.Swap(true) {
			s.b.m.tell.warn(fmt.Sprintf("%s: what %s gives for it is something else: not to be asked for it again", s.b.name, c.at.host))
		}
	}
	another := slices.ContainsFunc(s.b.copies, func(c *blobCopy) bool { return !c.wrong.Load() })
	return another && len(s.gave) > 0
}

func (b *mirroredBlob) ReadAt(p []byte, off int64) (n int, err error) {
	r := b.reader(off, int64(len(p)), func(c *blobCopy, off, n int64) io.ReadCloser {
		return &resuming{ctx: b.ctx, b: c.remote, off: off, end: off + n}
	})
	defer r.Close()
	return io.ReadFull(r, p)
}

func (b *mirroredBlob) stream(off, n int64, once bool) io.ReadCloser {
	return b.reader(off, n, func(c *blobCopy, off, n int64) io.ReadCloser { return c.stream(off, n, once) })
}

func (b *mirroredBlob) reader(off, n int64, open func(c *blobCopy, off, n int64) io.ReadCloser) *mirroredStream {
	return &mirroredStream{b: b, off: off, end: off + n, open: open, order: b.order()}
}

func (b *mirroredBlob) Close() error {
	for _, c := range b.copies {
		c.Close()
	}
	return nil
}

// A mirroredStream reads from one copy until that fails, and goes on where it
// was with the next one. Each is tried once: it has had its retries.
type mirroredStream struct {
	b        *mirroredBlob
	open     func(c *blobCopy, off, n int64) io.ReadCloser
	off, end int64
	order    []*blobCopy // to be tried, the current one first
	gave     []*blobCopy // who gave bytes
	blame    error       // what the repository itself has failed with or, if it has not, the first who has

	mu     sync.Mutex // guards the fields below
	r      io.ReadCloser
	closed bool
}

func (s *mirroredStream) Read(p []byte) (int, error) {
	for s.off < s.end {
		r, err := s.current()
		if err != nil {
			return 0, err
		}
		n, err := r.Read(p)
		if s.off += int64(n); n > 0 {
			s.worked(s.order[0])
			return n, nil // an error comes again
		}
		if err == nil {
			return 0, nil
		}
		if err := s.next(err); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}

// current is the reader of the copy whose turn it is.
func (s *mirroredStream) current() (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, context.Canceled
	case s.r == nil:
		s.r = s.open(s.order[0], s.off, s.end-s.off)
	}
	return s.r, nil
}

// next gives the current copy up because of err, and returns what to fail
// with if it was the last one.
func (s *mirroredStream) next(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	s.mu.Lock()
	closed := s.closed
	if r := s.r; r != nil {
		s.r = nil
		r.Close()
	}
	s.mu.Unlock()
	if closed || s.b.ctx.Err() != nil {
		return err
	}
	failed := s.order[0]
	if s.blame == nil || failed.registry() == s.b.m.home() {
		s.blame = err
	}
	if s.order = s.order[1:]; len(s.order) == 0 {
		return s.blame
	}
	s.b.last.CompareAndSwap(failed, nil)
	s.b.m.tell.failed(s.b.name, failed.at, s.order[0].at, err)
	return nil
}

func (s *mirroredStream) Close() error {
	s.mu.Lock()
	r := s.r
	s.closed = true
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	return r.Close()
}

func (c *blobCopy) registry() *registry { return c.at.registry }
