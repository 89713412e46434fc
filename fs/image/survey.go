package image

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
)

// A Claim is a table of contents that a layer could be opened by.
type Claim struct {
	Layer  int    // counts from 0, the base
	Origin Origin // any but OriginRead
	// Named says that the manifest names the index, or vouches for what the
	// layer brings; otherwise an index names the manifest, as its subject.
	Named bool
	// Index is the index, or the TOC image, that the table is in: none for
	// OriginCache and OriginLayer.
	Index ocispec.Descriptor
	// Table is the table itself. Its size is 0 if nothing says it.
	Table ocispec.Descriptor
	// Windows are the decoder's states, read in pieces beside it, if any.
	Windows ocispec.Descriptor
}

// Survey lists what the layers of m could be opened by now, as o.Index allows:
// layer by layer, the base first, and for each in the order in which Open asks.
// No layer is read, and no table of contents. What is in the repository is
// asked anew. An index that can't be used is left out with a warning.
func Survey(ctx context.Context, m *Manifest, src *fetch.Source, store *cache.Store, o Options) ([]Claim, error) {
	p := &planner{src: src, store: store, o: o, life: ctx}
	p.prepare(m, true)
	var all []Claim
	for i, d := range m.Layers() {
		l := &layer{n: i, desc: d, diffID: m.Config.RootFS.DiffIDs[i]}
		if o.takes(PolicyLocal) {
			known, err := l.known(p)
			if err != nil {
				return nil, err
			}
			all = append(all, known...)
		}
		claims, errs := l.claims(ctx, p)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		for _, err := range errs {
			if i == 0 { // once: they are about the image
				o.warn(fmt.Sprintf("an index can't be used: %v", err))
			}
		}
		all = append(all, claims...)
	}
	return all, nil
}

// known is what reading the layer has left in the cache.
func (l *layer) known(p *planner) ([]Claim, error) {
	toc, err := p.load(objectKey("toc", l.desc.Digest))
	if toc == nil || err != nil || toc.DiffID() != l.diffID {
		return nil, err
	}
	b := toc.Append(nil)
	return []Claim{{
		Layer: l.n, Origin: OriginCache,
		Table:   ocispec.Descriptor{Digest: digest.FromBytes(b), Size: int64(len(b))},
		Windows: ocispec.Descriptor{Size: toc.WindowsSize()},
	}}, nil
}

// claims is what others say of the layer, and what went wrong asking them.
func (l *layer) claims(ctx context.Context, p *planner) (claims []Claim, errs []error) {
	hints := index.Hints{Annotations: l.desc.Annotations}
	if d := hints.TOCDigest(); d != "" && p.o.takes(PolicyTrusted) {
		claims = append(claims, l.vouchedFor(ctx, p, d))
	}
	all, errs := p.found.all(ctx)
	for _, words := range all {
		if w := words[l.desc.Digest]; w.table.Digest != "" {
			claims = append(claims, Claim{l.n, w.origin, w.named, w.index, w.table, w.windows})
		}
	}
	return claims, errs
}

// all looks in every place, once, and says what went wrong.
func (f *finder) all(ctx context.Context) ([]map[digest.Digest]word, []error) {
	f.listing.Do(func() {
		for _, p := range f.places() {
			words, err := p.look(ctx)
			if err != nil {
				f.errs = append(f.errs, err)
			} else if words != nil {
				f.every = append(f.every, words)
			}
		}
	})
	return f.every, f.errs
}

// vouchedFor is the claim of a table of contents with digest d. Whether the
// layer brings it or leaves it to a TOC image, only its end tells; but there
// is a TOC image with a table of it only if it does.
func (l *layer) vouchedFor(ctx context.Context, p *planner, d digest.Digest) Claim {
	c := Claim{Layer: l.n, Origin: OriginLayer, Named: true, Table: ocispec.Descriptor{Digest: d}}
	if !(index.Hints{Annotations: l.desc.Annotations}).Stargz() {
		return c
	}
	img, tables, err := p.tocs.find(ctx)
	if t, ok := tables[l.desc.Digest]; ok && err == nil {
		c.Origin, c.Index, c.Table = OriginTOCImage, img, t
	}
	return c
}
