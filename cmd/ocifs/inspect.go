package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
)

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show what an image is",
		ArgsUsage: "IMAGE",
		Description: `Shows the image's digest, the platforms there are, how it wants to be run, and
its layers, with how a mount would read each of them now:

  cached: 40 %                 it was read whole before; that much of it is here
  read where it lies           it was read whole before, and is a file here
  lazy: eStargz TOC            in pieces, by a table of contents that it brings
  lazy: zstd:chunked TOC       the same
  lazy: TOC image              the same, but that lies beside the image
  lazy: SOCI                   in pieces, by a SOCI index
  lazy: ocifs index            in pieces, by an index pushed to the repository
  one pass first, then lazy    whole, once; that leaves a table of contents here
  unsupported: ...             not at all: encrypted, foreign, or no tar archive

Manifests and the configuration are read, and the repository is asked for an
index, as --index says; no layer is read. Where eStargz layers leave their index
to a TOC image (IMAGE-esgztoc), that is shown, too. Without an image for the platform the
image index is shown; what is no container image is shown as far as it tells.
With --verify-key, it is said what of it is signed, or nothing is shown.`,
		UsageText: `
$ ocifs inspect docker.io/library/python:3.13
$ ocifs inspect --raw --platform linux/arm64 alpine | jq .layers
$ ocifs inspect --config alpine | jq .config.Env`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "raw", Usage: "print what the reference points at (an image index or a manifest) byte for byte; with --platform, that platform's manifest"},
			&cli.BoolFlag{Name: "manifest", Usage: "print the platform's manifest byte for byte"},
			&cli.BoolFlag{Name: "config", Usage: "print the platform's configuration byte for byte"},
			jsonFlag(),
		},
		Action: talk(inspect),
	}
}

func inspect(ctx context.Context, u *ui, cc *cli.Context) error {
	forms := 0
	for _, f := range []string{"raw", "manifest", "config", "json"} {
		if cc.Bool(f) {
			forms++
		}
	}
	if forms > 1 {
		return usagef("inspect: only one of --raw, --manifest, --config and --json")
	}
	s, err := imageSpecOf(cc, cc.Args().First())
	if err != nil {
		return err
	}
	img, err := openSource(ctx, s, uiHooks(u))
	if err != nil {
		return err
	}
	defer img.Close()
	o := image.Options{Platform: s.Platform, Index: s.Index, SOCIv1: s.SOCIv1, Keys: s.keys(), Warn: uiHooks(u).warn}
	if cc.Bool("raw") || cc.Bool("manifest") || cc.Bool("config") {
		err = img.inspectRaw(ctx, u, cc, o)
	} else {
		err = img.inspect(ctx, u, o, cc.Bool("json"))
	}
	if err != nil {
		return img.named(err)
	}
	return nil
}

// inspectRaw prints the document that is asked for.
func (i *openedImage) inspectRaw(ctx context.Context, u *ui, cc *cli.Context, o image.Options) error {
	var raw []byte
	if cc.Bool("raw") && o.Platform == "" && o.Keys == nil {
		x, err := image.ReadRoot(ctx, i.src, i.store, o)
		if err != nil {
			return err
		}
		raw = x.RawRoot
	} else {
		x, m, err := image.Describe(ctx, i.src, i.store, o)
		switch {
		case x == nil || errors.Is(err, image.ErrUnsigned):
			return err
		case cc.Bool("raw") && o.Platform == "":
			if raw = x.RawRoot; x.Signed != x.Root.Digest {
				return fmt.Errorf("%w of %s: only the manifest in it is signed, which --manifest prints", image.ErrUnsigned, x.Root.Digest)
			}
		case m != nil && cc.Bool("config"):
			raw = m.RawConfig
		case x != nil && x.Raw != nil && !cc.Bool("config") && !noPlatform(err): // be it an artifact's
			raw = x.Raw
		default:
			return err
		}
	}
	if u.tty {
		raw = harmless(raw) // another digest, but the same document
	}
	_, err := u.out.Write(raw)
	return err
}

// An inspection is all that there is to see of an image.
type inspection struct {
	*image.Description
	image    *image.Manifest // nil: it can't be opened
	why      error           // nil if it can
	outlooks []image.Outlook
	tocs     *descriptorInfo // see tocImage
}

// inspect shows the image. What can't be opened is shown as far as it is known;
// the error says why, unless it is of a kind that ocifs doesn't mount.
func (i *openedImage) inspect(ctx context.Context, u *ui, o image.Options, asJSON bool) error {
	x, m, err := image.Describe(ctx, i.src, i.store, o)
	if x == nil || ctx.Err() != nil || errors.Is(err, image.ErrUnsigned) || o.Platform != "" && noPlatform(err) {
		return err
	}
	n := &inspection{Description: x, image: m, why: err}
	if m != nil {
		if n.outlooks, err = image.Foresee(ctx, m, i.src, i.store, o); err != nil {
			return err
		}
		n.tocs = i.tocImage(ctx, m)
	}
	show := inspectText
	if asJSON {
		show = inspectJSON
	}
	if err := show(u, n); err != nil {
		return err
	}
	if noPlatform(n.why) || errors.Is(n.why, image.ErrUnsupported) {
		return nil
	}
	return n.why
}

// tocImage is the image beside this one that has the tables of contents of
// some of its eStargz layers; nil if there is none, or none that can be read.
func (i *openedImage) tocImage(ctx context.Context, m *image.Manifest) *descriptorInfo {
	of := slices.DeleteFunc(slices.Clone(m.Layers()), func(d ocispec.Descriptor) bool { return storage(d) != "estargz" })
	if len(of) == 0 {
		return nil
	}
	d, tables, err := image.TOCImage(ctx, i.src, i.store)
	if err != nil || !slices.ContainsFunc(of, func(l ocispec.Descriptor) bool { return tables[l.Digest].Digest != "" }) {
		return nil
	}
	return shown(d)
}

func noPlatform(err error) bool {
	var none *image.NoPlatformError
	return errors.As(err, &none)
}

// layers are those of the manifest, if there is one.
func (n *inspection) layers() []ocispec.Descriptor {
	if n.Manifest == nil {
		return nil
	}
	return n.Manifest.Layers
}

// artifact is what the manifest is of, if not of a container image.
func (n *inspection) artifact() string {
	if n.image != nil || n.Manifest == nil || !errors.Is(n.why, image.ErrArtifact) {
		return ""
	}
	if t := n.Manifest.ArtifactType; t != "" {
		return t
	}
	return n.Manifest.Config.MediaType
}

// isImage tells images in an index from what is said about them
// (attestations).
func isImage(d ocispec.Descriptor) bool {
	return d.Platform == nil || d.Platform.OS != "unknown"
}

func platformOf(d ocispec.Descriptor) string {
	switch {
	case d.Platform != nil:
	case d.ArtifactType != "":
		return "(" + d.ArtifactType + ")"
	case d.MediaType == ocispec.MediaTypeImageIndex:
		return "(nested index)"
	default:
		return "(unsaid)"
	}
	return platformName(*d.Platform)
}

func platformName(p ocispec.Platform) string {
	return image.FormatPlatform(platforms.Normalize(p))
}

// storage is how a layer is stored, as far as the manifest tells: by the
// annotations of formats with an index, and the end of the media type. What
// stargz-snapshotter writes as zstd:chunked has eStargz's annotation, too.
func storage(d ocispec.Descriptor) string {
	for key := range d.Annotations {
		if strings.HasSuffix(key, ".zstd-chunked.manifest-checksum") {
			return "zstd:chunked"
		}
	}
	if d.Annotations["containerd.io/snapshot/stargz/toc.digest"] != "" {
		return "estargz"
	}
	for _, s := range []string{"gzip", "zstd", "tar"} {
		if strings.HasSuffix(d.MediaType, s) {
			return s
		}
	}
	return "?"
}
