package main

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
)

func indexShowCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show by what an image's layers could be opened",
		ArgsUsage: "IMAGE",
		Description: `Lists, for each layer, all that says what lies where in it, in the order in
which a mount asks; it takes the first. A layer with nothing is read whole.
No layer is read for this, and no index but its manifest.

  cache      the layer was read whole here before
  layer      the layer brings it, and the manifest vouches for it
  toc-image  it is in a TOC image (IMAGE-esgztoc), and the manifest vouches for it
  soci       a SOCI index that the manifest names (with --soci-v1, or a referrer)
  pushed     an ocifs index that the manifest names, or one of its referrers

TABLE is what a mount fetches, WINDOWS what is read in pieces with the layer.
--index says whose word counts.`,
		UsageText: `
$ ocifs index show docker.io/library/python:3.13
$ ocifs index show --json ghcr.io/o/r:v2 | jq '.layers[].indexes[].origin'`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: about(indexShow),
	}
}

// A shownLayer is a layer and what it could be opened by, for JSON.
type shownLayer struct {
	Digest  string       `json:"digest"`
	Size    int64        `json:"size"`
	Indexes []shownIndex `json:"indexes"`
}

// A shownIndex is what a layer could be opened by.
type shownIndex struct {
	Origin  string          `json:"origin"` // an image.Origin
	Named   bool            `json:"named"`  // the manifest vouches for it
	Index   *descriptorInfo `json:"index,omitempty"`
	Table   *descriptorInfo `json:"table,omitempty"`
	Windows *descriptorInfo `json:"windows,omitempty"`
}

func indexShow(ctx context.Context, u *ui, cc *cli.Context, img *openedImage, m *image.Manifest) error {
	claims, err := image.Survey(ctx, m, img.src, img.store, image.Options{Index: img.spec.Index, SOCIv1: img.spec.SOCIv1, Warn: uiHooks(u).warn})
	if err != nil {
		return img.named(err)
	}
	list := []shownLayer{}
	for _, d := range m.Layers() {
		list = append(list, shownLayer{d.Digest.String(), d.Size, []shownIndex{}})
	}
	for _, c := range claims {
		l := &list[c.Layer]
		l.Indexes = append(l.Indexes, shownIndex{string(c.Origin), c.Named, shown(c.Index), shown(c.Table), shown(c.Windows)})
	}
	if cc.Bool("json") {
		return u.json(struct {
			Schema string       `json:"schema"`
			Image  string       `json:"image"`
			Digest string       `json:"digest"`
			Layers []shownLayer `json:"layers"`
		}{"ocifs.dev/index/v1", img.Name(), m.Descriptor.Digest.String(), list})
	}
	return showText(u, list)
}

// shown is a descriptor, if there is one.
func shown(d ocispec.Descriptor) *descriptorInfo {
	if d.Digest == "" && d.Size == 0 {
		return nil
	}
	i := infoOf(d)
	return &i
}

func showText(u *ui, list []shownLayer) error {
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "#\tLAYER\tSIZE\tINDEX\tSAYS\tDIGEST\tTABLE\tWINDOWS")
	for i, l := range list {
		row := fmt.Sprintf("%d\t%s\t%s", i+1, shortDigest(l.Digest), bytesOf(l.Size))
		if len(l.Indexes) == 0 {
			fmt.Fprintf(t, "%s\tnone\t\t\t\t\n", row)
		}
		for _, x := range l.Indexes {
			from := cmp.Or(x.Index, x.Table)
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", row, x.Origin, x.says(), shortDigest(from.Digest), size(x.Table), size(x.Windows))
			row = "\t\t"
		}
	}
	return t.Flush()
}

// says is whose word it is.
func (x shownIndex) says() string {
	switch {
	case x.Origin == string(image.OriginCache):
		return "this cache"
	case x.Named:
		return "manifest"
	}
	return "repository"
}

// size is a descriptor's, if it is known.
func size(d *descriptorInfo) string {
	if d == nil || d.Size == 0 {
		return "-"
	}
	return bytesOf(d.Size)
}
