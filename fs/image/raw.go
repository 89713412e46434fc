package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
)

// A blob that is no archive (a model's weights, a manifest of something) is its
// own decoded space. The manifest has one digest for all of it, so no piece can
// be verified before all were seen:
//
//   - One of at most smallBlob is read whole by the first read, and verified
//     before that returns.
//   - A larger one is read by ranges, and what comes is served as it comes. Once
//     all chunks have been seen they are read again, from the cache, as if they
//     came from the registry. What comes of that is a verified layer like any
//     other, with a chain of hashes for each of its chunks, which takes over in
//     this mount and all later ones. If instead the digest is another one, this
//     is told, all reads fail, and the bytes are dropped.
//   - With PolicyOff, Findings or Keys, it is read whole before it is opened.
//
// Bytes that nobody has verified lie in a space of their own, never in the
// verified one, and those from one place never where another one's are looked for.

// smallBlob is how large a blob may be to be read whole by its first read.
const smallBlob = 4 << 20

// raw is what a layer has more if it is a blob that is no archive, read by
// ranges.
type raw struct {
	proved atomic.Pointer[layer] // what it has become, once all of it was verified
}

// planRaw takes what reading the blob whole has left, or reads it by ranges.
func (l *layer) planRaw(ctx context.Context, p *planner) error {
	if p.o.takes(PolicyLocal) {
		if ok, err := l.remembered(ctx, p); ok || err != nil {
			return err
		}
	}
	if p.o.Findings != nil || p.o.Keys != nil || !p.o.takes(PolicyLocal) {
		return l.build(ctx, p)
	}
	l.toc, l.origin, l.key = index.Unread(l.desc.Digest, l.desc.Size), OriginRange, l.believed("unread", p.src.Home())
	return nil
}

// planTar takes what reading the layer whole has left, or reads it whole.
func (l *layer) planTar(ctx context.Context, p *planner) error {
	if p.o.takes(PolicyLocal) {
		if ok, err := l.remembered(ctx, p); ok || err != nil {
			return err
		}
	}
	return l.build(ctx, p)
}

// await has the blob proved once all of it has been seen.
func (l *layer) await(p *planner) {
	store, key := p.store, l.key
	l.raw = new(raw)
	l.audit = newAudit(l.toc.Len(), func(ctx context.Context) error {
		err := l.prove(ctx, p)
		if unproved := (*unprovedError)(nil); !errors.As(err, &unproved) {
			drop := func() { store.Remove(cache.KindSpace, key) } // others may have it open, and do so later
			l.audit.drop.Store(&drop)
		}
		return err
	})
	l.audit.begin(l)
}

// prove reads all of the blob from the cache, as if it came from the registry.
func (l *layer) prove(ctx context.Context, p *planner) error {
	t := &layer{n: l.n, desc: l.desc, format: l.format, life: l.life, blob: l.blob, slots: l.slots, report: l.report}
	w := &witness{ReaderAt: l.space}
	err := t.readWhole(ctx, p, func() io.ReadCloser { return w.all(l.toc.Size()) }, nil)
	if !w.failed && isWrong(err) {
		return fmt.Errorf("all of it was read, and it is not what its digest says: %w", err)
	}
	if err == nil {
		t.space, err = p.store.Space(t.key, t.toc, t.fill)
	}
	if err != nil {
		return &unprovedError{err}
	}
	l.raw.proved.Store(t)
	return nil
}

// Unverified tells of blobs that are no archives, of more than 4 MiB, how many
// there are and with how many bytes, of which not all has been read and
// verified: what is read of them is what the source gave.
func (m *Image) Unverified() (n int, size int64) {
	for _, l := range m.layers {
		if l.origin == OriginRange && l.desc.Size > smallBlob && l.raw.verified() == nil {
			n, size = n+1, size+l.desc.Size
		}
	}
	return n, size
}

// Settle waits until all that was read whole is verified: blobs that are no
// archives, and layers that were opened by an index from elsewhere. It returns
// what was found wrong. It is for who has read files and must know before anybody goes on
// with what was in them.
func (m *Image) Settle() error {
	for _, l := range m.layers {
		if err := l.audit.settle(l); err != nil {
			return err
		}
	}
	return nil
}

// verified is what the blob has become, nil as long as it has not.
func (r *raw) verified() *layer {
	if r == nil {
		return nil
	}
	return r.proved.Load()
}

// close ends what the blob has become. The layer itself has been closed, and its
// audit has ended.
func (r *raw) close() error {
	if t := r.verified(); t != nil {
		return t.space.Close()
	}
	return nil
}

// fillWhole fetches all of a small blob and verifies it before anything of it
// is put.
func (l *layer) fillWhole(put func(i int, p []byte) error) error {
	r := l.blob.Range(0, l.desc.Size)
	defer r.Close()
	b := make([]byte, l.desc.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if got := l.desc.Digest.Algorithm().FromBytes(b); got != l.desc.Digest {
		if l.wrong != nil {
			l.wrong.Add(1)
		}
		return &fetch.DigestError{Want: l.desc.Digest, Got: got}
	}
	for i := range l.toc.Len() {
		start, end := l.toc.Bounds(i)
		if err := put(i, b[start:end]); err != nil {
			return err
		}
	}
	return nil
}
