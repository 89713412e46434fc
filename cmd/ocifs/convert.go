package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/convert"
)

func convertCommand() *cli.Command {
	return &cli.Command{
		Name:      "convert",
		Usage:     "write an image in another layer format",
		ArgsUsage: "IMAGE DESTINATION",
		Description: `Writes the image's layers anew, and the image with them to DESTINATION: in a
registry, or oci:DIR:TAG. As estargz or zstd:chunked they bring their own index,
so that ocifs and stargz-snapshotter read them in pieces; all others pull them as
ever, Podman, too: of zstd:chunked it knows only a dialect of its own, and takes
this one for zstd. The configuration and its history are kept. Both add
a file of one byte to each archive, .no.prefetch.landmark, or .prefetch.landmark
where --prioritize has put files in front, and so change the diffIDs; estargz
adds its index, too.

--prioritize puts the files in front that are read when the image starts: a file
with a path on each line, or trace=FILE, with a JSON object that has a "path" on
each line.

The new layers are written to files in $TMPDIR before they are pushed.`,
		UsageText: `
$ ocifs convert --format zstd:chunked docker.io/library/python:3.13 ghcr.io/o/python:3.13
$ ocifs convert --format estargz --prioritize trace=start.jsonl oci:/srv/app:v2 oci:/srv/app:v2-esgz`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "write layers in `FORMAT`: estargz, zstd:chunked, gzip, zstd"},
			&cli.IntFlag{Name: "level", Usage: "compress at level `N`, as the format counts (its default)"},
			&cli.StringFlag{Name: "chunk-size", Usage: "cut files into pieces of `SIZE` (4MiB)"},
			&cli.StringFlag{Name: "prioritize", Usage: "put the files that `FILE` lists in front"},
			&cli.BoolFlag{Name: "dry-run", Usage: "push nothing: only tell what would come out"},
			jsonFlag(),
		},
		Action: talk(convertImage),
	}
}

// convertOptions reads the flags that say how to write layers.
func convertOptions(cc *cli.Context) (o convert.Options, err error) {
	name := cc.String("format")
	if name == "" {
		return o, usagef("--format is missing").with(formatsHint())
	}
	o.Format = convert.Format(name)
	if !slices.Contains(convert.Formats, o.Format) {
		return o, usagef("no format %q", name).with(formatsHint())
	}
	chunked, most := o.Format == convert.EStargz || o.Format == convert.ZstdChunked, 9
	if o.Format == convert.Zstd || o.Format == convert.ZstdChunked {
		most = 22
	}
	if o.Level = cc.Int("level"); cc.IsSet("level") && (o.Level < 1 || o.Level > most) {
		return o, usagef("--level of %s is 1 to %d, not %d", name, most, o.Level)
	}
	if !chunked && (cc.String("chunk-size") != "" || cc.String("prioritize") != "") {
		return o, usagef("--chunk-size and --prioritize are for estargz and zstd:chunked, not for %s", name)
	}
	if cc.String("chunk-size") != "" {
		n, err := sizeFlag(cc, "chunk-size", "")
		if err != nil || n < minChunk || n > maxChunk {
			return o, usagef("--chunk-size %q: not a size from 4KiB to 1GiB", cc.String("chunk-size"))
		}
		o.ChunkSize = int(n)
	}
	if f := cc.String("prioritize"); f != "" {
		o.First, err = readPriorities(f)
	}
	return o, err
}

// Bounds on --chunk-size: below a page there is nothing to win, and readers
// have a bound of their own.
const (
	minChunk = 4 << 10
	maxChunk = 1 << 30
)

func formatsHint() string {
	var names []string
	for _, f := range convert.Formats {
		names = append(names, string(f))
	}
	return "there are " + strings.Join(names, ", ")
}

func convertImage(ctx context.Context, u *ui, cc *cli.Context) error {
	o, err := convertOptions(cc)
	if err != nil {
		return err
	}
	to, err := destinationRef(cc.Args().Get(1))
	if err != nil {
		return err
	}
	s, err := wholeSpec(cc)
	if err != nil {
		return err
	}
	return eachImage(ctx, u, cc, s, uiHooks(u), func(img *openedImage) error {
		return convertOpened(ctx, u, cc, img, o, to)
	})
}

func convertOpened(ctx context.Context, u *ui, cc *cli.Context, img *openedImage, o convert.Options, to string) (err error) {
	var dst *fetch.Source
	if !cc.Bool("dry-run") {
		if dst, err = destination(ctx, u, cc, to); err != nil {
			return err
		}
		defer dst.Close()
	}
	o.Progress = u.writing(img, o.Format)
	out, err := convert.Convert(ctx, img.Image, o)
	u.progress.stop()
	if err != nil {
		return img.named(err)
	}
	defer out.Close()
	c := conversionOf(img, out, o.Format, to)
	if dst != nil {
		if _, err := u.push(ctx, dst, uploadOf(out)); err != nil {
			return pushFailed(err)
		}
		c.To, c.DryRun = dst.Name(), false
	}
	if cc.Bool("json") {
		return u.json(c)
	}
	return c.text(u)
}

// writing shows on a terminal how much of an image's layers is written.
func (u *ui) writing(img *openedImage, f convert.Format) func(layer int, done, size int64) {
	layers := img.Layers()
	before := make([]int64, len(layers)+1) // bytes of the layers before
	for i, l := range layers {
		before[i+1] = before[i] + l.Size
	}
	return func(i int, done, _ int64) {
		label := fmt.Sprintf("writing layer %d/%d as %s", i+1, len(layers), f)
		u.progress.step(step{Layers: 1, Label: label, Done: before[i] + done, Total: before[len(layers)]})
	}
}

// uploadOf is a converted image, to be pushed.
func uploadOf(m *convert.Image) fetch.Upload {
	up := fetch.Upload{Manifest: m.Manifest, Tagged: true}
	for _, b := range append(slices.Clone(m.Layers), m.Config) {
		up.Blobs = append(up.Blobs, fetch.Content{Descriptor: b.Descriptor, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(b.Open()), nil
		}})
	}
	return up
}

// A conversion is what convert has come to, for JSON.
type conversion struct {
	Schema  string           `json:"schema"`
	Image   string           `json:"image"`
	From    string           `json:"from"` // the manifest's digest, before
	To      string           `json:"to"`
	Digest  string           `json:"digest"` // and after
	Format  string           `json:"format"`
	DryRun  bool             `json:"dry_run"`
	Before  int64            `json:"size_before"` // of all layers
	After   int64            `json:"size_after"`
	Entries []convertedLayer `json:"layers"`
}

// A convertedLayer is a layer before and after.
type convertedLayer struct {
	From   string `json:"from"`
	Before int64  `json:"size_before"`
	Digest string `json:"digest"`
	After  int64  `json:"size_after"`
}

func conversionOf(img *openedImage, out *convert.Image, f convert.Format, to string) conversion {
	c := conversion{
		Schema: "ocifs.dev/convert/v1", Image: img.Name(), From: img.Manifest().Descriptor.Digest.String(), To: to,
		Digest: digest.FromBytes(out.Manifest).String(), Format: string(f), DryRun: true, Entries: []convertedLayer{},
	}
	for i, l := range img.Layers() {
		from, now := l.Descriptor, out.Layers[i].Descriptor
		c.Entries = append(c.Entries, convertedLayer{from.Digest.String(), from.Size, now.Digest.String(), now.Size})
		c.Before, c.After = c.Before+from.Size, c.After+now.Size
	}
	return c
}

func (c conversion) text(u *ui) error {
	for i, l := range c.Entries {
		fmt.Fprintf(u.out, "layer %d/%d %s %s → %s %s\n", i+1, len(c.Entries), shortDigest(l.From), bytesOf(l.Before), shortDigest(l.Digest), bytesOf(l.After))
	}
	did := "wrote"
	if c.DryRun {
		did = "would write"
	}
	_, err := fmt.Fprintf(u.out, "%s %s@%s (%s, %s, %s → %s)\n", did, quote(c.To), c.Digest, c.Format,
		count(len(c.Entries), "layer"), bytesOf(c.Before), bytesOf(c.After))
	return err
}
