package image

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
)

// A View says what to show of what a reference leads to. The zero value shows
// the root file system of the image for the platform; of an artifact, its blobs
// as files; of a Docker Compose application, its files and images.
type View struct {
	// AllPlatforms shows what there is for each platform, in a directory called
	// OS-ARCH or OS-ARCH-VARIANT.
	AllPlatforms bool
	// Compose shows the Compose application that goes with an image: the one
	// whose subject is the image's manifest, or else its image index.
	Compose bool
	// Layer shows one layer by itself, with its whiteouts as overlayfs has
	// them: its number, from 1, its digest or its diffID, or so much of their
	// hexadecimal digits that no other has.
	Layer string
	// UserXattrs marks opaque directories, of a Layer, for an overlayfs that was
	// mounted with userxattr.
	UserXattrs bool
	// Subpath shows only that directory, as the root. Symbolic links on the way
	// are followed inside the root.
	Subpath string
}

// ErrNoCompose says that no Compose application goes with an image.
var ErrNoCompose = errors.New("no Compose application refers to it")

// Select follows src's reference, as Resolve does, and decides what to show of
// it, as o.View says. Only documents are read, and the files of a Compose
// application.
//
// Errors are those of Resolve, but that artifacts are none; ErrNoCompose; and
// ErrUnsigned.
func Select(ctx context.Context, src *fetch.Source, store *cache.Store, o Options) (*Selection, error) {
	s := newSelection(src, store, o)
	root, err := s.r.root(ctx)
	if err != nil {
		return nil, err
	}
	s.root = root
	switch v := o.View; {
	case v.Compose && v.AllPlatforms:
		return nil, fmt.Errorf("%w: the Compose applications of all platforms together", ErrUnsupported)
	case v.AllPlatforms:
		err = s.allPlatforms(ctx)
	default:
		err = s.onePlatform(ctx)
	}
	if err == nil {
		err = s.vouched(ctx)
	}
	if err == nil && o.View.Layer != "" {
		err = s.only(o.View.Layer)
	}
	return s, err
}

// onePlatform selects what there is for the platform.
func (s *Selection) onePlatform(ctx context.Context) error {
	spec := platforms.DefaultSpec()
	if s.o.Platform != "" {
		var err error
		if spec, err = ParsePlatform(s.o.Platform); err != nil {
			return fmt.Errorf("platform %q: %w", s.o.Platform, err)
		}
	}
	if isBundle(s.root) {
		return s.bundle(ctx, s.root, spec, "")
	}
	m, err := s.follow(ctx, s.root, spec)
	if err == nil && s.o.View.Compose && !m.compose() {
		return s.loose(ctx, m, spec)
	}
	if err == nil {
		err = s.add(ctx, m, spec, "")
	}
	return err
}

// follow goes from doc to the manifest for a platform, of whatever it is.
func (s *Selection) follow(ctx context.Context, doc *document, spec ocispec.Platform) (*Manifest, error) {
	x := &Description{Name: s.r.src.Name(), Root: doc.desc, RawRoot: doc.raw}
	m, err := x.follow(ctx, s.r, spec, s.o.Platform != "")
	switch {
	case x.Manifest != nil && isFiles(x.Manifest):
		m, err = artifact(&document{desc: x.Descriptor, raw: x.Raw, manifest: x.Manifest})
	case err != nil:
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	m.Name, m.Root, m.RawRoot = x.Name, x.Root, x.RawRoot
	if x.Index != nil {
		m.Platforms = x.Index.Manifests
	}
	return m, nil
}

// add selects what the manifest is of, to be shown at a directory.
func (s *Selection) add(ctx context.Context, m *Manifest, spec ocispec.Platform, at string) error {
	if s.m == nil {
		s.m = m
	}
	switch {
	case m.compose():
		return s.compose(ctx, m, nil, spec, at)
	case m.ArtifactType != "":
		return s.files(m, at)
	}
	return s.image(m, at)
}

// isFiles says whether what the manifest is of is shown as files: an artifact.
// What has an image's configuration is an image, unless none of its blobs is a
// root file system's, and it says to be an artifact, or they are all documents,
// as in BuildKit's attestations and cosign's signatures.
func isFiles(m *ocispec.Manifest) bool {
	if !isImageConfig(m.Config.MediaType) {
		return true
	}
	others := len(m.Layers)
	for _, d := range m.Layers {
		if strings.Contains(d.MediaType, ".image.layer.") || strings.Contains(d.MediaType, ".image.rootfs.") {
			return false
		}
		if strings.HasSuffix(d.MediaType, "+json") {
			others--
		}
	}
	return len(m.Layers) > 0 && (m.ArtifactType != "" || others == 0)
}

// artifact is the Manifest of what is no container image.
func artifact(doc *document) (*Manifest, error) {
	m := &Manifest{
		Descriptor: doc.desc, Raw: doc.raw, layers: doc.manifest.Layers,
		annotations: doc.manifest.Annotations, subject: doc.manifest.Subject, ArtifactType: artifactType(doc.manifest),
	}
	if m.ArtifactType == "" {
		m.ArtifactType = "unknown"
	}
	if doc.manifest.Config.Annotations[ocispec.AnnotationTitle] != "" {
		m.layers = append([]ocispec.Descriptor{doc.manifest.Config}, m.layers...)
	}
	for i, d := range m.layers {
		if err := checkLayer(d); err != nil {
			return nil, fmt.Errorf("%s: blob %d: %w", doc.desc.Digest, i+1, err)
		}
	}
	return m, nil
}

// manifest is what the manifest at doc is of.
func (s *Selection) manifest(ctx context.Context, doc *document) (*Manifest, error) {
	if doc.manifest != nil && isFiles(doc.manifest) {
		return artifact(doc)
	}
	return s.r.image(ctx, doc)
}
