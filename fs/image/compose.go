package image

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
)

// A Compose application is shown as its files, and images/SERVICE for each
// service whose image goes with it. There are three ways to publish the two
// together:
//
//	bundled   an image index lists the application's manifest and the images
//	loose     the application's subject is the image, or its image index
//	--app     an image index, which lists the images, has the application as
//	          its subject ("docker compose publish --app")
//
// Else, or if some don't go with it, they are where its files say, as Docker has
// them (composeelsewhere.go); these are shown on demand only.
//
// With several platforms, a bundle may have an application for each, and images
// may be image indexes, here as everywhere.

// imagesDir is where services' images are shown.
const imagesDir = "images"

// isCompose says whether an artifact of that type is a Compose application.
func isCompose(artifactType string) bool {
	return artifactType == composeType || artifactType == composeConfig
}

func (m *Manifest) compose() bool { return isCompose(m.ArtifactType) }

// isBundle says whether doc is an image index with a Compose application in it.
func isBundle(doc *document) bool {
	return doc.index != nil && slices.ContainsFunc(doc.index.Manifests, isApplication)
}

func isApplication(d ocispec.Descriptor) bool {
	return isCompose(d.ArtifactType) && d.MediaType == ocispec.MediaTypeImageManifest
}

// bundle selects the application for a platform, and the images, of an index.
func (s *Selection) bundle(ctx context.Context, doc *document, spec ocispec.Platform, at string) error {
	c := newChooser(s.r, spec)
	var app *ocispec.Descriptor
	var all, rest []ocispec.Descriptor
	for _, d := range doc.index.Manifests {
		switch {
		case !isApplication(d):
			rest = append(rest, d)
			continue
		case d.Platform == nil: // as Docker does, the last one, unless one is for the platform
			if app == nil || app.Platform == nil {
				app = &d
			}
		case c.fits(*d.Platform) && (app == nil || app.Platform == nil || c.compare(*d.Platform, *app.Platform) < 0):
			app = &d
		}
		all = append(all, d)
	}
	if doc.index.Subject != nil {
		rest = append(rest, *doc.index.Subject)
	}
	if app == nil {
		return &NoPlatformError{Want: FormatPlatform(spec), Have: names(all)}
	}
	m, err := s.application(ctx, *app)
	if err != nil {
		return err
	}
	if s.m == nil {
		s.m = m
	}
	return s.compose(ctx, m, rest, spec, at)
}

// application is the manifest of a Compose application.
func (s *Selection) application(ctx context.Context, d ocispec.Descriptor) (*Manifest, error) {
	doc, err := s.r.load(ctx, d)
	if err != nil {
		return nil, err
	}
	if doc.manifest == nil {
		return nil, fmt.Errorf("%w: the Compose application %s is an image index", ErrUnsupported, d.Digest)
	}
	m, err := artifact(doc)
	if err != nil {
		return nil, err
	}
	m.Name, m.Root, m.RawRoot = s.r.src.Name(), s.root.desc, s.root.raw
	if !m.compose() {
		return nil, fmt.Errorf("%s is listed as a Compose application, but is of type %q", d.Digest, m.ArtifactType)
	}
	return m, nil
}

// compose selects an application's files, and of the images that go with it, or
// are listed with it, those that its services have.
func (s *Selection) compose(ctx context.Context, m *Manifest, listed []ocispec.Descriptor, spec ocispec.Platform, at string) error {
	p, err := s.project(ctx, m)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Descriptor.Digest, err)
	}
	if s.what == "" {
		s.what = "compose application"
	}
	meta := index.Entry{Mode: fileMode, ModTime: created(m.annotations)}
	for _, f := range p.files {
		if len(s.layers)+len(s.texts) >= 1<<16-1 {
			return fmt.Errorf("%w: %d files", index.ErrLimit, len(s.texts))
		}
		s.texts = append(s.texts, f.body)
		desc := ocispec.Descriptor{Digest: digest.FromBytes(f.body)}
		s.parts = append(s.parts, part{at: at, layers: []int{}, name: f.name, desc: desc, meta: meta, text: len(s.texts)})
	}
	for _, d := range m.Layers() {
		if d.MediaType != composeFile && d.MediaType != composeEnv {
			if err := s.blob(m, d, at, false); err != nil {
				return err
			}
		}
	}
	if len(p.services) > maxViews {
		return fmt.Errorf("%s: more than %d services", m.Descriptor.Digest, maxViews)
	}
	if m.subject != nil {
		listed = append(slices.Clone(listed), *m.subject)
	}
	if len(listed) == 0 {
		if listed, err = s.published(ctx, m); err != nil {
			return err
		}
	}
	k := newKit(s, spec, p, listed)
	return k.show(ctx, p, strings.TrimPrefix(at+"/"+imagesDir, "/"))
}

// project reads an application's files.
func (s *Selection) project(ctx context.Context, m *Manifest) (*project, error) {
	bodies := make([][]byte, len(m.Layers()))
	total := int64(0)
	for i, d := range m.Layers() {
		if d.MediaType != composeFile && d.MediaType != composeEnv {
			continue
		}
		if total += d.Size; total > fetch.MaxDocument {
			return nil, fmt.Errorf("%w: Compose files of more than %d bytes", ErrUnsupported, fetch.MaxDocument)
		}
		var err error
		if bodies[i], err = s.r.blob(ctx, d); err != nil {
			return nil, err
		}
	}
	return assemble(m.Layers(), bodies)
}

// show selects the image of each service, as far as it is there.
func (k *kit) show(ctx context.Context, p *project, at string) error {
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(p.services)) {
		m, err := k.imageOf(ctx, p, name)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errNotBundled):
			m, err = k.missing(ctx, name, p.services[name])
		}
		if err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
		if m == nil {
			continue
		}
		dir := component(name)
		for used[dir] {
			dir += "_"
		}
		used[dir] = true
		if m.ArtifactType != "" {
			err = k.s.files(m, at+"/"+dir)
		} else {
			err = k.s.image(m, at+"/"+dir)
		}
		if err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
	}
	return nil
}
