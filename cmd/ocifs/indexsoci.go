package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/docker/go-units"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/convert"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
)

// minLayer is the soci command's default: smaller layers are as well read whole.
const minLayer = "10MiB"

// indexSOCI is index build --format soci.
func indexSOCI(ctx context.Context, u *ui, cc *cli.Context) error {
	switch {
	case cc.NArg() < 2:
		return usagef("index build: DESTINATION is missing").with("a SOCI index changes the manifest, so the image goes to a place of its own: ocifs index build --format soci IMAGE DESTINATION")
	case cc.String("out") != "":
		return usagef("--out is for --format ocifs; with soci, the image with its index goes to DESTINATION")
	}
	to, err := destinationRef(cc.Args().Get(1))
	if err != nil {
		return err
	}
	span, err := sizeFlag(cc, "span", "4MiB")
	if err != nil {
		return err
	}
	least, err := sizeFlag(cc, "min-layer", minLayer)
	if err != nil {
		return err
	}
	s, err := imageSpecOf(cc, cc.Args().First())
	if err != nil {
		return err
	}
	img, m, err := openManifest(ctx, u, s)
	if err != nil {
		return err
	}
	defer img.Close()
	dst, err := destination(ctx, u, cc, to)
	if err != nil {
		return err
	}
	defer dst.Close()
	var watch stopwatch
	h := watch.on(uiHooks(u))
	o := convert.SOCIOptions{MinLayer: least, Progress: steps(m, h.step), Read: func(ctx context.Context, _ int, d ocispec.Descriptor) (io.ReadCloser, error) {
		return readBlob(ctx, img.src, d)
	}}
	o.Span, o.Tool, o.Warn = span, index.SOCITool, h.warn
	x, err := convert.SOCI(ctx, m, o)
	u.progress.stop()
	if errors.Is(err, convert.ErrNoLayer) {
		return hint(img.named(err), "take smaller layers in with --min-layer")
	}
	if err != nil {
		return img.named(err)
	}
	d, err := pushSOCI(ctx, u, img.src, dst, m, x)
	if err != nil {
		return pushFailed(err)
	}
	return tellSOCI(u, cc.Bool("json"), img, dst, m, x, d, &watch)
}

// sizeFlag is a flag's size in bytes.
func sizeFlag(cc *cli.Context, name, value string) (int64, error) {
	value = cmp.Or(cc.String(name), value)
	n, err := units.RAMInBytes(value)
	if err != nil || n < 0 {
		return 0, usagef("--%s %q: not a size", name, value).with("as in 512KiB or 4MiB")
	}
	return n, nil
}

// pushSOCI pushes an image with its SOCI index, and returns what the tag then
// points at.
func pushSOCI(ctx context.Context, u *ui, src, dst *fetch.Source, m *image.Manifest, x *convert.SOCIImage) (ocispec.Descriptor, error) {
	soci := fetch.Upload{Manifest: x.Index, Blobs: []fetch.Content{
		held(ocispec.Descriptor{Digest: digest.FromString(index.SOCIConfig), Size: int64(len(index.SOCIConfig))}, []byte(index.SOCIConfig)),
	}}
	for _, z := range x.Ztocs {
		soci.Blobs = append(soci.Blobs, held(z.Descriptor(), z.Bytes))
	}
	if _, err := u.push(ctx, dst, soci); err != nil {
		return ocispec.Descriptor{}, err
	}
	img := fetch.Upload{Manifest: x.Manifest, Blobs: []fetch.Content{held(x.Config, m.RawConfig)}}
	for _, d := range x.Layers {
		img.Blobs = append(img.Blobs, copied(ctx, src, d))
	}
	if _, err := u.push(ctx, dst, img); err != nil {
		return ocispec.Descriptor{}, err
	}
	return u.push(ctx, dst, fetch.Upload{Manifest: x.Root, Tagged: true})
}

// held is content that is in memory.
func held(d ocispec.Descriptor, b []byte) fetch.Content {
	return fetch.Content{Descriptor: d, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// A sociInfo is a layer with a zTOC, for JSON.
type sociInfo struct {
	Digest  string  `json:"digest"`
	Size    int64   `json:"size"`
	Ztoc    string  `json:"ztoc"`
	Index   int64   `json:"ztoc_size"`
	Seconds float64 `json:"seconds"`
}

func tellSOCI(u *ui, asJSON bool, img *openedImage, dst *fetch.Source, m *image.Manifest, x *convert.SOCIImage, d ocispec.Descriptor, w *stopwatch) error {
	list := []sociInfo{}
	for _, z := range x.Ztocs {
		l := m.Layers()[z.Of]
		list = append(list, sociInfo{l.Digest.String(), l.Size, z.Digest.String(), z.Size, w.took(z.Of).Seconds()})
		if !asJSON {
			fmt.Fprintf(u.out, "layer %d/%d %s %s → %s zTOC  %.1f s\n", z.Of+1, len(m.Layers()), shortDigest(l.Digest.String()),
				bytesOf(l.Size), bytesOf(z.Size), w.took(z.Of).Seconds())
		}
	}
	if asJSON {
		return u.json(struct {
			Schema   string     `json:"schema"`
			Image    string     `json:"image"`
			To       string     `json:"to"`
			Digest   string     `json:"digest"`   // of the image index
			Manifest string     `json:"manifest"` // of the image in it
			Index    string     `json:"soci_index"`
			Layers   []sociInfo `json:"layers"`
		}{"ocifs.dev/index-soci/v1", img.Name(), dst.Name(), d.Digest.String(), digest.FromBytes(x.Manifest).String(), digest.FromBytes(x.Index).String(), list})
	}
	_, err := fmt.Fprintf(u.out, "wrote %s@%s, with the SOCI index %s\n", quote(dst.Name()), d.Digest, digest.FromBytes(x.Index))
	return err
}
