package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
)

// A layer is the decoded space of one layer: an io.ReaderAt through the cache.
type layer struct {
	desc   ocispec.Descriptor
	diffID digest.Digest
	format index.Format // what the media type says
	toc    *index.TOC
	known  bool // the TOC was in the cache

	blob  *fetch.Blob   // bound by the image's context
	slots chan struct{} // see sideBySide
	space *cache.Space
}

// open finds or makes the layer's TOC, which ctx bounds, and opens its space.
func (l *layer) open(ctx context.Context, store *cache.Store, o Options, n int) error {
	var err error
	if l.toc, err = l.load(store); err != nil {
		return err
	}
	l.known = l.toc != nil
	if !l.known {
		if err := l.build(ctx, store, o, n); err != nil {
			return fmt.Errorf("layer %d %s: %w", n+1, l.desc.Digest, err)
		}
	}
	l.space, err = store.Space(objectKey("space", l.desc.Digest), l.toc, l.fill)
	return err
}

func (l *layer) close() error {
	var errs []error
	if l.space != nil {
		errs = append(errs, l.space.Close())
	}
	return errors.Join(append(errs, l.blob.Close())...)
}

// load is the layer's TOC from the cache, or nil. It was made from a blob that
// had the digest; that the image promises the same diffID is checked here.
func (l *layer) load(store *cache.Store) (*index.TOC, error) {
	b, err := store.Get(objectKey("toc", l.desc.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	toc, err := index.Parse(b)
	if err != nil || toc.Digest() != l.desc.Digest {
		return nil, nil // of another version, or damaged: made anew
	}
	if toc.DiffID() != l.diffID {
		return nil, fmt.Errorf("layer %s: %w", l.desc.Digest,
			&index.DigestError{What: "diffID", Want: string(l.diffID), Got: string(toc.DiffID())})
	}
	if l.desc.Size > 0 && l.desc.Size != toc.BlobSize() {
		return nil, fmt.Errorf("layer %s: %w", l.desc.Digest,
			&index.DigestError{What: "layer size", Want: fmt.Sprint(l.desc.Size), Got: fmt.Sprint(toc.BlobSize())})
	}
	return toc, nil
}

// build reads the whole layer, once, and leaves its TOC and all it decoded in
// the cache. Of several processes that want the same layer one does it.
func (l *layer) build(ctx context.Context, store *cache.Store, o Options, n int) error {
	unlock, err := store.Lock(ctx, objectKey("build", l.desc.Digest))
	if err != nil {
		return err
	}
	defer unlock()
	if l.toc, err = l.load(store); err != nil || l.toc != nil {
		return err
	}
	b, err := store.Build()
	if err != nil {
		return err
	}
	defer b.Abort()
	l.toc, err = index.Build(ctx, l.blob.Range(0, l.blob.Size()), b, index.Options{
		Digest: l.desc.Digest, Size: l.desc.Size, DiffID: l.diffID, Format: l.format, Limits: o.Limits,
		Warn:     func(msg string) { o.warn(fmt.Sprintf("layer %d %s: %s", n+1, l.desc.Digest, msg)) },
		Progress: func(done int64) { o.progress(n, done, l.desc.Size) },
	})
	if err != nil {
		return err
	}
	if err := b.Commit(objectKey("space", l.desc.Digest)); err != nil {
		return err
	}
	return store.Put(objectKey("toc", l.desc.Digest), l.toc.Append(nil))
}

// fill fetches, decodes and verifies chunks [first, last), and what else widen
// adds, by one request. It is a cache.Fill.
//
// The windows can be lost, as all else in the cache, or be evicted with their
// space. Then the layer is decoded once more from its beginning.
func (l *layer) fill(first, last int, put func(i int, p []byte) error) error {
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	windows, err := l.space.Aux()
	if err == nil {
		err = l.decode(l.toc, windows, first, last, put)
	}
	if errors.Is(err, cache.ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
		return l.decode(l.toc.Coarse(), nil, first, last, put)
	}
	return err
}

func (l *layer) decode(toc *index.TOC, windows io.ReaderAt, first, last int, put func(i int, p []byte) error) error {
	first, last = widen(toc, first, last)
	r := l.blob.Range(toc.Extent(first, last))
	defer r.Close()
	return toc.Decode(r, windows, first, last, put)
}

// widen adds to chunks [first, last), where decoding must begin far before
// them, what is decoded on the way, and what could not be decoded without
// going all that way again: a zstd frame is decoded once, not once for each of
// its chunks.
func widen(toc *index.TOC, first, last int) (int, int) {
	start := toc.Restart(first)
	if start == first {
		return first, last
	}
	for last < toc.Len() && toc.Restart(last) == start {
		last++
	}
	return start, last
}

// ReadAt reads the decoded space.
func (l *layer) ReadAt(p []byte, off int64) (int, error) { return l.space.ReadAt(p, off) }

var _ io.ReaderAt = (*layer)(nil)
