package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxViews bounds how many platforms, or services, are shown side by side.
const maxViews = 256

// allPlatforms selects what there is for every platform.
func (s *Selection) allPlatforms(ctx context.Context) error {
	s.m = &Manifest{Name: s.r.src.Name(), Root: s.root.desc, RawRoot: s.root.raw, Descriptor: s.root.desc, Raw: s.root.raw}
	l := &lister{r: s.r, seen: map[string]bool{}}
	var err error
	if s.root.index != nil {
		s.m.Platforms = s.root.index.Manifests
		err = l.walk(ctx, s.root, nil, 1)
	} else {
		err = l.add(ctx, s.root.desc, s.root)
	}
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	var skipped error
	for _, d := range l.list {
		if d.Platform == nil || isBundle(s.root) && taken[platformName(*d.Platform)] {
			continue
		}
		if len(taken) == maxViews {
			return fmt.Errorf("%s: more than %d platforms", s.root.desc.Digest, maxViews)
		}
		name := platformName(*d.Platform)
		if taken[name] {
			name += "-" + d.Digest.Encoded()[:12]
		}
		taken[name] = true
		switch err := s.platform(ctx, d, name); {
		case errors.Is(err, ErrUnsupported):
			s.o.warn(fmt.Sprintf("%s is not shown: %v", FormatPlatform(*d.Platform), err))
			skipped = err
		case err != nil:
			return err
		}
	}
	if len(s.parts) == 0 && skipped == nil {
		skipped = &NoPlatformError{Want: "any platform"}
	}
	if len(s.parts) > 0 {
		s.what = counted(len(taken), "platform")
		return nil
	}
	return skipped
}

// platform selects the manifest at d, or what the bundle has for its platform.
func (s *Selection) platform(ctx context.Context, d ocispec.Descriptor, at string) error {
	if isBundle(s.root) {
		return s.bundle(ctx, s.root, *d.Platform, at)
	}
	doc, err := s.r.load(ctx, d)
	if err != nil {
		return err
	}
	m, err := s.manifest(ctx, doc)
	if err != nil {
		return err
	}
	return s.add(ctx, m, *d.Platform, at)
}

// platformName is what a platform's directory is called.
func platformName(p ocispec.Platform) string {
	p = platforms.Normalize(p)
	name := p.OS + "-" + p.Architecture
	for _, s := range []string{p.Variant, p.OSVersion} {
		if s != "" {
			name += "-" + s
		}
	}
	return component(name)
}
