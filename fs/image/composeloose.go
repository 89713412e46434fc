package image

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
)

// loose selects the application that has image m, or else the image index that
// it was chosen from, as its subject.
func (s *Selection) loose(ctx context.Context, m *Manifest, spec ocispec.Platform) error {
	if s.o.Keys != nil {
		return fmt.Errorf("%s: %w: %w", m.Descriptor.Digest, ErrUnsigned, errReferrer)
	}
	for _, subject := range []ocispec.Descriptor{m.Descriptor, m.Root} {
		doc, err := s.referring(ctx, subject)
		if err != nil {
			return err
		}
		switch {
		case doc == nil:
			continue
		case isBundle(doc):
			return s.bundle(ctx, doc, spec, "")
		}
		app, err := s.application(ctx, doc.desc)
		if err != nil {
			return err
		}
		s.m = app
		return s.compose(ctx, app, []ocispec.Descriptor{subject}, spec, "")
	}
	return fmt.Errorf("%s: %w", m.Descriptor.Digest, ErrNoCompose)
}

// referring is the application, or bundle of them, whose subject is that one:
// of several, the one that was made last. It is nil if there is none.
func (s *Selection) referring(ctx context.Context, subject ocispec.Descriptor) (*document, error) {
	list, err := s.r.src.Referrers(ctx, subject, "")
	if err != nil {
		return nil, err
	}
	var best *document
	n := 0
	for _, d := range list {
		if !isCompose(d.ArtifactType) && d.MediaType != ocispec.MediaTypeImageIndex {
			continue
		}
		doc, err := s.referrer(ctx, d, subject)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			s.o.warn(fmt.Sprintf("referrer %s: %v", d.Digest, err))
		case doc.manifest != nil && isCompose(artifactType(doc.manifest)), isBundle(doc):
			n++
			if best == nil || later(doc, best) {
				best = doc
			}
		}
	}
	if n > 1 {
		s.o.warn(fmt.Sprintf("%d Compose applications refer to %s: the latest is shown, %s", n, subject.Digest, best.desc.Digest))
	}
	return best, nil
}

// referrer reads what d says refers to subject, and makes sure that it does.
func (s *Selection) referrer(ctx context.Context, d, subject ocispec.Descriptor) (*document, error) {
	doc, err := s.r.load(ctx, d)
	if err == nil {
		err = fetch.VerifySubject(doc.raw, subject)
	}
	return doc, err
}

// later says whether a was made after b, as their annotations tell.
func later(a, b *document) bool {
	made := func(d *document) int64 {
		if d.manifest != nil {
			return created(d.manifest.Annotations).Unix()
		}
		return created(d.index.Annotations).Unix()
	}
	if x, y := made(a), made(b); x != y {
		return x > y
	}
	return a.desc.Digest > b.desc.Digest
}

// published lists the images in indexes whose subject the application is.
func (s *Selection) published(ctx context.Context, m *Manifest) (list []ocispec.Descriptor, err error) {
	if s.o.Keys != nil { // no signature of the application covers what refers to it
		return nil, nil
	}
	referrers, err := s.r.src.Referrers(ctx, m.Descriptor, "")
	if err != nil {
		return nil, err
	}
	for _, d := range referrers {
		if d.MediaType != ocispec.MediaTypeImageIndex {
			continue
		}
		doc, err := s.referrer(ctx, d, m.Descriptor)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			s.o.warn(fmt.Sprintf("referrer %s: %v", d.Digest, err))
		case doc.index != nil:
			list = append(list, doc.index.Manifests...)
		}
	}
	return list, nil
}
