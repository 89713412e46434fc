package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
)

// A Finding is what came of holding a claim against the layer it is about.
type Finding struct {
	Claim
	// Err is nil if the claim is true. A *index.MismatchError says in what it
	// is not, an index.ErrNoIndex that it isn't made for such layers, which is
	// no harm; with anything else it couldn't be used.
	Err error
}

// judged reads the layer whole, unless the cache knows it, and holds against
// it what others claim. The layer goes by what was read.
func (l *layer) judged(ctx context.Context, p *planner) error {
	if err := l.build(ctx, p); err != nil {
		return err
	}
	truth := *l
	var err error
	if truth.space, err = p.store.Space(l.key, tiles{l.toc}, truth.fill); err != nil {
		return err
	}
	defer truth.space.Close()
	claims, errs := l.claims(ctx, p)
	for _, c := range claims {
		err := truth.hold(ctx, p, c)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := p.o.Findings(Finding{c, err}); err != nil {
			return err
		}
	}
	for _, err := range errs {
		if l.n > 0 { // once: they are about the image
			break
		}
		if err := p.o.Findings(Finding{Claim{Layer: -1}, err}); err != nil {
			return err
		}
	}
	return nil
}

// hold says whether a claim is true of the layer, which was read whole.
func (l *layer) hold(ctx context.Context, p *planner, c Claim) error {
	claimed := layer{n: l.n, desc: l.desc, diffID: l.diffID, blob: l.blob}
	if err := claimed.believe(ctx, p, c); err != nil {
		return err
	}
	if w, ok := claimed.windows.(io.Closer); ok {
		defer w.Close()
	}
	if bytes.Equal(claimed.toc.Append(nil), l.toc.Append(nil)) && l.sameWindows(ctx, p, c) {
		return nil
	}
	if err := index.Check(claimed.toc, l.toc, l); err != nil {
		return err
	}
	if c.Origin.files() { // Check has seen all contents, by their digests; not where they lie
		return claimed.reached(ctx)
	}
	return l.replay(ctx, &claimed)
}

// believe opens the layer as c would have it.
func (l *layer) believe(ctx context.Context, p *planner, c Claim) (err error) {
	if c.Origin.files() {
		l.toc, _, err = l.bring(ctx, p, true)
		return err
	}
	b, err := p.found.r.blob(ctx, c.Table)
	if err != nil {
		return err
	}
	return l.take(p, word{origin: c.Origin, table: c.Table, windows: c.Windows}, b)
}

// sameWindows says whether the decoder's states that c brings are those that
// reading the layer has left.
func (l *layer) sameWindows(ctx context.Context, p *planner, c Claim) bool {
	n := l.toc.WindowsSize()
	if n == 0 || n != c.Windows.Size {
		return n == c.Windows.Size
	}
	aux, err := l.space.Aux()
	if err != nil {
		return false
	}
	sum := c.Windows.Digest.Algorithm().Digester()
	if _, err := io.Copy(sum.Hash(), io.NewSectionReader(aux, 0, n)); err != nil || sum.Digest() != c.Windows.Digest {
		return false
	}
	return p.found.r.stream(ctx, c.Windows, io.Discard) == nil // it must be there, too
}

// replaying fills are under way at a time while a claim is replayed.
const replaying = 4

// replay decodes all of the layer as claimed has it, from each place that
// decoding can begin at, and compares what comes out with the truth.
func (l *layer) replay(ctx context.Context, claimed *layer) error {
	t := claimed.toc
	if t.Size() > l.toc.Size() {
		return &index.MismatchError{What: "length", Table: fmt.Sprint(t.Size()), Blob: fmt.Sprint(l.toc.Size())}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(replaying)
	for first := 0; first < t.Len() && ctx.Err() == nil; {
		last := first + 1
		for last < t.Len() && t.Restart(last) == t.Restart(first) {
			last++
		}
		from := first
		g.Go(func() error { return l.agree(claimed, from, last) })
		first = last
	}
	return g.Wait()
}

// agree compares what chunks [first, last) of claimed decode to with the truth.
func (l *layer) agree(claimed *layer, first, last int) error {
	t := claimed.toc
	differs := func(i int) error {
		start, _ := t.Bounds(i)
		return &index.MismatchError{Name: l.nameAt(start), What: "content"}
	}
	var want []byte
	at := first
	err := claimed.decode(t, claimed.windows, first, last, func(i int, p []byte) error {
		at = i + 1
		start, end := t.Bounds(i)
		if int64(cap(want)) < end-start {
			want = make([]byte, end-start)
		}
		want = want[:end-start]
		if n, err := l.ReadAt(want, start); n < len(want) {
			return fmt.Errorf("%w: %w", errTruth, err)
		}
		if !bytes.Equal(want, p) {
			return differs(i)
		}
		return nil
	})
	var unread *fetch.Error
	var mismatch *index.MismatchError
	switch {
	case err == nil, errors.As(err, &unread), errors.As(err, &mismatch), errors.Is(err, errTruth):
		return err
	}
	return differs(min(at, t.Len()-1)) // it can't be decoded that way
}

// errTruth says that the layer itself couldn't be read.
var errTruth = errors.New("reading the layer")

// nameAt is the entry whose content lies at off of the decoded space, or the
// last one before.
func (l *layer) nameAt(off int64) (name string) {
	for e := range l.toc.Entries() {
		if e.Off > off {
			break
		}
		name = e.Name
	}
	return name
}

// replayed is how many bytes of the blob are fetched at a time, to decode chunks
// that each have a digest.
const replayed = 8 << 20

// reached decodes all chunks of a layer that is known by its files, from where its
// table says that they lie: what they have to be, it says, too.
func (l *layer) reached(ctx context.Context) error {
	t := l.toc
	for first := 0; first < t.Len() && ctx.Err() == nil; {
		last := first + 1
		for last < t.Len() && (tiles{t}).length(first, last+1) <= replayed {
			last++
		}
		err := l.decode(t, nil, first, last, func(int, []byte) error { return nil })
		if chunk := (*index.ChunkError)(nil); errors.As(err, &chunk) {
			start, _ := t.Bounds(chunk.Chunk)
			return &index.MismatchError{Name: l.nameAt(start), What: "place of its content"}
		} else if err != nil {
			return err
		}
		first = last
	}
	return ctx.Err()
}
