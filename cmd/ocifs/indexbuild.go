package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/convert"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
)

func indexBuildCommand() *cli.Command {
	return &cli.Command{
		Name:      "build",
		Usage:     "read an image's layers and keep an index of them",
		ArgsUsage: "IMAGE [DESTINATION]",
		Description: `Reads the layers that this cache has no index of, once, and tells of each layer
what that costs. With --index=off or --span all are read, known or not. What is in the
cache then serves all later mounts here; --out writes it as the artifact that
ocifs index push pushes, into a layout.

With DESTINATION, in a registry or oci:DIR:TAG, the image is written there with
the index. The layers stay as they are; the manifest, which then names the
index and so vouches for it (--index=trusted), has another digest. What was said
about the manifest as it was (signatures, attestations) isn't copied.

With --format soci, that is a SOCI index instead, of version 2, as
soci-snapshotter reads it, too; then there must be a DESTINATION.`,
		UsageText: `
$ ocifs index build docker.io/library/python:3.13
$ ocifs index build --out oci:/srv/indexes docker.io/library/python:3.13
$ ocifs index build --all-platforms ghcr.io/o/r:v2 ghcr.io/o/r:v2-indexed
$ ocifs index build --format soci ghcr.io/o/r:v2 ghcr.io/o/r:v2-soci`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "ocifs", Usage: "make an index in `FORMAT`: ocifs, soci"},
			allPlatformsFlag(),
			&cli.StringFlag{Name: "out", Usage: "write the index to `LAYOUT`, as oci:DIR or oci:DIR:TAG, too"},
			&cli.StringFlag{Name: "span", Usage: "what is read of a gzip layer has to be decoded from at most `SIZE` before it on (256KiB, the least; soci: 4MiB)"},
			&cli.StringFlag{Name: "min-layer", Usage: "for soci: layers below `SIZE` get no index (10MiB)"},
			jsonFlag(),
		},
		Action: talk(indexBuild),
	}
}

func indexBuild(ctx context.Context, u *ui, cc *cli.Context) error {
	switch f := cc.String("format"); {
	case f == "soci":
		return indexSOCI(ctx, u, cc)
	case f != "ocifs":
		return usagef("--format is ocifs or soci, not %q", f).with("ocifs convert writes the layers themselves in another format")
	case cc.String("min-layer") != "":
		return usagef("--min-layer is for --format soci")
	}
	out, err := indexOut(cc)
	if err != nil {
		return err
	}
	s, err := wholeSpec(cc)
	if err != nil {
		return err
	}
	if cc.IsSet("span") {
		if s.Span, err = spanOf(cc); err != nil {
			return err
		}
		s.Index = image.PolicyOff // what is known may have other points
	}
	var watch stopwatch
	h := watch.on(uiHooks(u))
	if cc.NArg() > 1 {
		return indexNamed(ctx, u, cc, s, h, "ocifs", func(place *openedImage, m *image.Manifest) (*indexing, error) {
			return ocifsIndexing(ctx, place, m, h, &watch)
		})
	}
	return eachImage(ctx, u, cc, s, h, func(img *openedImage) error {
		x, err := img.Index(ctx)
		if err != nil {
			return img.named(err)
		}
		b := builtOf(img, x, &watch)
		if out != "" {
			if b.Index, err = writeIndex(ctx, u, cc, x, out); err != nil {
				return err
			}
		}
		if cc.Bool("json") {
			return u.json(b)
		}
		if cc.Bool("all-platforms") {
			platformLine(u, b.Platform, img.Manifest())
		}
		return b.text(u)
	})
}

// spanOf is --span, for an ocifs index.
func spanOf(cc *cli.Context) (int64, error) {
	n, err := sizeFlag(cc, "span", "")
	if err == nil && (n < index.ChunkSize || n > index.MaxSpan) {
		err = usagef("--span %s: an ocifs index has a checkpoint every 256KiB to 4MiB", quote(cc.String("span")))
	}
	return n, err
}

// indexOut is --out, checked.
func indexOut(cc *cli.Context) (string, error) {
	out := cc.String("out")
	if out == "" {
		return "", nil
	}
	if cc.NArg() > 1 {
		return "", usagef("--out is for an index alone, not for an image that names it")
	}
	if !strings.HasPrefix(out, "oci:") {
		return "", usagef("--out is a layout, oci:DIR or oci:DIR:TAG, not %s", quote(out)).with("to push it to a registry: ocifs index push --to")
	}
	ref, err := destinationRef(out)
	if err != nil {
		return "", err
	}
	if r, err := fetch.ParseReference(ref); err == nil && r.Tag() != "" && cc.Bool("all-platforms") {
		return "", usagef("--out with --all-platforms is oci:DIR, not %s: a tag is for one index", quote(out))
	}
	return out, nil
}

// ocifsIndexing is an image that names an ocifs index of it.
func ocifsIndexing(ctx context.Context, place *openedImage, m *image.Manifest, h hooks, w *stopwatch) (*indexing, error) {
	img, err := place.open(ctx, m, h)
	if err != nil {
		return nil, err
	}
	x, err := img.Index(ctx)
	var named *convert.Indexed
	if err == nil {
		named, err = convert.Named(m, x)
	}
	if err != nil {
		img.Image.Close()
		return nil, err
	}
	b := builtOf(img, x, w)
	return &indexing{Indexed: named, of: m, blobs: x.Blobs, layers: b.Layers, text: b.text, close: img.Image.Close}, nil
}

// writeIndex puts an index into a layout.
func writeIndex(ctx context.Context, u *ui, cc *cli.Context, x *image.Index, out string) (*pushedInfo, error) {
	dst, err := destination(ctx, u, cc, out)
	if err != nil {
		return nil, err
	}
	defer dst.Close()
	d, err := u.push(ctx, dst, fetch.Upload{Manifest: x.Manifest, Blobs: x.Blobs, Tagged: true}) // by its tag, if it has one
	return &pushedInfo{Digest: d.Digest.String(), Size: sizeOfIndex(x), To: dst.Name()}, err
}

// A built is what index build has come to, for JSON.
type built struct {
	Schema   string      `json:"schema"`
	Image    string      `json:"image"`
	Digest   string      `json:"digest"`
	Platform string      `json:"platform"`
	Layers   []builtInfo `json:"layers"`
	Index    *pushedInfo `json:"index,omitempty"` // what was written, and where
}

// A builtInfo is a layer and its index.
type builtInfo struct {
	Digest      string  `json:"digest"`
	Size        int64   `json:"size"`
	Table       int64   `json:"table_size"`   // what it takes to mount
	Windows     int64   `json:"windows_size"` // what is read with the layer
	Checkpoints int     `json:"checkpoints"`
	Entries     int     `json:"entries"`
	Read        bool    `json:"read"` // just now; it was known otherwise
	Seconds     float64 `json:"seconds"`
}

// A pushedInfo is an index that was pushed.
type pushedInfo struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"` // with its blobs
	To     string `json:"to"`
}

func builtOf(img *openedImage, x *image.Index, w *stopwatch) built {
	b := built{Schema: "ocifs.dev/index-build/v1", Image: img.Name(), Digest: img.Manifest().Descriptor.Digest.String(),
		Platform: platformName(img.Manifest().Config.Platform), Layers: []builtInfo{}}
	infos := img.Layers()
	for i, l := range x.Layers {
		info := builtInfo{
			Digest: l.Layer.Digest.String(), Size: l.Layer.Size, Table: l.Table.Size, Windows: l.Windows.Size,
			Checkpoints: l.Checkpoints, Entries: l.Entries, Read: infos[i].Origin == image.OriginRead,
		}
		if info.Read {
			info.Seconds = w.took(l.Layer.Digest).Seconds()
		}
		b.Layers = append(b.Layers, info)
	}
	return b
}

func (b built) text(u *ui) error {
	for i, l := range b.Layers {
		how := "known"
		if l.Read {
			how = fmt.Sprintf("%.1f s", l.Seconds)
		}
		fmt.Fprintf(u.out, "layer %d/%d %s %s → %s index, %s, %s  %s\n", i+1, len(b.Layers), shortDigest(l.Digest),
			bytesOf(l.Size), bytesOf(l.Table+l.Windows), counted(l.Checkpoints, "checkpoint", "checkpoints"), counted(l.Entries, "entry", "entries"), how)
	}
	if b.Index != nil {
		fmt.Fprintf(u.out, "wrote %s (%s) to %s\n", b.Index.Digest, bytesOf(b.Index.Size), quote(b.Index.To))
	}
	return nil
}

// counted is "1 entry", "41,211 entries".
func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + more
}

func sizeOfIndex(x *image.Index) int64 {
	n := int64(len(x.Manifest))
	for _, b := range x.Blobs {
		n += b.Size
	}
	return n
}
