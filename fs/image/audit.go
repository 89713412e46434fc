package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/index"
)

// An audit waits until all of a layer has been seen that was believed before
// that was possible to prove, and then holds what was believed to it.
type audit struct {
	seen  []atomic.Uint64 // a bit for each chunk
	left  atomic.Int64    // chunks not seen yet
	done  sync.WaitGroup
	prove func(context.Context) error // what to do then
	good  atomic.Bool                 // it was proved
	drop  atomic.Pointer[func()]      // removes what was seen, when nobody reads it any more; nil: it may stay
	bad   atomic.Pointer[error]       // what was found; nil while all is well
	off   atomic.Pointer[error]       // why there is no verdict, and will be none here; nil: it is not called off
}

func newAudit(chunks int, prove func(context.Context) error) *audit {
	a := &audit{seen: make([]atomic.Uint64, (chunks+63)/64), prove: prove}
	a.left.Store(int64(chunks))
	return a
}

// begin counts what the cache has as seen: all of it, perhaps, if an earlier
// mount ended between the last chunk and the verdict, or with a bad one.
func (a *audit) begin(l *layer) {
	if len(a.seen) == 0 { // of an empty one there is nothing to see
		a.done.Go(func() { a.run(l) })
	}
	l.space.Present(func(i int) { a.mark(l, i) })
}

// settle waits for the verdict, if all has been seen. That there can't be one is
// an error, too.
func (a *audit) settle(l *layer) error {
	if a == nil {
		return nil
	}
	l.space.Present(func(i int) { a.mark(l, i) }) // also what other processes have fetched
	return a.wait()
}

// wait is settle, for what was seen by now.
func (a *audit) wait() error {
	if a.left.Load() == 0 {
		a.done.Wait()
	}
	if off := a.off.Load(); off != nil {
		return *off
	}
	return a.verdict()
}

// mark notes that chunk i was seen. The last one begins the proof, which done
// counts before left is 0: who finds nothing left has something to wait for.
func (a *audit) mark(l *layer, i int) {
	bit := uint64(1) << (i % 64)
	if a.seen[i/64].Or(bit)&bit != 0 {
		return
	}
	a.done.Add(1)
	if a.left.Add(-1) != 0 {
		a.done.Done()
		return
	}
	go func() {
		defer a.done.Done()
		a.run(l)
	}()
}

// put is put, watched.
func (a *audit) put(l *layer, put func(i int, p []byte) error) func(i int, p []byte) error {
	return func(i int, p []byte) error {
		a.mark(l, i) // before anybody has it, so that who has read all knows that all was seen
		return put(i, p)
	}
}

// run proves what was believed, and tells if it was wrong, or couldn't be proved:
// then it stays believed, and the next mount tries again.
func (a *audit) run(l *layer) {
	err := a.prove(l.life)
	switch {
	case err == nil:
		a.good.Store(true)
		return
	case l.life.Err() != nil:
		return
	}
	err = fmt.Errorf("layer %d %s: %w", l.n+1, l.desc.Digest, err)
	if unproved := (*unprovedError)(nil); errors.As(err, &unproved) {
		a.off.Store(&err)
	} else {
		a.bad.Store(&err)
	}
	l.report(err.Error())
}

// An unprovedError says why an audit came to no verdict: what had been seen
// could not be read once more, as it was evicted and is out of reach.
type unprovedError struct{ err error }

func (e *unprovedError) Error() string {
	return fmt.Sprintf("all of it was read, but could not be verified: %v", e.err)
}

func (e *unprovedError) Unwrap() error { return e.err }

// A witness is a layer's bytes as an audit reads them, and notes whether there
// were any.
type witness struct {
	io.ReaderAt
	failed bool
}

func (w *witness) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(p, off)
	if err != nil && err != io.EOF {
		w.failed = true
	}
	return n, err
}

// hear is r, of which the witness notes failures, too.
func (w *witness) hear(r io.Reader) io.Reader { return &heard{r, w} }

type heard struct {
	io.Reader
	w *witness
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if err != nil && err != io.EOF {
		h.w.failed = true
	}
	return n, err
}

// all is a stream of the first size bytes.
func (w *witness) all(size int64) io.ReadCloser {
	return io.NopCloser(io.NewSectionReader(w, 0, size))
}

// clear removes what was seen, if it is to be.
func (a *audit) clear() {
	if a == nil {
		return
	}
	if drop := a.drop.Load(); drop != nil {
		(*drop)()
	}
}

// proved says whether there is nothing left to doubt.
func (a *audit) proved() bool { return a == nil || a.good.Load() }

// verdict is the error for all reads of a layer that was found wrong.
func (a *audit) verdict() error {
	if a == nil {
		return nil
	}
	if bad := a.bad.Load(); bad != nil {
		return *bad
	}
	return nil
}

// auditKey and wrongKey name, in the cache, that the index by which a layer has
// the space is true, or isn't.
func auditKey(space string) string { return "audit-" + space }
func wrongKey(space string) string { return "wrong-" + space }

// A WrongIndexError says that all of a layer was read by an index from elsewhere,
// and is not what its diffID says, or not what was shown. What was read before
// may have been wrong.
type WrongIndexError struct {
	Origin Origin
	Err    error // what is wrong
}

func (e *WrongIndexError) Error() string {
	return fmt.Sprintf("the index it was opened by (%s) is wrong: %v", e.Origin, e.Err)
}

func (e *WrongIndexError) Unwrap() error { return e.Err }

// doubt has an index from elsewhere audited, unless it was found true before:
// what the layer decodes to must have the diffID, and the archive in it the
// entries that were shown. Either verdict is remembered in the cache. One that
// was found wrong is not used again, and the bytes that it led to are dropped.
func (l *layer) doubt(store *cache.Store) {
	if _, err := store.Get(auditKey(l.key)); err == nil {
		return
	}
	l.heads = &headed{store: store}
	l.audit = newAudit(l.toc.Len(), func(ctx context.Context) error {
		w := &witness{ReaderAt: l.space}
		switch err := l.compare(ctx, w); {
		case err != nil && (w.failed || ctx.Err() != nil):
			return &unprovedError{err}
		case err != nil:
			return l.condemn(store, err)
		}
		l.remember(store, auditKey(l.key))
		return nil
	})
	l.audit.begin(l)
}

// remember puts a verdict into the cache.
func (l *layer) remember(store *cache.Store, key string) {
	if err := store.Put(key, nil); err != nil { // then the next mount does it again
		l.report(err.Error())
	}
}

// condemn has the index that l goes by never be used again, as of err.
func (l *layer) condemn(store *cache.Store, err error) error {
	l.remember(store, wrongKey(l.key))
	drop := func() { store.Remove(cache.KindSpace, l.key) } // others may have it open, and do so later
	l.audit.drop.Store(&drop)
	return &WrongIndexError{l.origin, err}
}

// compare reads the layer from its first byte to its last, out of the cache,
// and compares what it is with what the index told.
func (l *layer) compare(ctx context.Context, w *witness) error {
	r := w.all(l.toc.Size())
	if off, n := l.toc.Rest(); n > 0 { // a zTOC leaves out what pads the archive's end
		stream := l.blob.Range(off, n)
		defer stream.Close()
		r = io.NopCloser(io.MultiReader(r, l.toc.Behind(w.hear(stream), l.windows)))
	}
	whole, err := index.Build(ctx, r, nowhere{}, index.Options{DiffID: l.diffID})
	if err != nil {
		return err
	}
	return index.Compare(l.toc, whole, w)
}

// nowhere is where what is read is left that can be read again where it is: in
// the cache, for an audit, or in a file on this machine.
type nowhere struct{}

func (nowhere) Chunk(int, int64, []byte) error { return nil }
func (nowhere) Window([]byte) error            { return nil }
