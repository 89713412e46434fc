package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/export"
)

func cpCommand() *cli.Command {
	return &cli.Command{
		Name:      "cp",
		Usage:     "copy files out of an image",
		ArgsUsage: "IMAGE PATH… DESTINATION",
		Description: `Copies files, and directories with all that is in them, to DESTINATION: into it
if it is a directory, else under that name; of PATH/. and of / the contents go
there. If DESTINATION is -, the copy is a tar archive on standard output.

Contents are copied, who may execute them, and symbolic links below PATH; owner,
permissions and times become those of any new file. With -a all of it is kept:
owners (as root), permissions, times, extended attributes, hard links, devices;
and PATH itself may be a symbolic link. Holes stay holes. Nothing is written
outside DESTINATION, whatever the image's links say, and no file is replaced
without --force.`,
		UsageText: `
$ ocifs cp docker.io/library/alpine /etc/os-release .
$ ocifs cp alpine /etc/ssl /usr/share/ca-certificates /tmp/certs/
# ocifs cp -a alpine / /srv/chroot
$ ocifs cp alpine /etc - | tar -tv`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "archive", Aliases: []string{"a"}, Usage: "keep everything: owners, permissions, times, attributes, links, devices"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "replace files that are there already"},
			jsonFlag(),
		},
		Action: cpAction(look(cp)),
	}
}

// cpAction explains to those who know docker cp how this one is called.
func cpAction(action cli.ActionFunc) cli.ActionFunc {
	return func(cc *cli.Context) error {
		if cc.NArg() >= 3 {
			return action(cc)
		}
		p := usagef("cp: DESTINATION is missing").with("usage: " + synopsis(pathOf(cc)))
		if image, file, ok := strings.Cut(cc.Args().First(), ":/"); ok && !isLocal(cc.Args().First()) {
			p = p.with(fmt.Sprintf("the path stands apart: ocifs cp %s /%s %s", image, file, cc.Args().Get(1)))
		}
		return p
	}
}

func cp(ctx context.Context, u *ui, cc *cli.Context, img *openedImage) error {
	args := cc.Args().Tail()
	sources, dst := args[:len(args)-1], args[len(args)-1]
	items, err := itemsOf(img, sources, !cc.Bool("archive"))
	if err != nil {
		return err
	}
	if dst == "-" {
		if cc.Bool("json") || cc.Bool("force") {
			return usagef("cp: to standard output, neither --json nor --force makes sense")
		}
		_, err := writeArchive(ctx, u, img, dst, items, false)
		return err
	}
	root, err := openDestination(img, dst, items)
	if err != nil {
		return err
	}
	defer root.Close()
	var failed error
	c := &export.Copier{Source: u.copying("copying", img, items), Archive: cc.Bool("archive"), Force: cc.Bool("force")}
	c.Problem = func(err error) error {
		switch err = below(root.Name(), err); {
		case errors.Is(err, export.ErrLeftOut):
			u.warn("%v", err)
			return nil
		case errors.Is(err, iofs.ErrExist):
			err = hint(err, "--force replaces files that are there")
		}
		u.fail(ctx, &failed, err)
		return nil
	}
	err = img.ahead(ctx, items, func(ctx context.Context) error { return c.Copy(ctx, root, items...) })
	u.progress.stop()
	if err != nil {
		return hint(below(root.Name(), err), fmt.Sprintf("what was copied before (%s) is left there", count(c.Files, "file")))
	}
	if cc.Bool("json") {
		if err := u.json(struct {
			Schema      string `json:"schema"`
			Image       string `json:"image"`
			Destination string `json:"destination"`
			Files       int    `json:"files"` // of whatever type
		}{"ocifs.dev/cp/v1", img.Name(), dst, c.Files}); err != nil {
			return err
		}
	}
	return failed
}

// below is err with the name that its file has on this machine.
func below(dir string, err error) error {
	if e := (*export.FileError)(nil); errors.As(err, &e) {
		return fmt.Errorf("%s: %w", quote(filepath.Join(dir, e.Path)), e.Err)
	}
	return fmt.Errorf("%s: %w", quote(dir), err)
}

// itemsOf are the files that paths name, each under the name it is copied to.
func itemsOf(img *openedImage, paths []string, follow bool) (items []export.Item, err error) {
	for _, p := range paths {
		n, err := img.find(p, follow)
		if err != nil {
			return nil, err
		}
		it := export.Item{Name: path.Base(path.Clean(rooted(p))), Node: n}
		if it.Name == "/" || p == "." || strings.HasSuffix(p, "/.") {
			it.Name = ""
		}
		items = append(items, it)
	}
	return items, nil
}

// openDestination opens the directory that items are copied into, and gives an
// only item its new name.
func openDestination(img *openedImage, dst string, items []export.Item) (*os.Root, error) {
	fi, err := os.Stat(dst)
	if err == nil && fi.IsDir() {
		return os.OpenRoot(dst)
	}
	one := len(items) == 1
	switch isDir := img.Tree().IsDir(items[0].Node); {
	case err != nil && !errors.Is(err, iofs.ErrNotExist):
		return nil, err
	case err != nil && !one, err != nil && !isDir && strings.HasSuffix(dst, "/"):
		return nil, notFoundf("%s: no such directory", quote(dst)).with("make it: mkdir -p " + quote(dst))
	case err == nil && (!one || isDir || strings.HasSuffix(dst, "/")):
		return nil, fmt.Errorf("%s: not a directory", quote(dst))
	}
	items[0].Name = filepath.Base(dst)
	parent := filepath.Dir(strings.TrimRight(dst, "/"))
	root, err := os.OpenRoot(parent)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, notFoundf("%s: no such directory", quote(parent)).with("make it: mkdir -p " + quote(parent))
	}
	return root, err
}

var _ export.Source = (*openedImage)(nil)
