package image

import (
	"context"
	"fmt"

	"github.com/distribution/reference"
)

// elsewhere is a service's image that doesn't go with the application, from
// where the application's files say it is, by digest if they do, as
// image-digests.yaml does; from is who reads it. Each is looked for once,
// however many services have it.
//
// What a signature of the application covers is what its files name by digest.
func (k *kit) elsewhere(ctx context.Context, ref string) (*Manifest, error) {
	if m := k.fetched[ref]; m != nil {
		return m, nil
	}
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return nil, fmt.Errorf("%w: image %q: %w", ErrUnsupported, ref, err)
	}
	if _, pinned := named.(reference.Digested); !pinned && k.s.o.Keys != nil {
		return nil, fmt.Errorf("image %q: %w: the application doesn't name its digest", ref, ErrUnsigned)
	}
	if err := k.s.vouched(ctx); err != nil { // before anybody is asked whom the application names
		return nil, err
	}
	src, err := k.s.o.Elsewhere(ctx, named.String())
	if err != nil {
		return nil, err
	}
	other := newSelection(src, k.s.r.store, k.s.o)
	root, err := other.r.root(ctx)
	if err != nil {
		return nil, err
	}
	m, err := other.follow(ctx, root, k.spec)
	if err == nil && m.compose() {
		err = fmt.Errorf("%w: it is a Compose application, too", ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src.Name(), err)
	}
	m.from = other.r
	k.fetched[ref] = m
	return m, nil
}

// missing is what becomes of a service whose image doesn't go with the
// application: nil if nothing does.
func (k *kit) missing(ctx context.Context, service, ref string) (*Manifest, error) {
	switch {
	case k.s.o.Elsewhere == nil && len(k.images) > 0:
		k.s.o.warn(fmt.Sprintf("service %q: no image goes with the application that is %q", service, ref))
		return nil, nil
	case k.s.o.Elsewhere == nil:
		return nil, nil
	case ref == "":
		k.s.o.warn(fmt.Sprintf("service %q: the application doesn't tell what its image is called", service))
		return nil, nil
	}
	return k.elsewhere(ctx, ref)
}
