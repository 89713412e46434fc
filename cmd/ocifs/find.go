package main

import (
	"context"
	"path"
	"strings"

	"github.com/urfave/cli/v2"
)

func findCommand() *cli.Command {
	return &cli.Command{
		Name:      "find",
		Usage:     "find files of an image by what they are",
		ArgsUsage: "IMAGE [PATH…]",
		Description: `Lists the files below PATH, by default all of the image, that pass every test
given; --name, --iname and --path may be given several times, and one of each
has to fit. In GLOB, * is any text, ? any character, [a-z] one of them, and a
dot or, with --path, a slash is nothing special. No symbolic link is followed.

  --type   f(ile), d(irectory), l(ink), c(haracter) or b(lock device), p(ipe);
           several as in f,l
  --size   N bytes, +N for more, -N for less; N may have a unit: 4K, 10M, 1G.
           Sizes are not rounded
  --perm   an octal mode: exactly it; -MODE: all of its bits; /MODE: any`,
		UsageText: `
$ ocifs find docker.io/library/python:3.13 /usr --name '*.so*' --size +1M -l
$ ocifs find alpine --type f --perm /6000       # what runs as somebody else
$ ocifs find oci:/srv/app:v2 --layer 3 -0 | xargs -0 …`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "name", Usage: "whose name, without directories, fits `GLOB`"},
			&cli.StringSliceFlag{Name: "iname", Usage: "the same, upper or lower case"},
			&cli.StringSliceFlag{Name: "path", Usage: "whose path, from the image's root on, fits `GLOB`"},
			&cli.StringFlag{Name: "type", Usage: "that are of one of `TYPES`"},
			&cli.StringFlag{Name: "size", Usage: "regular files of `SIZE`"},
			&cli.StringFlag{Name: "perm", Usage: "with the permissions `MODE`"},
			&cli.StringFlag{Name: "user", Usage: "that belong to user `NAME`, which the image's own /etc/passwd has, or a number"},
			&cli.StringFlag{Name: "group", Usage: "that belong to group `NAME`, which the image's own /etc/group has, or a number"},
			&cli.StringFlag{Name: "uid", Usage: "that belong to user `N`"},
			&cli.StringFlag{Name: "gid", Usage: "that belong to group `N`"},
			&cli.StringFlag{Name: "newer", Usage: "modified after `TIME`, as in 2026-01-31 or 2026-01-31T12:00:00Z"},
			&cli.StringFlag{Name: "xattr", Usage: "with an extended attribute whose name fits `GLOB`"},
			&cli.StringFlag{Name: "layer", Usage: "that come from layer `N`, the base being 1, or the one with that digest"},
			&cli.IntFlag{Name: "max-depth", Usage: "at most `N` levels below PATH", Value: -1},
			&cli.BoolFlag{Name: "long", Aliases: []string{"l"}, Usage: "show mode, links, owner, size, time and link target"},
			&cli.BoolFlag{Name: "human", Aliases: []string{"h"}, Usage: "with -l, show sizes like 42M"},
			&cli.BoolFlag{Name: "print0", Aliases: []string{"0"}, Usage: "end each path by a zero byte, not a line feed"},
			jsonFlag(),
		},
		Action: look(find),
	}
}

func find(ctx context.Context, u *ui, cc *cli.Context, img *openedImage) error {
	wanted, err := testsOf(cc, img)
	if err != nil {
		return err
	}
	zero, depth := cc.Bool("print0"), cc.Int("max-depth")
	if cc.IsSet("max-depth") && depth < 0 {
		return usagef("find: --max-depth is at least 0, not %d", depth)
	}
	if zero && (cc.Bool("json") || cc.Bool("long")) {
		return usagef("find: --print0 excludes --json and --long")
	}
	l := &lister{u: u, img: img, tree: img.Tree(), long: cc.Bool("long"), human: cc.Bool("human"), json: cc.Bool("json")}
	paths := cc.Args().Tail()
	if len(paths) == 0 {
		paths = []string{"/"}
	}
	var failed error
	for _, p := range paths {
		start, err := img.find(p, false)
		if err != nil {
			u.fail(ctx, &failed, err)
			continue
		}
		p = path.Clean(rooted(p))
		var found []listed
		for below, n := range img.Tree().All(start) {
			if depth >= 0 && below != "" && strings.Count(below, "/") >= depth {
				continue
			}
			f := listed{node: n, path: path.Join(p, below)}
			if !wanted.pass(f.path, n) {
				continue
			}
			if zero {
				if _, err := u.out.WriteString(f.path + "\x00"); err != nil {
					return err
				}
				continue
			}
			f.name = f.path
			found = append(found, f)
		}
		if err := l.lines(found); err != nil {
			return err
		}
	}
	if l.json {
		if err := l.document("ocifs.dev/find/v1"); err != nil {
			return err
		}
	}
	return failed
}
