package fetch

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A neighbourly place keeps other images beside its own, and can be asked for
// them by name.
type neighbourly interface {
	// neighbour resolves a tag in the same repository, layout or archive.
	neighbour(ctx context.Context, tag string) (ocispec.Descriptor, error)
}

var (
	_ neighbourly = (*registry)(nil)
	_ neighbourly = (*mirrored)(nil)
	_ neighbourly = (*searched)(nil)
	_ neighbourly = (*layout)(nil)
)

// Companion resolves the reference's tag with suffix behind it, in the same
// repository, layout or archive: some tools keep there what belongs to an
// image. What it leads to is read as all else: Complete, Blob. It is found by
// name only, so nothing vouches for it. Where the reference has no tag, or
// nothing has that name, the error is ErrNotFound.
func (s *Source) Companion(ctx context.Context, suffix string) (ocispec.Descriptor, error) {
	what := fmt.Sprintf("the image beside it under its tag and %q", suffix)
	if s.ref.tag == "" || s.ref.digest != "" {
		return ocispec.Descriptor{}, s.explain(fmt.Errorf("%s: %w: the reference has no tag", what, ErrNotFound))
	}
	return s.neighbour(ctx, s.ref.tag+suffix, what)
}

// maxTag is how long a tag may be (distribution-spec, "Pulling manifests").
const maxTag = 128

// What cosign keeps under tags made of a manifest's digest, by their ends.
const (
	CosignSignatures   = ".sig"
	CosignAttestations = ".att"
	CosignSBOM         = ".sbom"
)

// CosignTag is the tag under which cosign keeps what belongs to the manifest
// with a digest; kind is one of the above.
func CosignTag(d digest.Digest, kind string) string {
	return d.Algorithm().String() + "-" + d.Encoded() + kind
}

// Cosign resolves that tag, in the manner of Companion.
func (s *Source) Cosign(ctx context.Context, d digest.Digest, kind string) (ocispec.Descriptor, error) {
	if err := checkDigest(d); err != nil {
		return ocispec.Descriptor{}, s.explain(err)
	}
	tag := CosignTag(d, kind)
	if len(tag) > maxTag { // of SHA-512: no registry can have it
		return ocispec.Descriptor{}, s.explain(fmt.Errorf("%w: a tag of %d characters", ErrNotFound, len(tag)))
	}
	return s.neighbour(ctx, tag, "what cosign keeps under the tag "+tag)
}

func (s *Source) neighbour(ctx context.Context, tag, what string) (d ocispec.Descriptor, err error) {
	p, ok := s.place.(neighbourly)
	if !ok {
		return d, s.explain(fmt.Errorf("%s: %w: an image of this kind has no others beside it", what, ErrNotFound))
	}
	if d, err = p.neighbour(ctx, tag); err != nil {
		err = s.explain(fmt.Errorf("%s: %w", what, err))
	}
	return d, err
}

func (r *registry) neighbour(ctx context.Context, tag string) (ocispec.Descriptor, error) {
	d, _, err := r.resolveTag(ctx, tag)
	return d, err
}

func (l *layout) neighbour(_ context.Context, tag string) (ocispec.Descriptor, error) {
	ref := l.ref
	ref.tag, ref.digest = tag, ""
	return (&layout{files: l.files, ref: ref, warn: l.warn}).find()
}
