package image

import (
	"context"
	"fmt"
	"io"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/index"
)

// build reads the whole layer, once, and leaves its TOC and all it decoded in
// the cache. Of several processes that want the same layer one does it.
func (l *layer) build(ctx context.Context, p *planner) error {
	unlock, err := p.store.Lock(ctx, objectKey("build", l.desc.Digest))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil: // a cache that can't be written to: what others do can't be seen either
		l.warn(p, fmt.Sprintf("cache: %v", err))
	default:
		defer unlock()
	}
	if p.o.takes(PolicyLocal) {
		if ok, err := l.remembered(ctx, p); ok || err != nil {
			return err
		}
	}
	return l.pass(ctx, p)
}

// pass reads the layer from where the image is kept: if what came is wrong,
// once more from each other place that there is.
func (l *layer) pass(ctx context.Context, p *planner) error {
	for {
		var r io.ReadCloser
		whole := func() io.ReadCloser {
			r = l.blob.Range(0, l.blob.Size())
			return r
		}
		err := l.readWhole(ctx, p, whole, func(done int64) { p.o.progress(l.n, done, l.desc.Size) })
		if err == nil {
			l.blob.Proved()
		}
		if !isWrong(err) || !l.blob.Distrust(r) {
			return err
		}
	}
}

// readWhole reads the layer from its first byte to its last. What it decodes is
// kept, unless that would be a copy of a file: an archive, or a blob that is
// none, that lies on this machine as it is. Of that the TOC will do, by which
// each chunk is read there and verified when somebody wants it.
func (l *layer) readWhole(ctx context.Context, p *planner, whole func() io.ReadCloser, progress func(int64)) (err error) {
	l.origin, l.key = OriginRead, l.spaceKey()
	if (l.format == index.Tar || l.format == index.Raw) && l.blob.Local() {
		if err = l.read(ctx, p, whole(), nowhere{}, progress); err != nil {
			return err
		}
		if l.toc.Format() == l.format { // and not what the media type doesn't say
			l.keep(p, l.tocKey(), l.toc)
			return nil
		}
	}
	b := p.store.Build()
	defer b.Abort()
	if err = l.read(ctx, p, whole(), b, progress); err == nil {
		l.commit(p, b)
	}
	return err
}

// read makes the layer's TOC, and has sink keep what is decoded for that.
func (l *layer) read(ctx context.Context, p *planner, r io.ReadCloser, sink index.Sink, progress func(int64)) (err error) {
	l.toc, err = index.Build(ctx, r, sink, index.Options{
		Digest: l.desc.Digest, Size: l.desc.Size, DiffID: l.diffID, Format: l.format, Span: p.o.Span, Limits: p.o.Limits,
		Warn:     func(msg string) { l.warn(p, msg) },
		Progress: progress,
	})
	return err
}

// commit makes what the pass has left in the cache visible. That the cache
// can't hold it is a warning: then chunks are decoded again when they are
// read.
func (l *layer) commit(p *planner, b *cache.Builder) {
	if err := b.Commit(l.key); err != nil {
		l.warn(p, err.Error())
		return
	}
	l.keep(p, l.tocKey(), l.toc)
}
