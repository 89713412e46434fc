package main

import (
	"context"
	"fmt"
	"path"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/tree"
)

func duCommand() *cli.Command {
	return &cli.Command{
		Name:      "du",
		Usage:     "tell how much is in the directories of an image",
		ArgsUsage: "IMAGE [PATH…]",
		Description: `Sums up, for each directory below PATH, by default all of the image, the bytes
of the files in it and below: their contents as a reader sees them, holes
included. A file with several names counts once, where it comes first.

With --by-layer it tells instead how much of that each layer gives. What a
layer holds but a later one hides or replaces is not in the image, and counts
nowhere: compare with the sizes in ocifs layers.`,
		UsageText: `
$ ocifs du -h -d 2 docker.io/library/python:3.13 /usr
$ ocifs du --by-layer -h docker.io/library/python:3.13
$ ocifs du oci:/srv/app:v2 | sort -n | tail`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "summarize", Aliases: []string{"s"}, Usage: "show one sum for each PATH"},
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "show files, too"},
			&cli.BoolFlag{Name: "human", Aliases: []string{"h"}, Usage: "show sizes like 42M"},
			&cli.IntFlag{Name: "max-depth", Aliases: []string{"d"}, Value: -1, Usage: "show `N` levels below PATH only"},
			&cli.BoolFlag{Name: "by-layer", Usage: "show how much comes from each layer"},
			jsonFlag(),
		},
		Action: look(du),
	}
}

// A duInfo is a directory or a file, for JSON.
type duInfo struct {
	Path       string `json:"path"`
	PathBase64 string `json:"path_base64,omitempty"`
	Bytes      int64  `json:"bytes"`
	Files      int    `json:"files"` // that have content of their own: regular ones
}

func du(ctx context.Context, u *ui, cc *cli.Context, img *openedImage) error {
	d := &usage{u: u, tree: img.Tree(), seen: make([]bool, img.Tree().Len()), depth: cc.Int("max-depth"),
		all: cc.Bool("all"), human: cc.Bool("human"), json: cc.Bool("json"),
		layers: make([]layerShare, len(img.Layers()))}
	switch s := cc.Bool("summarize"); {
	case cc.IsSet("max-depth") && d.depth < 0:
		return usagef("du: --max-depth is at least 0, not %d", d.depth)
	case s && (d.depth > 0 || d.all), cc.Bool("by-layer") && (s || d.all || cc.IsSet("max-depth")):
		return usagef("du: --summarize, --by-layer, and --all or --max-depth exclude one another")
	case s:
		d.depth = 0
	}
	d.silent = cc.Bool("by-layer")
	paths := cc.Args().Tail()
	if len(paths) == 0 {
		paths = []string{"/"}
	}
	var failed error
	for _, p := range paths {
		n, err := img.find(p, true)
		if err != nil {
			u.fail(ctx, &failed, err)
			continue
		}
		if _, err := d.measure(ctx, path.Clean(rooted(p)), n, 0); err != nil {
			return err
		}
	}
	var err error
	switch {
	case d.silent:
		err = d.byLayer(img)
	case d.json:
		err = u.json(struct {
			Schema  string   `json:"schema"`
			Entries []duInfo `json:"entries"`
		}{"ocifs.dev/du/v1", append([]duInfo{}, d.entries...)})
	}
	if err != nil {
		return err
	}
	return failed
}

// A usage sums up.
type usage struct {
	u                        *ui
	tree                     *tree.Tree
	seen                     []bool // by node: files counted already
	depth                    int    // below this, nothing is shown; -1: no bound
	all, human, json, silent bool

	entries []duInfo
	layers  []layerShare
}

// A layerShare is what a layer gives.
type layerShare struct {
	Layer     int    `json:"layer"` // from 0, base first
	Digest    string `json:"digest"`
	Bytes     int64  `json:"bytes"`
	Files     int    `json:"files"`
	CreatedBy string `json:"created_by,omitempty"`
}

// A sum is what is in a directory.
type sum struct {
	bytes int64
	files int
}

// measure sums up n, at path p, and all below it, and shows each when its sum
// is known: what is below before what is above, as du does.
func (d *usage) measure(ctx context.Context, p string, n tree.Node, level int) (s sum, err error) {
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	if !d.tree.IsDir(n) {
		counted := d.seen[n]
		if data := d.tree.Data(n); !counted && isRegular(d.tree, n) {
			s = sum{data.Size, 1}
			if data.Layer < len(d.layers) { // and not a text that is in none
				d.layers[data.Layer].Bytes += s.bytes
				d.layers[data.Layer].Files++
			}
		}
		d.seen[n] = true
		if level == 0 || d.all && !counted {
			err = d.show(p, level, s)
		}
		return s, err
	}
	first, k := d.tree.Dirents(n)
	for i := first; i < first+k; i++ {
		name, child := d.tree.Dirent(i)
		below, err := d.measure(ctx, path.Join(p, name), child, level+1)
		if err != nil {
			return s, err
		}
		s.bytes, s.files = s.bytes+below.bytes, s.files+below.files
	}
	return s, d.show(p, level, s)
}

func (d *usage) show(p string, level int, s sum) error {
	if d.silent || d.depth >= 0 && level > d.depth {
		return nil
	}
	if d.json {
		e := duInfo{Bytes: s.bytes, Files: s.files}
		e.Path, e.PathBase64 = forJSON(p)
		d.entries = append(d.entries, e)
		return nil
	}
	_, err := fmt.Fprintf(d.u.out, "%s\t%s\n", d.size(s.bytes), quote(p))
	return err
}

func (d *usage) size(n int64) string {
	if d.human {
		return shortBytes(n)
	}
	return fmt.Sprint(n)
}

// byLayer shows the layers' shares.
func (d *usage) byLayer(img *openedImage) error {
	layers := img.Layers()
	by := createdBy(img.Manifest().Config, len(layers))
	for i := range d.layers {
		l := &d.layers[i]
		l.Layer, l.Digest, l.CreatedBy = i, layers[i].Descriptor.Digest.String(), by[i]
	}
	if d.json {
		return d.u.json(struct {
			Schema string       `json:"schema"`
			Layers []layerShare `json:"layers"`
		}{"ocifs.dev/du-by-layer/v1", d.layers})
	}
	t := tabwriter.NewWriter(d.u.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "#\tDIGEST\tSIZE\tFILES\tCREATED BY")
	for _, l := range d.layers {
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%s\n", l.Layer+1, shortDigest(l.Digest), d.size(l.Bytes), l.Files, clip(printable(l.CreatedBy), 60))
	}
	return t.Flush()
}
