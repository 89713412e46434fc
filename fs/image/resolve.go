package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
)

// A Manifest is what a reference leads to: one image's manifest and
// configuration, verified. It is immutable.
type Manifest struct {
	Name       string             // the reference, in full
	Root       ocispec.Descriptor // what the reference points at: an image index or the manifest
	Descriptor ocispec.Descriptor // of the manifest
	Raw        []byte             // the manifest as it is
	RawRoot    []byte             // what the reference points at as it is
	RawConfig  []byte             // the configuration as it is
	Config     ocispec.Image
	Platforms  []ocispec.Descriptor // the image index's own entries, attestations too; nil without an index

	// Signed is the digest of the document that one of Options.Keys has signed:
	// Root's or Descriptor's; "" if nobody asked.
	Signed digest.Digest

	// ArtifactType says that it is no container image, and what instead; it is
	// set by Select only.
	ArtifactType string

	layers      []ocispec.Descriptor
	annotations map[string]string
	subject     *ocispec.Descriptor
	from        *resolver // who reads it and its blobs; nil: who reads all else
}

// Layers are the layers' descriptors, the base first.
func (m *Manifest) Layers() []ocispec.Descriptor { return m.layers }

// Resolve follows src's reference to the manifest for o.Platform and its
// configuration. Documents come from store if they were ever verified, so a
// reference by digest that was resolved before makes no request.
//
// A *NoPlatformError says that the image has none for the platform;
// ErrUnsupported, that what is there isn't an image ocifs can read; errors of
// src are passed on.
func Resolve(ctx context.Context, src *fetch.Source, store *cache.Store, o Options) (*Manifest, error) {
	_, m, err := Describe(ctx, src, store, o)
	return m, err
}

// A resolver reads documents, from the cache where it has them.
type resolver struct {
	src   *fetch.Source
	store *cache.Store
	warn  func(string)
}

// root is what the source's reference points at.
func (r *resolver) root(ctx context.Context) (*document, error) {
	d, err := r.resolve(ctx)
	if err != nil {
		return nil, err
	}
	return r.load(ctx, d)
}

// image reads the configuration of the manifest at doc, and holds the two
// against each other.
func (r *resolver) image(ctx context.Context, doc *document) (*Manifest, error) {
	if doc.manifest == nil {
		return nil, fmt.Errorf("%w: %s is not a manifest", ErrUnsupported, doc.desc.Digest)
	}
	m := &Manifest{Descriptor: doc.desc, Raw: doc.raw, layers: doc.manifest.Layers, annotations: doc.manifest.Annotations, subject: doc.manifest.Subject}
	if err := isImage(doc); err != nil {
		return nil, err
	}
	for i, d := range m.layers {
		if err := checkLayer(d); err != nil {
			return nil, fmt.Errorf("%s: layer %d: %w", doc.desc.Digest, i+1, err)
		}
	}
	var err error
	if m.Config, m.RawConfig, err = r.config(ctx, doc.manifest.Config); err != nil {
		return nil, err
	}
	if have, want := len(m.Config.RootFS.DiffIDs), len(m.layers); have != want {
		return nil, fmt.Errorf("%s: %d layers, but its configuration has %d diffIDs", doc.desc.Digest, want, have)
	}
	for i, id := range m.Config.RootFS.DiffIDs {
		if err := id.Validate(); err != nil {
			return nil, fmt.Errorf("%s: diffID %d %q: %w", doc.manifest.Config.Digest, i+1, id, err)
		}
	}
	return m, nil
}

// checkLayer says what is wrong with a layer's descriptor, by itself. Its size
// is a promise, too, so it can't be left out.
func checkLayer(d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", d.Digest, err)
	}
	if d.Size < 0 || d.Size == 0 && d.Digest != d.Digest.Algorithm().FromBytes(nil) {
		return fmt.Errorf("%s: its descriptor says that it has %d bytes", d.Digest, d.Size)
	}
	return nil
}

func (r *resolver) config(ctx context.Context, d ocispec.Descriptor) (ocispec.Image, []byte, error) {
	var c ocispec.Image
	if d.Size <= 0 { // read takes 0 as unknown, which a manifest has no right to leave
		return c, nil, fmt.Errorf("configuration %s: its descriptor says that it has %d bytes", d.Digest, d.Size)
	}
	b, err := r.read(ctx, d)
	if named := (*fetch.Error)(nil); errors.As(err, &named) {
		return c, nil, &fetch.Error{Name: named.Name, Err: fmt.Errorf("configuration %w", named.Err)}
	} else if err != nil {
		return c, nil, fmt.Errorf("configuration %w", err)
	}
	if err := unmarshal(b, &c); err != nil {
		return c, nil, fmt.Errorf("configuration %s: %w", d.Digest, err)
	}
	return c, b, nil
}

// read is the verified document at d. The cache's copy is verified again: the
// key is only where it was put.
func (r *resolver) read(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w", d.Digest, err)
	}
	if d.Size < 0 {
		return nil, fmt.Errorf("%s: its descriptor says that it has %d bytes", d.Digest, d.Size)
	}
	if d.Data != nil { // checked, and nearer than the cache
		return r.src.Document(ctx, d)
	}
	key := objectKey("doc", d.Digest)
	b, err := r.store.Get(key)
	if err == nil && d.Digest.Algorithm().FromBytes(b) == d.Digest && (d.Size <= 0 || d.Size == int64(len(b))) {
		return b, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if b, err = r.src.Document(ctx, d); err != nil {
		return nil, err
	}
	if err := r.store.Put(key, b); err != nil { // the document is as good without
		r.warn(err.Error())
	}
	return b, nil
}

// objectKey names something about the blob with digest d in the cache.
func objectKey(kind string, d digest.Digest) string {
	return kind + "-" + d.Algorithm().String() + "-" + d.Encoded()
}
