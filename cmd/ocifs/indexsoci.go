package main

import (
	"cmp"
	"context"
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
	var watch stopwatch
	h := watch.on(uiHooks(u))
	return indexNamed(ctx, u, cc, s, h, "SOCI", func(place *openedImage, m *image.Manifest) (*indexing, error) {
		o := convert.SOCIOptions{MinLayer: least, Progress: steps(m.Layers(), h.step), Read: func(ctx context.Context, _ int, d ocispec.Descriptor) (io.ReadCloser, error) {
			return readBlob(ctx, place.src, d)
		}}
		o.Span, o.Tool, o.Warn = span, index.SOCITool, h.warn
		x, err := convert.SOCI(ctx, m, o)
		if err != nil {
			return nil, err
		}
		return sociIndexing(m, x, &watch), nil
	})
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

// A sociInfo is a layer with a zTOC, for JSON.
type sociInfo struct {
	Digest  string  `json:"digest"`
	Size    int64   `json:"size"`
	Ztoc    string  `json:"ztoc"`
	Index   int64   `json:"ztoc_size"`
	Seconds float64 `json:"seconds"`
}

// sociIndexing is an image with its SOCI index.
func sociIndexing(m *image.Manifest, x *convert.SOCIImage, w *stopwatch) *indexing {
	config := []byte(index.SOCIConfig)
	blobs := []fetch.Content{held(ocispec.Descriptor{Digest: digest.FromBytes(config), Size: int64(len(config))}, config)}
	list := []sociInfo{}
	for _, z := range x.Ztocs {
		l := m.Layers()[z.Of]
		blobs = append(blobs, held(z.Descriptor(), z.Bytes))
		list = append(list, sociInfo{l.Digest.String(), l.Size, z.Digest.String(), z.Size, w.took(l.Digest).Seconds()})
	}
	text := func(u *ui) error {
		for i, l := range list {
			fmt.Fprintf(u.out, "layer %d/%d %s %s → %s zTOC  %.1f s\n", x.Ztocs[i].Of+1, len(m.Layers()), shortDigest(l.Digest),
				bytesOf(l.Size), bytesOf(l.Index), l.Seconds)
		}
		return nil
	}
	return &indexing{Indexed: x.Indexed, of: m, blobs: blobs, layers: list, text: text}
}
