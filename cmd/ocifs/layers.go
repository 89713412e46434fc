package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
)

func layersCommand() *cli.Command {
	return &cli.Command{
		Name:      "layers",
		Usage:     "list the layers of an image",
		ArgsUsage: "IMAGE",
		Description: `Lists the layers, the base first, with their size as stored and decoded, the
entries of their archives, and where their index is from, by which they can be
read in pieces:

  read       the layer was read whole, just now, to make it
  cache      it was read whole before
  layer      the layer brings it: eStargz, zstd:chunked
  toc-image  an eStargz layer has left it to an image beside this one
  soci       a SOCI index that the manifest names
  pushed     an ocifs index in the image's repository
  range      none: an artifact's file, which can be read anywhere as it is

What layer, toc-image, soci and pushed may be trusted with, --index says.`,
		UsageText: `
$ ocifs layers docker.io/library/python:3.13`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: look(layers),
	}
}

// A layerInfo is a layer, for JSON.
type layerInfo struct {
	Digest    string `json:"digest"`
	DiffID    string `json:"diff_id"`
	MediaType string `json:"media_type"`
	Format    string `json:"format"`
	Size      int64  `json:"size"`    // as stored
	Decoded   int64  `json:"decoded"` // of the archive inside
	Entries   int    `json:"entries"`
	Index     string `json:"index"` // where it is from: an image.Origin
	Lazy      bool   `json:"lazy"`  // the index was there; no need to read it through
	CreatedBy string `json:"created_by,omitempty"`
}

func layers(_ context.Context, u *ui, cc *cli.Context, img *openedImage) error {
	list := []layerInfo{}
	infos := img.Layers()
	by := createdBy(img.Manifest().Config, len(infos))
	for i, l := range infos {
		list = append(list, layerInfo{
			Digest: l.Descriptor.Digest.String(), DiffID: l.DiffID.String(), MediaType: l.Descriptor.MediaType,
			Format: l.Format.String(), Size: l.Descriptor.Size, Decoded: l.Size, Entries: l.Entries,
			Index: string(l.Origin), Lazy: l.Origin != image.OriginRead, CreatedBy: by[i],
		})
	}
	if cc.Bool("json") {
		return u.json(struct {
			Schema string      `json:"schema"`
			Image  string      `json:"image"`
			Digest string      `json:"digest"`
			Layers []layerInfo `json:"layers"`
		}{"ocifs.dev/layers/v1", img.Name(), img.Manifest().Descriptor.Digest.String(), list})
	}
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "#\tDIGEST\tFORMAT\tSIZE\tDECODED\tENTRIES\tINDEX\tCREATED BY")
	for i, l := range list {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", i+1, shortDigest(l.Digest), l.Format,
			bytesOf(l.Size), bytesOf(l.Decoded), l.Entries, l.Index, clip(printable(l.CreatedBy), 60))
	}
	return t.Flush()
}

// createdBy is, for each of n layers, what the image's history says made it;
// "" if the history does not fit the layers.
func createdBy(c ocispec.Image, n int) []string {
	by := make([]string, n)
	i := 0
	for _, h := range c.History {
		if h.EmptyLayer {
			continue
		}
		if i == n {
			return make([]string, n)
		}
		by[i] = strings.Join(strings.Fields(h.CreatedBy), " ")
		i++
	}
	if i != n {
		return make([]string, n)
	}
	return by
}
