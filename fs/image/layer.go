package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
)

// A layer is the decoded space of one layer: an io.ReaderAt through the cache.
type layer struct {
	n      int // counts from 0, the base
	desc   ocispec.Descriptor
	diffID digest.Digest
	format index.Format // what the media type says; the layer's first bytes have the last word

	whole bool // nobody else's table of contents is used

	// How its table of contents was come by, see plan.go.
	toc     *index.TOC
	origin  Origin
	key     string      // of its space in the cache
	windows io.ReaderAt // the decoder's states; nil: they lie beside the space

	life   context.Context // the image's
	blob   *fetch.Blob     // bound by it
	slots  chan struct{}   // see sideBySide
	report func(msg string)
	space  *cache.Space
	ahead  *ahead
	audit  *audit        // nil: the layer goes by what was read of it or vouched for piece by piece, or by an index found true
	raw    *raw          // nil, but for a blob that is no archive and is read by ranges
	wrong  *atomic.Int64 // how often bytes of the blob were not what they should be; nil: nobody counts
	heads  *headed       // nil as audit
	astray *astray       // nil, but for a layer that goes by an ocifs index from elsewhere
}

// open finds or makes the layer's TOC and opens its space. ctx bounds the
// first; the second lasts until close.
func (l *layer) open(ctx context.Context, p *planner) error {
	err := l.plan(ctx, p)
	if err == nil {
		err = p.room.take(l.toc)
	}
	if err != nil {
		return fmt.Errorf("layer %d %s: %w", l.n+1, l.desc.Digest, err)
	}
	l.held(p)
	p.o.progress(l.n, l.desc.Size, l.desc.Size)
	if l.space, err = p.store.Space(l.key, tiles{l.toc}, l.fill); err != nil {
		return err
	}
	switch l.origin {
	case OriginSOCI, OriginPushed:
		l.doubt(p.store)
	case OriginRange:
		l.await(p)
	}
	return nil
}

func (l *layer) close() error {
	var errs []error
	if l.space != nil {
		errs = append(errs, l.space.Close())
	}
	if l.audit != nil {
		l.audit.done.Wait()
	}
	errs = append(errs, l.raw.close())
	l.audit.clear()
	if w, ok := l.windows.(io.Closer); ok {
		errs = append(errs, w.Close())
	}
	return errors.Join(append(errs, l.blob.Close())...)
}

// fill fetches, decodes and verifies chunks [first, last) by one request. It is
// a cache.Fill.
//
// The windows can be lost, as all else in the cache, or be evicted with their
// space. Then the layer is decoded once more from its beginning.
func (l *layer) fill(first, last int, put func(i int, p []byte) error) error {
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	if l.audit != nil {
		put = l.audit.put(l, put)
	}
	if l.origin == OriginRange && l.desc.Size <= smallBlob {
		return l.fillWhole(put)
	}
	if l.astray.known() != nil {
		return l.fillCoarse(first, last, put)
	}
	windows, err := l.states()
	if err == nil {
		err = l.fillBy(windows, first, last, put)
	}
	misled := l.misled(err)
	if errors.Is(err, cache.ErrDamaged) || errors.Is(err, fs.ErrNotExist) || misled {
		cause := err
		if err = l.fillCoarse(first, last, put); err == nil && misled {
			l.strayed(cause)
		}
	}
	return err
}

// fillCoarse fills without windows.
func (l *layer) fillCoarse(first, last int, put func(i int, p []byte) error) error {
	coarse := tiles{l.toc.Coarse()}
	first, last = coarse.Widen(first, last)
	return l.decode(coarse.TOC, nil, first, last, put)
}

// fillBy fills by windows, and where those are from elsewhere and have led to
// wrong bytes, once more by such as are fetched anew.
func (l *layer) fillBy(windows io.ReaderAt, first, last int, put func(i int, p []byte) error) error {
	seen := &noted{ReaderAt: windows}
	r, err := l.decodeOnce(l.toc, seen, first, last, put)
	if p, foreign := windows.(*pages); foreign && l.misled(err) && p.renew(seen.off, seen.n) {
		r, err = l.decodeOnce(l.toc, seen, first, last, put)
	}
	if isWrong(err) && l.blob.Distrust(r) {
		err = l.decode(l.toc, seen, first, last, put)
	}
	return err
}

// misled says whether err may be the fault of windows from elsewhere, which
// aren't verified but by what they lead to.
func (l *layer) misled(err error) bool {
	var chunk *index.ChunkError
	var format *index.FormatError
	_, foreign := l.windows.(*pages)
	return foreign && (errors.As(err, &chunk) || errors.As(err, &format))
}

// states is the file of the decoder's states.
func (l *layer) states() (io.ReaderAt, error) {
	if l.windows != nil {
		return l.windows, nil
	}
	return l.space.Aux()
}

// decode decodes chunks [first, last): if what comes is wrong, once more from
// each other place that there is.
func (l *layer) decode(toc *index.TOC, windows io.ReaderAt, first, last int, put func(i int, p []byte) error) error {
	for {
		r, err := l.decodeOnce(toc, windows, first, last, put)
		if !isWrong(err) || !l.blob.Distrust(r) {
			return err
		}
	}
}

// decodeOnce returns the stream that it has read last, too, which is closed.
func (l *layer) decodeOnce(toc *index.TOC, windows io.ReaderAt, first, last int, put func(i int, p []byte) error) (io.ReadCloser, error) {
	off, n := toc.Extent(first, last)
	if likely := toc.Likely(first, last); likely < n {
		r := grow(l.blob, off, n, likely)
		defer r.Close()
		err := toc.Decode(r, windows, first, last, put)
		return r.r, err
	}
	stream := l.blob.Range(off, n)
	r := stream
	if _, foreign := l.windows.(*pages); foreign { // a page may have to come first
		r = begin(stream)
	}
	defer r.Close()
	err := toc.Decode(r, windows, first, last, put)
	if isWrong(err) && l.wrong != nil {
		l.wrong.Add(1)
	}
	return stream, err
}

// isWrong says whether err means that bytes of a blob are not what they should
// be.
func isWrong(err error) bool {
	var blob *index.DigestError
	var chunk *index.ChunkError
	var format *index.FormatError
	return errors.As(err, &blob) || errors.As(err, &chunk) || errors.As(err, &format)
}

const (
	// neighbourhood is how many bytes of the blob are fetched at least, if there
	// are so many: less would take hardly less time, and small files, of which
	// each can be a chunk of its own, are seldom read alone.
	neighbourhood = 128 << 10

	// smallFrame is how many bytes of the blob a zstd frame may have to be
	// decoded whole where its beginning would do: the request asks for all of
	// it anyway, as nobody knows where in it a chunk ends, and a second one
	// would ask for all of it again.
	smallFrame = 4 << 20
)

// tiles are a layer's chunks as the cache sees them. They are a cache.Widener.
type tiles struct{ *index.TOC }

// Widen adds to chunks [first, last) what comes with them at no cost: where
// decoding must begin far before them, what is decoded on the way, and what
// could not be decoded without going all that way again (a zstd frame is
// decoded once, not once for each of its chunks); else, their neighbourhood.
func (t tiles) Widen(first, last int) (int, int) {
	start, frame := t.Restart(first), t.Restart(last-1)
	for last < t.Len() && t.Restart(last) == frame && (frame < first || t.length(frame, last+1) <= smallFrame) {
		last++
	}
	for last < t.Len() && t.length(start, last+1) <= neighbourhood {
		last++
	}
	return start, last
}

// length is how many bytes of the blob chunks [first, last) take.
func (t tiles) length(first, last int) int64 {
	_, n := t.Extent(first, last)
	return n
}

// ReadAt reads the decoded space.
func (l *layer) ReadAt(p []byte, off int64) (int, error) { return l.readFile(p, off, 0) }

// readFile is ReadAt for a file that lies in one piece and ends at end, beyond
// which nothing is read ahead on its behalf.
func (l *layer) readFile(p []byte, off, end int64) (int, error) {
	size := l.toc.Size()
	l.prefill(l.ahead.reached(off, int64(len(p)), end, size))
	n, began, err := l.readNow(p, off)
	if began && n > 0 {
		first, _ := l.toc.Bounds(l.toc.At(off))
		_, last := l.toc.Bounds(l.toc.At(off + int64(n) - 1))
		l.prefill(l.ahead.missed(first, last, end, size))
	}
	return n, err
}

// prefill has a window fetched, unless readers have enough fetched as it is: all
// fills are served in turn, and what somebody waits for is not to wait for what
// perhaps nobody will.
func (l *layer) prefill(w window) {
	if w.n > 0 && len(l.slots) < sideBySide/2 {
		l.space.Prefill(w.off, w.n)
	}
}

// readNow is ReadAt without conclusions about what comes next. It reports whether
// anything had to be filled.
func (l *layer) readNow(p []byte, off int64) (n int, began bool, err error) {
	if err := l.audit.verdict(); err != nil {
		return 0, false, err
	}
	if t := l.raw.verified(); t != nil {
		return t.readNow(p, off)
	}
	return l.space.Read(p, off)
}

// justThat is a layer that concludes nothing from what is read.
type justThat struct{ *layer }

func (l justThat) ReadAt(p []byte, off int64) (int, error) {
	n, _, err := l.readNow(p, off)
	return n, err
}

var (
	_ io.ReaderAt   = (*layer)(nil)
	_ cache.Widener = tiles{}
)
