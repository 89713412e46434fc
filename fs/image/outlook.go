package image

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
)

// An Outlook is how a layer would be read if the image were opened now.
type Outlook struct {
	Descriptor ocispec.Descriptor
	Err        error  // it can't be: an ErrUnsupported that says why
	Origin     Origin // of its table of contents; OriginRead: there is none, the layer would be read whole first
	Cached     int64  // so many bytes of the decoded space are in store
	Decoded    int64  // of so many; 0: nobody here knows
	InPlace    bool   // it is a file on this machine, and none of it need be cached
}

// Foresee tells of each layer of m, the base first, how it would be read. It
// asks what Open would ask, of whoever may be asked as o.Index says, and reads
// no layer and no table of contents that isn't in store. So what it foresees of
// those can turn out otherwise: a layer may lack the table that its manifest
// tells of, and is then read whole.
func Foresee(ctx context.Context, m *Manifest, src *fetch.Source, store *cache.Store, o Options) ([]Outlook, error) {
	p := &planner{src: src, store: store, o: o, life: ctx}
	p.prepare(m, false)
	all := make([]Outlook, len(m.Layers()))
	for i, d := range m.Layers() {
		l := &layer{n: i, desc: d, diffID: m.Config.RootFS.DiffIDs[i]}
		all[i] = Outlook{Descriptor: d, Origin: OriginRead}
		if _, all[i].Err = LayerFormat(d); all[i].Err != nil {
			continue
		}
		if err := l.foresee(ctx, p, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// foresee is plan, but for what that reads.
func (l *layer) foresee(ctx context.Context, p *planner, o *Outlook) error {
	toc, err := p.load(objectKey("toc", l.desc.Digest))
	if err != nil {
		return err
	}
	key := objectKey("space", l.desc.Digest)
	switch {
	case toc != nil && toc.DiffID() == l.diffID && p.o.takes(PolicyLocal):
		o.Origin, o.InPlace = OriginCache, toc.Format() == index.Tar && l.inPlace(ctx, p)
	case p.o.takes(PolicyTrusted) && index.Hints{Annotations: l.desc.Annotations}.TOCDigest() != "":
		for _, o.Origin = range []Origin{OriginTOCImage, OriginLayer} {
			key = "space-" + l.vouched(o.Origin)
			if toc, err = p.load("toc-" + l.vouched(o.Origin)); toc != nil || err != nil {
				break
			}
		}
	case p.o.takes(PolicyTrusted):
		if w, ok := l.word(ctx, p); ok {
			o.Origin, key, toc = w.origin, l.spaceOf(w), nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if err != nil {
		return err
	}
	o.Cached = p.store.Present(key)
	if toc != nil {
		o.Decoded = toc.Size()
	}
	return nil
}

// inPlace says whether the layer is a file on this machine as it is.
func (l *layer) inPlace(ctx context.Context, p *planner) bool {
	b, err := p.src.Blob(ctx, l.desc)
	if err != nil {
		return false // who opens it will be told why
	}
	defer b.Close()
	return b.Local()
}
