package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

func lsCommand() *cli.Command {
	return &cli.Command{
		Name:      "ls",
		Usage:     "list files of an image",
		ArgsUsage: "IMAGE [PATH…]",
		Description: `Lists files as the mounted image would show them, without mounting it. Paths
count from the image's root, which is also the default. Names that are not
plain text are shown as the shell's $'…'; a plain list into a pipe has them
byte for byte, and JSON has their bytes in path_base64. A symbolic link to a
directory is followed, but not with -l or --json.`,
		UsageText: `
$ ocifs ls -l docker.io/library/alpine /etc
$ ocifs ls -R --json oci:/srv/app:v2 | jq -r '.entries[] | select(.size > 1e6) | .path'`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "long", Aliases: []string{"l"}, Usage: "show mode, links, owner, size, time and link target"},
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "show names that begin with a dot, too"},
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "list directories below, too"},
			&cli.BoolFlag{Name: "human", Aliases: []string{"h"}, Usage: "with -l, show sizes like 42M"},
			jsonFlag(),
		},
		Action: look(func(ctx context.Context, u *ui, cc *cli.Context, img *openedImage) error {
			l := &lister{
				u: u, img: img, tree: img.Tree(),
				long: cc.Bool("long"), all: cc.Bool("all"), recursive: cc.Bool("recursive"),
				human: cc.Bool("human"), json: cc.Bool("json"),
			}
			paths := cc.Args().Tail()
			if len(paths) == 0 {
				paths = []string{"/"}
			}
			return l.list(ctx, paths)
		}),
	}
}

// A lister lists files.
type lister struct {
	u    *ui
	img  *openedImage
	tree *tree.Tree

	long, all, recursive, human, json bool

	headed  bool // directories have their path above them
	blocks  int  // printed so far
	entries []fileInfo
}

// A listed file is one line.
type listed struct {
	name string // as shown
	path string
	node tree.Node
}

// list lists what the paths name: first what is no directory, then each
// directory, as ls does.
func (l *lister) list(ctx context.Context, paths []string) error {
	var failed error
	var files, dirs []listed
	for _, p := range paths {
		n, err := l.img.find(p, !l.long && !l.json)
		if err != nil {
			l.u.fail(ctx, &failed, err)
			continue
		}
		f := listed{p, path.Clean(rooted(p)), n}
		if l.tree.IsDir(n) {
			dirs = append(dirs, f)
		} else {
			files = append(files, f)
		}
	}
	l.headed = l.recursive || len(paths) > 1
	if len(files) > 0 {
		if err := l.print(files); err != nil {
			return err
		}
	}
	for _, d := range dirs {
		if err := l.dir(ctx, d); err != nil {
			return err
		}
	}
	if l.json {
		if err := l.document("ocifs.dev/ls/v1"); err != nil {
			return err
		}
	}
	return failed
}

// document prints what has been listed as JSON.
func (l *lister) document(schema string) error {
	if l.entries == nil {
		l.entries = []fileInfo{}
	}
	return l.u.json(struct {
		Schema  string     `json:"schema"`
		Entries []fileInfo `json:"entries"`
	}{schema, l.entries})
}

// dir lists a directory, and with -R those in it.
func (l *lister) dir(ctx context.Context, d listed) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.headed && !l.json {
		if l.blocks > 0 {
			fmt.Fprintln(l.u.out)
		}
		fmt.Fprintf(l.u.out, "%s:\n", quote(d.name))
	}
	files := l.children(d)
	if err := l.print(files); err != nil {
		return err
	}
	if !l.recursive {
		return nil
	}
	for _, f := range files {
		if f.name == "." || f.name == ".." || !l.tree.IsDir(f.node) {
			continue
		}
		f.name = strings.TrimSuffix(d.name, "/") + "/" + f.name
		if err := l.dir(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// children are the files in a directory that are to be shown. JSON has no
// "." and "..".
func (l *lister) children(d listed) []listed {
	var files []listed
	if l.all && !l.json {
		files = append(files, listed{".", d.path, d.node}, listed{"..", path.Dir(d.path), l.tree.Parent(d.node)})
	}
	first, n := l.tree.Dirents(d.node)
	for i := first; i < first+n; i++ {
		name, node := l.tree.Dirent(i)
		if l.all || !strings.HasPrefix(name, ".") {
			files = append(files, listed{name, path.Join(d.path, name), node})
		}
	}
	return files
}

// print prints files, in the form that was asked for.
func (l *lister) print(files []listed) error {
	l.blocks++
	if l.u.tty && !l.json && !l.long {
		return l.columns(files)
	}
	return l.lines(files)
}

// lines prints a file per line, or keeps all for the document.
func (l *lister) lines(files []listed) error {
	switch {
	case l.json:
		for _, f := range files {
			l.entries = append(l.entries, l.img.info(f.path, f.node))
		}
		return nil
	case l.long:
		return l.table(files)
	}
	for _, f := range files {
		if _, err := fmt.Fprintln(l.u.out, l.paint(f, quoteOn(l.u, f.name))); err != nil {
			return err
		}
	}
	return nil
}

// columns prints names side by side, in columns to be read downwards, as many
// as fit.
func (l *lister) columns(files []listed) error {
	names := make([]string, len(files))
	widths := make([]int, len(files))
	for i, f := range files {
		names[i] = quote(f.name)
		widths[i] = utf8.RuneCountInString(names[i])
	}
	layout := fit(widths, l.u.width)
	rows := (len(files) + len(layout) - 1) / max(len(layout), 1)
	for row := range rows {
		for col, width := range layout {
			i := col*rows + row
			if i >= len(files) {
				break
			}
			fmt.Fprint(l.u.out, l.paint(files[i], names[i]))
			if i+rows < len(files) {
				fmt.Fprintf(l.u.out, "%*s", width-widths[i]+2, "")
			}
		}
		if _, err := fmt.Fprintln(l.u.out); err != nil {
			return err
		}
	}
	return nil
}

// fit is the widths of the most columns, two blanks apart, in which words of
// these widths fit on a line; one column fits always.
func fit(widths []int, line int) []int {
	for n := min(len(widths), line/3+1); n > 1; n-- {
		rows := (len(widths) + n - 1) / n
		var columns []int
		total := -2
		for first := 0; first < len(widths); first += rows {
			width := slices.Max(widths[first:min(first+rows, len(widths))])
			columns, total = append(columns, width), total+width+2
		}
		if total < line {
			return columns
		}
	}
	if len(widths) == 0 {
		return nil
	}
	return []int{slices.Max(widths)}
}

// table prints files as ls -l does: numbers to the right, names last.
func (l *lister) table(files []listed) error {
	rows := make([][4]string, len(files))
	var width [4]int
	for i, f := range files {
		a := l.tree.Attr(f.node)
		rows[i] = [4]string{fmt.Sprint(a.Nlink), fmt.Sprint(a.UID), fmt.Sprint(a.GID), l.size(a)}
		for c := range width {
			width[c] = max(width[c], len(rows[i][c]))
		}
	}
	for i, f := range files {
		a, r := l.tree.Attr(f.node), rows[i]
		_, err := fmt.Fprintf(l.u.out, "%s %*s %*s %*s %*s %s %s\n", modeString(a.Mode),
			width[0], r[0], width[1], r[1], width[2], r[2], width[3], r[3],
			modTime(a).Local().Format("2006-01-02 15:04"), l.paint(f, quote(f.name))+l.target(f.node))
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) target(n tree.Node) string {
	if link := l.tree.Readlink(n); link != "" {
		return " -> " + quote(link)
	}
	return ""
}

// size is the size column: of a device its number, as ls has it.
func (l *lister) size(a tree.Attr) string {
	switch t := a.Mode & index.ModeType; {
	case t == index.ModeChar || t == index.ModeBlock:
		return fmt.Sprintf("%d, %d", a.Major, a.Minor)
	case l.human:
		return shortBytes(sizeOf(a))
	}
	return fmt.Sprint(sizeOf(a))
}

// paint colours a name by what it is, in the usual colours of ls.
func (l *lister) paint(f listed, name string) string {
	if !l.u.color {
		return name
	}
	a := l.tree.Attr(f.node)
	colour := ""
	switch t := a.Mode & index.ModeType; {
	case t == index.ModeDir:
		colour = "34;1"
	case t == index.ModeSymlink:
		colour = "36;1"
	case t != index.ModeRegular:
		colour = "33;1"
	case a.Mode&0o111 != 0:
		colour = "32;1"
	default:
		return name
	}
	return "\x1b[" + colour + "m" + name + "\x1b[m"
}
