package main

import (
	"context"
	"log/slog"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
)

// allPlatformsFlag is --all-platforms, for commands that can do what they do
// for every image that a reference leads to.
func allPlatformsFlag() cli.Flag {
	return &cli.BoolFlag{Name: "all-platforms", Usage: "do so for every platform's image, not for one"}
}

// manifestsOf are those of the images that a command is about: of the one for
// the platform or, with --all-platforms, of all there are.
func manifestsOf(ctx context.Context, cc *cli.Context, img *openedImage, h hooks) ([]*image.Manifest, error) {
	o := image.Options{Platform: img.spec.Platform, Warn: h.warn}
	if !cc.Bool("all-platforms") {
		m, err := image.Resolve(ctx, img.src, img.store, o)
		return []*image.Manifest{m}, err
	}
	if img.spec.Platform != "" {
		return nil, usagef("--platform is for one platform, and --all-platforms for all")
	}
	return image.ResolveAll(ctx, img.src, img.store, o)
}

// eachImage opens the images that a command is about, one after another, and
// runs its body on each.
func eachImage(ctx context.Context, u *ui, cc *cli.Context, s imageSpec, h hooks, body func(img *openedImage) error) error {
	place, err := openSource(ctx, s, h)
	if err != nil {
		return err
	}
	defer place.Close()
	list, err := manifestsOf(ctx, cc, place, h)
	if err != nil {
		return place.named(err)
	}
	for _, m := range list {
		img, err := place.open(ctx, m, h)
		u.progress.stop()
		if err != nil {
			return place.named(err)
		}
		err = body(img)
		img.Image.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// open opens the image of a manifest that i's source leads to. Who closes i
// need not close it.
func (i *openedImage) open(ctx context.Context, m *image.Manifest, h hooks) (*openedImage, error) {
	s := i.spec
	h.log.Debug("resolved", slog.String("image", i.src.Name()), slog.String("manifest", m.Descriptor.Digest.String()))
	o := image.Options{Index: s.Index, SOCIv1: s.SOCIv1, Span: s.Span, Warn: h.warn, Findings: s.findings(h.warn), Progress: steps(m.Layers(), h.step)}
	img, err := image.OpenManifest(ctx, m, i.src, i.store, o)
	if err != nil {
		return nil, err
	}
	return &openedImage{Image: img, spec: s, src: i.src, store: i.store}, nil
}
