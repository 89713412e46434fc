package fetch

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A neighbourly place keeps other images beside its own, and can be asked for
// them by name.
type neighbourly interface {
	// companion resolves the reference's tag with suffix behind it.
	companion(ctx context.Context, suffix string) (ocispec.Descriptor, error)
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
	p, ok := s.place.(neighbourly)
	if !ok {
		return ocispec.Descriptor{}, s.explain(fmt.Errorf("%w: an image of this kind has no others beside it", ErrNotFound))
	}
	d, err := p.companion(ctx, suffix)
	if err != nil {
		err = s.explain(fmt.Errorf("the image beside it under its tag and %q: %w", suffix, err))
	}
	return d, err
}

// beside is the reference to another image in the same place.
func (r Reference) beside(suffix string) (Reference, error) {
	if r.tag == "" || r.digest != "" {
		return r, fmt.Errorf("%w: the reference has no tag", ErrNotFound)
	}
	r.tag += suffix
	return r, nil
}

func (r *registry) companion(ctx context.Context, suffix string) (ocispec.Descriptor, error) {
	ref, err := r.ref.beside(suffix)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d, _, err := r.resolveTag(ctx, ref.tag)
	return d, err
}

func (l *layout) companion(_ context.Context, suffix string) (ocispec.Descriptor, error) {
	ref, err := l.ref.beside(suffix)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return (&layout{files: l.files, ref: ref, warn: l.warn}).find()
}
