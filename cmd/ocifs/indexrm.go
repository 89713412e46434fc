package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
)

func indexRmCommand() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "delete the index of an image",
		ArgsUsage: "IMAGE",
		Description: `Deletes the ocifs indexes of the image from its repository, if the registry
allows it. With --local, the repository is left alone: this cache forgets what
it knows of the image's layers, contents included.`,
		UsageText: `
$ ocifs index rm ghcr.io/o/r:v2
$ ocifs index rm --local docker.io/library/python:3.13`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "local", Usage: "delete what is in the cache, not what was pushed"},
		},
		Action: about(indexRm),
	}
}

func indexRm(ctx context.Context, u *ui, cc *cli.Context, img *openedImage, m *image.Manifest) error {
	if cc.Bool("local") {
		return forget(u, img, m)
	}
	gone, err := image.Retract(ctx, m, img.src, img.store, "")
	for _, d := range gone {
		fmt.Fprintf(u.out, "deleted %s from %s\n", d.Digest, quote(img.Name()))
	}
	if err == nil && len(gone) == 0 {
		return notFoundf("%s has no pushed index", img.Name()).with("ocifs index show tells what there is")
	}
	return notDeleted(err)
}

// notDeleted says what to do where nothing can be deleted.
func notDeleted(err error) error {
	if errors.Is(err, fetch.ErrUnsupported) {
		return hint(err, "whoever runs the registry may allow deleting, or delete it for you")
	}
	return err
}

// forget removes what the cache has of the image's layers.
func forget(u *ui, img *openedImage, m *image.Manifest) error {
	n, err := image.Forget(m, img.src, img.store)
	switch {
	case errors.Is(err, cache.ErrInUse):
		return hint(fmt.Errorf("%s: %w", img.Name(), err), "unmount what has these layers; ocifs mounts lists the mounts")
	case err != nil:
		return err
	case n == 0:
		return notFoundf("the cache knows no layer of %s", img.Name())
	}
	_, err = fmt.Fprintf(u.out, "forgot %s of %s\n", count(n, "layer"), quote(img.Name()))
	return err
}
