package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/tree"
)

// An imageSpec is which image to open, and how. It goes to a daemon as JSON.
type imageSpec struct {
	Ref       string
	Platform  string // "": the host's
	CacheDir  string
	CacheSize int64 // 0: no bound
	Index     image.Policy
	SOCIv1    bool
	Span      int64  // 0: as it is usual
	Verify    string // see policyverify.go; "": verifyChunk
	View      image.View
	AllImages bool   // of a Compose application
	VerifyKey []byte // public keys, in PEM, of which one must have signed it; none: nobody need have
	Registry  registrySpec
}

func imageSpecOf(cc *cli.Context, ref string) (s imageSpec, err error) {
	if s.Ref, err = absoluteRef(ref); err != nil {
		return s, err
	}
	if _, err := fetch.ParseReference(s.Ref); err != nil {
		return s, badReference("image reference", err)
	}
	if s.Platform = cc.String("platform"); s.Platform != "" {
		if _, err := image.ParsePlatform(s.Platform); err != nil {
			return s, usagef("--platform %q: %w", s.Platform, err).with("as in linux/arm64, linux/arm/v7 or 'windows(10.0.20348)/amd64'")
		}
	}
	if s.Index, err = image.ParsePolicy(cc.String("index")); err != nil {
		return s, usagef("--index: %w", err)
	}
	s.SOCIv1 = cc.Bool("soci-v1")
	if s.Verify, err = verifyOf(cc); err != nil {
		return s, err
	}
	if s.View, err = viewOf(cc); err != nil {
		return s, err
	}
	s.AllImages = findFlag(cc.Command.Flags, allImages) != nil && cc.Bool(allImages)
	if err = s.readKey(cc); err != nil {
		return s, err
	}
	if s.CacheDir, err = cacheDir(cc); err != nil {
		return s, err
	}
	if s.CacheSize, err = cacheSize(cc); err != nil {
		return s, err
	}
	s.Registry, err = registrySpecOf(cc)
	return s, err
}

// badReference refuses a reference that cannot be parsed; what says which.
func badReference(what string, err error) error {
	p := usagef("%s %w", what, err)
	foreign := (*fetch.TransportError)(nil)
	switch {
	case !errors.As(err, &foreign):
		return p.with("ocifs --help shows how to name an image")
	case foreign.Transport == "docker":
		return p.with("an image in a registry is " + quote("docker://"+foreign.Rest))
	}
	name := foreign.Transport + ":" + foreign.Rest
	p = p.with("copy it to a layout: skopeo copy " + quote(name) + " oci:DIR:TAG")
	if _, err := fetch.ParseReference("docker://" + name); err == nil {
		p = p.with("if it is an image in a registry: " + quote("docker://"+name))
	}
	return p
}

// absoluteRef makes the path in a reference absolute, where it is one, so that
// it means the same in another directory and in a mount table.
func absoluteRef(ref string) (string, error) {
	if r, err := fetch.ParseReference(ref); err != nil || !r.Local() {
		return ref, nil
	}
	prefix, path := "", ref
	for _, t := range []string{"oci:", "oci-layout://", "oci-archive:", "docker-archive:"} {
		if rest, ok := strings.CutPrefix(ref, t); ok {
			prefix, path = t, rest
		}
	}
	if filepath.IsAbs(path) {
		return ref, nil
	}
	path, err := filepath.Abs(path)
	return prefix + path, err
}

// An openedImage is an image with all it stands on.
type openedImage struct {
	*image.Image
	spec   imageSpec
	src    *fetch.Source
	store  *cache.Store
	chosen *image.Selection       // nil until choose
	others []*fetch.Source        // of images elsewhere
	inodes func(tree.Node) uint64 // see info; nil until it is asked
}

// openImage opens an image, whose reads ctx bounds until it is closed.
func openImage(ctx context.Context, s imageSpec, h hooks) (_ *openedImage, err error) {
	img, err := openSource(ctx, s, h)
	if err != nil {
		return nil, err
	}
	if err := img.choose(ctx, h); err != nil {
		defer img.Close()
		return nil, err
	}
	if err := img.openChosen(ctx, h); err != nil {
		defer img.Close()
		return nil, err
	}
	return img, nil
}

// options are the image.Options that s stands for.
func (s imageSpec) options(h hooks) image.Options {
	return image.Options{View: s.View, Platform: s.Platform, Index: s.Index, SOCIv1: s.SOCIv1, Span: s.Span, Keys: s.keys(), Warn: h.warn, Findings: s.findings(h.warn)}
}

// choose decides what is shown of what the reference leads to. No layer is
// opened.
func (i *openedImage) choose(ctx context.Context, h hooks) (err error) {
	o := i.spec.options(h)
	if i.spec.AllImages {
		o.Elsewhere = i.elsewhere(h)
	}
	if i.chosen, err = image.Select(ctx, i.src, i.store, o); err != nil {
		return i.named(viewFailed(err, i.spec.View))
	}
	h.log.Debug("resolved", slog.String("image", i.src.Name()), slog.String("manifest", i.chosen.Manifest().Descriptor.Digest.String()))
	remember(i.store, i.src.Name())
	return nil
}

// openChosen opens what was chosen.
func (i *openedImage) openChosen(ctx context.Context, h hooks) (err error) {
	o := i.spec.options(h)
	o.Progress = steps(i.chosen.Layers(), h.step)
	if i.Image, err = i.chosen.Open(ctx, o); err != nil {
		return i.named(viewFailed(err, i.spec.View))
	}
	if n := i.store.Short(); n > 0 {
		h.warn(fmt.Sprintf("the disk of the cache %s is full: %s of layers are not kept, and come again when they are read; "+
			"make room there, or choose another directory with --cache-dir", quote(i.spec.CacheDir), bytesOf(n)))
	}
	return nil
}

// named puts the image's name before an error that has none.
func (i *openedImage) named(err error) error {
	if e := (*fetch.Error)(nil); errors.As(err, &e) {
		return err
	}
	return fmt.Errorf("%s: %w", i.src.Name(), err)
}

// fetchOptions are the fetch.Options that s stands for.
func (s imageSpec) fetchOptions(h hooks, store *cache.Store) fetch.Options {
	o := s.Registry.options(h)
	o.TempDir, o.Memory = s.CacheDir, store
	return o
}

// openSource opens what an image is read from and through.
func openSource(ctx context.Context, s imageSpec, h hooks) (*openedImage, error) {
	store, err := cache.Open(s.CacheDir, cache.Options{Limit: s.CacheSize})
	if err != nil {
		return nil, hint(err, "choose another cache with --cache-dir")
	}
	o := s.fetchOptions(h, store)
	src, err := fetch.Open(ctx, s.Ref, o)
	if err != nil {
		store.Close()
		return nil, err
	}
	return &openedImage{spec: s, src: src, store: store}, nil
}

// steps turns the progress of an image's layers into steps: as many as can be
// seen, and the last one of each layer.
func steps(layers []ocispec.Descriptor, tell func(step)) func(layer int, done, size int64) {
	if tell == nil {
		return nil
	}
	last := make([]atomic.Int64, len(layers)) // when its step was told, ns
	return func(n int, done, size int64) {
		now := time.Now().UnixNano()
		if done < size && now-last[n].Load() < int64(frameEvery) {
			return
		}
		last[n].Store(now)
		tell(step{
			Layer: n, Layers: len(layers), Digest: layers[n].Digest.String(),
			Done: done, Total: size, Ready: done >= size,
		})
	}
}

// Close ends the image and what it stands on.
func (i *openedImage) Close() error {
	var errs []error
	if i.Image != nil {
		errs = append(errs, i.Image.Close())
	}
	for _, src := range i.others {
		errs = append(errs, src.Close())
	}
	return errors.Join(append(errs, i.src.Close(), i.store.Close())...)
}

// Name is the reference in full.
func (i *openedImage) Name() string { return i.src.Name() }

// platform is what the image is for, as its configuration says, or what else is
// shown.
func (i *openedImage) platform() string {
	if p := i.Manifest().Config.Platform; i.Manifest().ArtifactType == "" && p.OS != "" && i.What() == image.FormatPlatform(p) {
		return quote(platformName(p))
	}
	return quote(i.What())
}

// layers is what a record says of the layers.
func (i *openedImage) layers() []layerRecord {
	rs := []layerRecord{}
	for _, l := range i.Layers() {
		rs = append(rs, layerRecord{
			Digest: l.Descriptor.Digest.String(), Size: l.Descriptor.Size, Format: l.Format.String(),
			Index: string(l.Origin), Lazy: l.Origin != image.OriginRead,
		})
	}
	return rs
}

// lazy is how many of a mount's layers needed no pass, as "6/7".
func (r *record) lazy() string {
	n := 0
	for _, l := range r.Layers {
		if l.Lazy {
			n++
		}
	}
	return fmt.Sprintf("%d/%d", n, len(r.Layers))
}

// uiHooks tell the user directly.
func uiHooks(u *ui) hooks {
	h := hooks{warn: func(text string) { u.warn("%s", text) }, log: u.log}
	if u.progress.show {
		h.step = u.progress.step
	}
	return h
}

// look opens the image that a command's first argument names, and runs the
// command's body on it. Nothing is mounted.
func look(body func(ctx context.Context, u *ui, cc *cli.Context, img *openedImage) error) cli.ActionFunc {
	return talk(func(ctx context.Context, u *ui, cc *cli.Context) error {
		s, err := imageSpecOf(cc, cc.Args().First())
		if err != nil {
			return err
		}
		img, err := openImage(ctx, s, uiHooks(u))
		if err != nil {
			return err
		}
		u.progress.stop()
		defer img.Close()
		if err = body(ctx, u, cc, img); err == nil {
			err = img.Settle()
		}
		return err
	})
}
