package image

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
)

// Platforms lists the manifests that src's reference leads to, in their order,
// each with its platform: those in an image index and in what is nested in it,
// or the only one. Where no descriptor tells the platform, the configuration
// does; what has none there either, such as an artifact, is listed without.
// What is said about other manifests (attestations) is left out. root is what
// the reference points at.
func Platforms(ctx context.Context, src *fetch.Source, store *cache.Store, o Options) (root ocispec.Descriptor, list []ocispec.Descriptor, err error) {
	l := &lister{r: &resolver{src: src, store: store, warn: o.warn}, seen: map[string]bool{}}
	doc, err := l.r.root(ctx)
	if err != nil {
		return root, nil, err
	}
	if doc.index != nil {
		err = l.walk(ctx, doc, nil, 1)
	} else {
		err = l.add(ctx, doc.desc, doc)
	}
	return doc.desc, l.list, err
}

// A lister lists the manifests in an image index.
type lister struct {
	r    *resolver
	seen map[string]bool
	read int // documents read for it
	list []ocispec.Descriptor
}

// walk lists what is in the index doc, of which above is said to be the
// platform.
func (l *lister) walk(ctx context.Context, doc *document, above *ocispec.Platform, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("%s: image indexes nested more than %d deep", doc.desc.Digest, maxNesting)
	}
	for _, d := range doc.index.Manifests {
		if isAttestation(d) || l.seen[d.Digest.String()] {
			continue
		}
		l.seen[d.Digest.String()] = true
		if d.Platform == nil {
			d.Platform = above
		}
		nested := d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == dockerList
		if !nested && d.Platform != nil {
			l.list = append(l.list, d)
			continue
		}
		if l.read++; l.read > maxDocuments {
			return fmt.Errorf("%s: an image index of more than %d documents", doc.desc.Digest, maxDocuments)
		}
		below, err := l.r.load(ctx, d)
		if err == nil && below.index != nil {
			err = l.walk(ctx, below, d.Platform, depth+1)
		} else if err == nil {
			err = l.add(ctx, d, below)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add lists the manifest doc, whose platform only its configuration tells.
func (l *lister) add(ctx context.Context, d ocispec.Descriptor, doc *document) error {
	if isImageConfig(doc.manifest.Config.MediaType) {
		config, _, err := l.r.config(ctx, doc.manifest.Config)
		if err != nil {
			return err
		}
		if config.OS != "" || config.Architecture != "" {
			d.Platform = &config.Platform
		}
	}
	l.list = append(l.list, d)
	return nil
}

// ResolveAll is Resolve for all images that Platforms lists, in their order;
// what isn't an image is left out. The Manifests' Platforms are that list. There
// is at least one, or an ErrUnsupported.
func ResolveAll(ctx context.Context, src *fetch.Source, store *cache.Store, o Options) ([]*Manifest, error) {
	root, list, err := Platforms(ctx, src, store, o)
	if err != nil {
		return nil, err
	}
	r := &resolver{src: src, store: store, warn: o.warn}
	var all []*Manifest
	for _, d := range list {
		doc, err := r.load(ctx, d)
		if err != nil {
			return nil, err
		}
		if isImage(doc) != nil {
			continue
		}
		m, err := r.image(ctx, doc)
		if err != nil {
			return nil, err
		}
		m.Name, m.Root, m.Platforms = src.Name(), root, list
		all = append(all, m)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s leads to no container image", ErrUnsupported, root.Digest)
	}
	return all, nil
}
