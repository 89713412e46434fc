package image

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
)

// An eStargz layer may leave its table of contents to a TOC image: an image
// beside its own, under the same tag with a suffix, with one such table for
// each "layer". The tag is nobody's promise, and the TOC image only says which
// blob holds a layer's table. That it is the right table, the digest says that
// the manifest has of it.
const (
	tocSuffix = "-esgztoc"

	// tocLayerNote says which layer a table is of; it is an annotation.
	tocLayerNote = "containerd.io/snapshot/stargz/layer.digest"
)

// tocImages finds an image's TOC image, once, when the first layer asks.
type tocImages struct {
	r *resolver

	once   sync.Once
	desc   ocispec.Descriptor
	tables map[digest.Digest]ocispec.Descriptor // by layer
	err    error
}

// find is the TOC image, and the blobs with the tables in it.
func (t *tocImages) find(ctx context.Context) (ocispec.Descriptor, map[digest.Digest]ocispec.Descriptor, error) {
	t.once.Do(func() { t.desc, t.tables, t.err = t.r.tocImage(ctx) })
	return t.desc, t.tables, t.err
}

func (r *resolver) tocImage(ctx context.Context) (d ocispec.Descriptor, tables map[digest.Digest]ocispec.Descriptor, err error) {
	if d, err = r.src.Companion(ctx, tocSuffix); err != nil {
		return d, nil, err
	}
	doc, err := r.load(ctx, d)
	if err != nil {
		return d, nil, err
	}
	if doc.manifest == nil {
		return d, nil, fmt.Errorf("%w: the TOC image %s is an image index", ErrUnsupported, d.Digest)
	}
	tables = map[digest.Digest]ocispec.Descriptor{}
	for _, t := range doc.manifest.Layers {
		of := digest.Digest(t.Annotations[tocLayerNote])
		if of.Validate() == nil && t.Digest.Validate() == nil && t.Size >= 0 {
			tables[of] = t
		}
	}
	return doc.desc, tables, nil
}

// TOCImage is the TOC image of the image that src names, and the
// tables of contents in it, by layer. fetch.ErrNotFound: it has none.
func TOCImage(ctx context.Context, src *fetch.Source, store *cache.Store) (ocispec.Descriptor, map[digest.Digest]ocispec.Descriptor, error) {
	return (&resolver{src: src, store: store, warn: func(string) {}}).tocImage(ctx)
}

// table is the blob that holds the table of a layer.
func (t *tocImages) table(ctx context.Context, layer digest.Digest) ([]byte, error) {
	img, tables, err := t.find(ctx)
	if err != nil {
		return nil, err
	}
	d, ok := tables[layer]
	if !ok {
		return nil, fmt.Errorf("the TOC image %s: %w: it has no table of this layer", img.Digest, fetch.ErrNotFound)
	}
	return t.r.blob(ctx, d)
}

// bring opens the layer by the table that its manifest vouches for: its own,
// or, if it says so, the TOC image's. A TOC image that isn't there, or isn't
// one, is an index.ErrExternal that says why. With files, it is for index.Check.
func (l *layer) bring(ctx context.Context, p *planner, files bool) (*index.TOC, Origin, error) {
	h := index.Hints{Digest: l.desc.Digest, DiffID: l.diffID, Annotations: l.desc.Annotations, Files: files, Limits: p.o.Limits}
	toc, err := index.Open(ctx, l.blob, h)
	if !errors.Is(err, index.ErrExternal) {
		return toc, OriginLayer, err
	}
	if h.TOC, err = p.tocs.table(ctx, l.desc.Digest); err != nil {
		if ctx.Err() != nil {
			return nil, "", context.Cause(ctx)
		}
		return nil, "", fmt.Errorf("%w: %w", index.ErrExternal, err)
	}
	toc, err = index.Open(ctx, l.blob, h)
	return toc, OriginTOCImage, err
}
