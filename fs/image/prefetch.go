package image

import (
	"context"
	"iter"

	"golang.org/x/sync/errgroup"

	"ocifs.dev/ocifs/fs/tree"
)

// prefetchRun is how many decoded bytes Prefetch asks for at once, unless one
// chunk has more: so that a request takes longer than its way.
const prefetchRun = 4 << 20

// Prefetch brings the contents of files into the cache, as far as they aren't
// there: layers side by side, each from its beginning to its end, neighbours by
// one request. It is for who is about to read much, and in another order: one
// request for each file would wait for each. What can't be fetched is an error,
// which reading the file would meet, too.
func (m *Image) Prefetch(ctx context.Context, files iter.Seq[tree.Node]) error {
	wanted := wantedOf(m.tree, m.layers, files)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(building)
	for i, l := range m.layers {
		if wanted[i] != nil {
			g.Go(func() error { return l.prefetch(ctx, wanted[i]) })
		}
	}
	return g.Wait()
}

// wantedOf are the chunks that files are in, by layer; nil where there are none.
func wantedOf(t *tree.Tree, layers []*layer, files iter.Seq[tree.Node]) []bits {
	wanted := make([]bits, len(layers))
	for n := range files {
		d := t.Data(n)
		size := d.Stored()
		if size == 0 || d.Layer >= len(layers) {
			continue
		}
		toc := layers[d.Layer].toc
		if wanted[d.Layer] == nil {
			wanted[d.Layer] = make(bits, toc.Len()/64+1)
		}
		for i, last := toc.At(d.Off), toc.At(d.Off+size-1); i <= last; i++ {
			wanted[d.Layer].set(i)
		}
	}
	return wanted
}

// prefetch fetches those of the chunks that the cache doesn't have.
func (l *layer) prefetch(ctx context.Context, chunks bits) error {
	l.space.Present(chunks.clear)
	var buf []byte
	for i, n := 0, l.toc.Len(); i < n; {
		if !chunks.has(i) {
			i++
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		start, end := l.toc.Bounds(i)
		for i++; i < n && chunks.has(i); i++ {
			_, to := l.toc.Bounds(i)
			if to-start > prefetchRun {
				break
			}
			end = to
		}
		if int64(len(buf)) < end-start {
			buf = make([]byte, max(end-start, prefetchRun))
		}
		if k, _, err := l.readNow(buf[:end-start], start); err != nil && int64(k) < end-start {
			return err
		}
	}
	return nil
}

// bits are a set of small numbers.
type bits []uint64

func (b bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) clear(i int)    { b[i/64] &^= 1 << (i % 64) }
func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
