package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	iofs "io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/export"
	"ocifs.dev/ocifs/fs/tree"
)

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write the files of an image as one tar archive",
		ArgsUsage: "IMAGE [PATH…]",
		Description: `Writes all files of the image, or those at and below each PATH, as they are with
all layers applied, into one tar archive: to standard output, or to FILE, which
appears when it is complete. Everything is in it: owners by number, times to
the nanosecond, extended attributes, hard links, devices, holes. The archive
depends on nothing but the files: it has the same bytes everywhere, always. Of
eStargz and zstd:chunked layers it shows what their tables tell, which may round
times; with --index=local, what the layers do.`,
		UsageText: `
$ ocifs export docker.io/library/alpine -o alpine.tar
$ ocifs export alpine /etc | tar -x -C /tmp/alpine
$ ocifs export oci:/srv/app:v2 | sha256sum`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`; - is standard output"},
			&cli.BoolFlag{Name: "json", Usage: "with -o, print the archive's size and digest as JSON"},
		},
		Action: look(exportTar),
	}
}

func exportTar(ctx context.Context, u *ui, cc *cli.Context, img *openedImage) error {
	name := cc.String("output")
	if cc.Bool("json") && (name == "" || name == "-") {
		return usagef("export: --json needs -o FILE: standard output is the archive's")
	}
	var items []export.Item
	for _, p := range cc.Args().Tail() {
		n, err := img.find(p, false)
		if err != nil {
			return err
		}
		items = append(items, export.Item{Name: strings.TrimPrefix(path.Clean(rooted(p)), "/"), Node: n})
		if n == tree.Root {
			items[len(items)-1].Name = ""
		}
	}
	if items == nil {
		items = []export.Item{{Node: tree.Root}}
	}
	a, err := writeArchive(ctx, u, img, name, items, cc.Bool("json"))
	if err != nil || !cc.Bool("json") {
		return err
	}
	return u.json(struct {
		Schema string `json:"schema"`
		Image  string `json:"image"`
		File   string `json:"file"`
		Bytes  int64  `json:"bytes"`
		Digest string `json:"digest"`
	}{"ocifs.dev/export/v1", img.Name(), name, a.n, fmt.Sprintf("sha256:%x", a.hash.Sum(nil))})
}

// writeArchive writes items as an archive to the file called name.
func writeArchive(ctx context.Context, u *ui, img *openedImage, name string, items []export.Item, summed bool) (*meteredWriter, error) {
	out, err := newOutput(u, name)
	if err != nil {
		return nil, err
	}
	m := &meteredWriter{w: out}
	if summed {
		m.hash = sha256.New()
	}
	err = img.ahead(ctx, items, func(ctx context.Context) error {
		return export.Tar(ctx, m, u.copying("exporting", img, items), items...)
	})
	u.progress.stop()
	err = out.close(err)
	switch e := (*export.FileError)(nil); {
	case m.err != nil:
		return m, out.failed(m.err)
	case errors.As(err, &e):
		return m, fmt.Errorf("%s: %w", quote("/"+e.Path), e.Err)
	}
	return m, err
}

// ahead has the contents of items fetched while body reads them.
func (i *openedImage) ahead(ctx context.Context, items []export.Item, body func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		i.Prefetch(ctx, nodesOf(i.Tree(), items)) // body meets the same errors
	}()
	err := body(ctx)
	cancel()
	<-done
	return err
}

// nodesOf are all files of items.
func nodesOf(t *tree.Tree, items []export.Item) iter.Seq[tree.Node] {
	return func(yield func(tree.Node) bool) {
		for _, it := range items {
			for _, n := range t.All(it.Node) {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// A meteredWriter counts, and perhaps hashes, what is written to w, and keeps
// the error of that.
type meteredWriter struct {
	w    io.Writer
	n    int64
	hash hash.Hash // nil: not wanted
	err  error
}

func (m *meteredWriter) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	if m.n += int64(n); m.hash != nil {
		m.hash.Write(b[:n])
	}
	if err != nil {
		m.err = err
	}
	return n, err
}

// An output is where a large result goes: standard output, or a file that gets
// its name when it is complete.
type output struct {
	*os.File
	title string
	temp  string // its name until then; "": it has another one's, or is no regular file
	name  string
}

// newOutput opens what name says; "" and "-" are standard output, which must
// not be a terminal.
func newOutput(u *ui, name string) (*output, error) {
	if name == "" || name == "-" {
		if u.tty {
			return nil, usagef("an archive is nothing for a terminal").with("write it to a file, or into a pipe: … | tar -x -C DIR")
		}
		return &output{File: os.Stdout, title: "standard output"}, nil
	}
	o := &output{title: quote(name), name: name}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name, o.name = real, real
	}
	var err error
	if fi, statErr := os.Stat(name); statErr == nil && !fi.Mode().IsRegular() {
		o.File, err = os.OpenFile(name, os.O_WRONLY, 0)
		return o, err
	}
	if dir := filepath.Dir(name); errors.Is(statOf(dir), iofs.ErrNotExist) {
		return nil, notFoundf("%s: no such directory", quote(dir)).with("make it: mkdir -p " + quote(dir))
	}
	o.temp = filepath.Join(filepath.Dir(name), fmt.Sprintf(".%.200s.ocifs-%d", filepath.Base(name), os.Getpid()))
	if o.File, err = os.OpenFile(o.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); err != nil {
		err = fmt.Errorf("%s: %w", o.title, errors.Unwrap(err)) // not of a name nobody has asked for
	}
	return o, err
}

// statOf is the error of looking at a path.
func statOf(path string) error {
	_, err := os.Stat(path)
	return err
}

// failed is an error of writing.
func (o *output) failed(err error) error {
	if e := (*iofs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	err = fmt.Errorf("%s: %w", o.title, err)
	if o.temp != "" {
		return hint(err, "nothing of it is left")
	}
	return hint(err, "what was written is no whole archive")
}

// close ends the output, after err: the file gets its name, or is removed.
func (o *output) close(err error) error {
	if o.name == "" {
		return err
	}
	if cerr := o.File.Close(); err == nil && cerr != nil {
		err = cerr
	}
	if o.temp == "" {
		return err
	}
	if err == nil {
		err = os.Rename(o.temp, o.name)
	}
	if err != nil {
		os.Remove(o.temp)
	}
	return err
}
