package image

import (
	"context"
	"fmt"

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
	if p.o.Index.allows(PolicyLocal) {
		if ok, err := l.remembered(ctx, p); ok || err != nil {
			return err
		}
	}
	return l.pass(ctx, p)
}

// pass reads the layer. What it decodes is kept, unless that would be a copy of
// a file: an archive that lies on this machine as it is. Of that the TOC will
// do, by which each chunk is read there and verified when somebody wants it.
func (l *layer) pass(ctx context.Context, p *planner) (err error) {
	l.origin, l.key = OriginRead, objectKey("space", l.desc.Digest)
	if l.format == index.Tar && l.blob.Local() {
		if err = l.read(ctx, p, nowhere{}); err != nil {
			return err
		}
		if l.toc.Format() == index.Tar { // and not what the media type doesn't say
			l.keep(p, objectKey("toc", l.desc.Digest), l.toc)
			return nil
		}
	}
	b := p.store.Build()
	defer b.Abort()
	if err = l.read(ctx, p, b); err == nil {
		l.commit(p, b)
	}
	return err
}

// read makes the layer's TOC, and has sink keep what is decoded for that.
func (l *layer) read(ctx context.Context, p *planner, sink index.Sink) (err error) {
	l.toc, err = index.Build(ctx, l.blob.Range(0, l.blob.Size()), sink, index.Options{
		Digest: l.desc.Digest, Size: l.desc.Size, DiffID: l.diffID, Format: l.format, Limits: p.o.Limits,
		Warn:     func(msg string) { l.warn(p, msg) },
		Progress: func(done int64) { p.o.progress(l.n, done, l.desc.Size) },
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
	l.keep(p, objectKey("toc", l.desc.Digest), l.toc)
}
