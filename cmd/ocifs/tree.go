package main

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

func treeCommand() *cli.Command {
	return &cli.Command{
		Name:      "tree",
		Usage:     "draw the directories of an image",
		ArgsUsage: "IMAGE [PATH]",
		Description: `Draws the files below PATH, by default all of the image. With --size each has
the bytes of its content, a directory those of all below it; a file with
several names counts once. JSON has a list of all files, with their depth.`,
		UsageText: `
$ ocifs tree -L 2 --size docker.io/library/python:3.13
$ ocifs tree -L 1 --dirs oci:/srv/app:v2 /usr
$ ocifs tree --json --dirs alpine | jq -r '.entries[] | select(.total > 1e6) | .path'`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "level", Aliases: []string{"L"}, Usage: "go down `N` levels only"},
			&cli.BoolFlag{Name: "size", Usage: "show sizes"},
			&cli.BoolFlag{Name: "dirs", Usage: "show directories only"},
			jsonFlag(),
		},
		Action: look(drawTree),
	}
}

func drawTree(ctx context.Context, u *ui, cc *cli.Context, img *openedImage) error {
	p := "/"
	if cc.NArg() > 1 {
		p = cc.Args().Get(1)
	}
	if cc.IsSet("level") && cc.Int("level") < 1 {
		return usagef("tree: --level is at least 1, not %d", cc.Int("level"))
	}
	n, err := img.find(p, true)
	if err != nil {
		return err
	}
	d := &drawer{ctx: ctx, u: u, tree: img.Tree(), level: cc.Int("level"), onlyDirs: cc.Bool("dirs")}
	if cc.Bool("size") || cc.Bool("json") {
		d.sizes = make([]int64, d.tree.Len())
		d.measure(n, make([]bool, d.tree.Len()))
	}
	if cc.Bool("json") {
		return d.document(img, path.Clean(rooted(p)), n)
	}
	fmt.Fprintln(u.out, d.label(quote(rooted(p)), n))
	if d.tree.IsDir(n) {
		if err := d.below(n, "", 1); err != nil {
			return err
		}
	}
	fmt.Fprintf(u.out, "\n%s, %s\n", plural(d.dirs, "directory", "directories"), count(d.files, "file"))
	return nil
}

// A treeEntry is a file of a tree, for JSON.
type treeEntry struct {
	fileInfo
	Depth int   `json:"depth"` // below PATH
	Total int64 `json:"total"` // bytes of its content, and of all below it
}

// document prints the tree as JSON: a list, for a nested document would be as
// deep as the image's directories.
func (d *drawer) document(img *openedImage, p string, start tree.Node) error {
	list := []treeEntry{}
	for below, n := range d.tree.All(start) {
		depth := 0
		if below != "" {
			depth = strings.Count(below, "/") + 1
		}
		if d.level > 0 && depth > d.level || d.onlyDirs && !d.tree.IsDir(n) {
			continue
		}
		if d.ctx.Err() != nil {
			return context.Cause(d.ctx)
		}
		list = append(list, treeEntry{img.info(path.Join(p, below), n), depth, d.sizes[n]})
	}
	return d.u.json(struct {
		Schema  string      `json:"schema"`
		Entries []treeEntry `json:"entries"`
	}{"ocifs.dev/tree/v1", list})
}

// A drawer draws a tree.
type drawer struct {
	ctx      context.Context
	u        *ui
	tree     *tree.Tree
	level    int // 0: all
	onlyDirs bool
	sizes    []int64 // by node; nil: not wanted

	dirs, files int // drawn, the first one apart
}

// measure sums up the sizes below n; seen are files counted already.
func (d *drawer) measure(n tree.Node, seen []bool) int64 {
	if seen[n] {
		return 0
	}
	seen[n] = true
	if !d.tree.IsDir(n) {
		d.sizes[n] = d.tree.Data(n).Size
		return d.sizes[n]
	}
	first, k := d.tree.Dirents(n)
	for i := first; i < first+k; i++ {
		_, child := d.tree.Dirent(i)
		d.sizes[n] += d.measure(child, seen)
	}
	return d.sizes[n]
}

// below draws what is in dir; prefix is the lines from above that pass by.
func (d *drawer) below(dir tree.Node, prefix string, depth int) error {
	if d.ctx.Err() != nil {
		return context.Cause(d.ctx)
	}
	if d.level > 0 && depth > d.level {
		return nil
	}
	children := d.children(dir)
	for i, c := range children {
		branch, pass := "├── ", "│   "
		if i == len(children)-1 {
			branch, pass = "└── ", "    "
		}
		if _, err := fmt.Fprintln(d.u.out, prefix+branch+d.label(quote(c.name), c.node)); err != nil {
			return err
		}
		if !d.tree.IsDir(c.node) {
			d.files++
			continue
		}
		d.dirs++
		if err := d.below(c.node, prefix+pass, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (d *drawer) children(dir tree.Node) []listed {
	var children []listed
	first, k := d.tree.Dirents(dir)
	for i := first; i < first+k; i++ {
		if name, n := d.tree.Dirent(i); !d.onlyDirs || d.tree.IsDir(n) {
			children = append(children, listed{name: name, node: n})
		}
	}
	return children
}

func (d *drawer) label(name string, n tree.Node) string {
	if link := d.tree.Readlink(n); link != "" {
		return name + " -> " + quote(link)
	}
	t := d.tree.Attr(n).Mode & index.ModeType
	if d.sizes != nil && (t == index.ModeRegular || t == index.ModeDir) {
		return name + "  " + bytesOf(d.sizes[n])
	}
	return name
}

// plural is "1 directory", "2 directories".
func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
