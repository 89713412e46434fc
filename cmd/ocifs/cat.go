package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

func catCommand() *cli.Command {
	return &cli.Command{
		Name:      "cat",
		Usage:     "print files of an image",
		ArgsUsage: "IMAGE PATH…",
		Description: `Prints the contents of files, one after another, without mounting the image.
Symbolic links are followed inside the image.`,
		UsageText: `
$ ocifs cat docker.io/library/alpine /etc/os-release
$ ocifs cat oci:/srv/app:v2 usr/bin/app > app`,
		Action: look(cat),
	}
}

func cat(ctx context.Context, u *ui, cc *cli.Context, img *openedImage) error {
	var failed error
	buf := make([]byte, 1<<20)
	for _, p := range cc.Args().Tail() {
		n, err := img.find(p, true)
		if err == nil {
			err = img.isFile(p, n)
		}
		if err == nil {
			var written bool
			if written, err = img.copyTo(ctx, u.out, n, buf); err != nil && !written {
				return fmt.Errorf("standard output: %w", err)
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", quote(rooted(p)), err)
			}
		}
		u.fail(ctx, &failed, err)
	}
	return failed
}

// isFile refuses what has no content to print.
func (i *openedImage) isFile(p string, n tree.Node) error {
	t := i.Tree().Attr(n).Mode & index.ModeType
	if t == index.ModeRegular {
		return nil
	}
	err := fmt.Errorf("%s: not a regular file, but a %s", quote(rooted(p)), longTypes[t])
	if t == index.ModeDir {
		return hint(err, "ocifs ls shows what is in it")
	}
	return err
}

// copyTo writes a file's content. An error with written false is one of w.
func (i *openedImage) copyTo(ctx context.Context, w io.Writer, n tree.Node, buf []byte) (written bool, err error) {
	for off, size := int64(0), i.Tree().Attr(n).Size; off < size; {
		if ctx.Err() != nil {
			return true, context.Cause(ctx)
		}
		k, err := i.ReadAt(n, buf[:min(int64(len(buf)), size-off)], off)
		if _, werr := w.Write(buf[:k]); werr != nil {
			return false, werr
		}
		off += int64(k)
		if err != nil && !(errors.Is(err, io.EOF) && off == size) {
			return true, err
		}
	}
	return true, nil
}
