package image

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/index"
)

// An audit waits until all of a layer that goes by an index from elsewhere has
// been seen, and then holds the index to the layer: what it decodes to must
// have the diffID, as far as the index covers all of it, and the archive in it
// the entries that were shown. That it was found true is remembered in the
// cache; one that was not is held to the layer again by the next mount.
type audit struct {
	store *cache.Store
	seen  []atomic.Uint64 // a bit for each chunk
	left  atomic.Int64    // chunks not seen yet
	done  sync.WaitGroup
	bad   atomic.Pointer[error] // what was found; nil while all is well
}

// newAudit is nil if the index was found true before.
func newAudit(l *layer, store *cache.Store) *audit {
	if _, err := store.Get(auditKey(l)); err == nil {
		return nil
	}
	n := l.toc.Len()
	a := &audit{store: store, seen: make([]atomic.Uint64, (n+63)/64)}
	a.left.Store(int64(n))
	return a
}

// auditKey names, in the cache, that the index l goes by is true.
func auditKey(l *layer) string { return "audit-" + l.key }

// begin counts what the cache has as seen: all of it, perhaps, if an earlier
// mount ended between the last chunk and the verdict, or with a bad one.
func (a *audit) begin(l *layer) {
	if a == nil {
		return
	}
	l.space.Present(func(i int) { a.mark(i) })
	if a.left.Load() == 0 {
		a.done.Go(func() { a.run(l.life, l) })
	}
}

// mark notes that chunk i was seen, and says whether it was the last one.
func (a *audit) mark(i int) bool {
	bit := uint64(1) << (i % 64)
	return a.seen[i/64].Or(bit)&bit == 0 && a.left.Add(-1) == 0
}

// put is put, watched.
func (a *audit) put(ctx context.Context, l *layer, put func(i int, p []byte) error) func(i int, p []byte) error {
	return func(i int, p []byte) error {
		err := put(i, p)
		if err == nil && a.mark(i) {
			a.done.Go(func() { a.run(ctx, l) })
		}
		return err
	}
}

// run reads the layer from its first byte to its last, out of the cache.
func (a *audit) run(ctx context.Context, l *layer) {
	r := io.NopCloser(io.NewSectionReader(l.space, 0, l.toc.Size()))
	o := index.Options{DiffID: l.diffID}
	if l.origin == OriginSOCI {
		o.DiffID = "" // a zTOC leaves out what pads the archive's end
	}
	whole, err := index.Build(ctx, r, nowhere{}, o)
	if err == nil {
		err = index.Compare(l.toc, whole, l.space)
	}
	switch {
	case err == nil:
		if err := a.store.Put(auditKey(l), nil); err != nil { // then the next mount does it again
			l.report(err.Error())
		}
	case ctx.Err() == nil:
		err = fmt.Errorf("layer %d %s: the index it was opened by (%s) is wrong: %w", l.n+1, l.desc.Digest, l.origin, err)
		a.bad.Store(&err)
		l.report(err.Error())
	}
}

// verdict is the error for all reads of a layer whose index was found wrong.
func (a *audit) verdict() error {
	if a == nil {
		return nil
	}
	if bad := a.bad.Load(); bad != nil {
		return *bad
	}
	return nil
}

// nowhere is where what is read is left that can be read again where it is: in
// the cache, for an audit, or in a file on this machine.
type nowhere struct{}

func (nowhere) Chunk(int, int64, []byte) error { return nil }
func (nowhere) Window([]byte) error            { return nil }
