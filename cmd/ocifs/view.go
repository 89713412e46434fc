package main

import (
	"errors"
	iofs "io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
)

// withView gives a command the flags that say what of an image to show.
func withView(c *cli.Command) *cli.Command {
	for _, f := range viewFlags() {
		if findFlag(c.Flags, f.Names()[0]) == nil { // find has a --layer of its own
			c.Flags = append(c.Flags, f)
		}
	}
	return c
}

func viewFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "all-platforms", Category: categoryImage, Usage: "show what there is for each platform, as OS-ARCH[-VARIANT]/"},
		&cli.BoolFlag{Name: allImages, Category: categoryImage, Usage: "of a Docker Compose application, show also images that were not published with it, from the registries that its files name"},
		&cli.BoolFlag{Name: "compose", Category: categoryImage, Usage: "show the Docker Compose application that refers to the image"},
		&cli.StringFlag{Name: "layer", Category: categoryImage, Usage: "show one layer by itself, with whiteouts as overlayfs has them: `N`, the base being 1, or its digest"},
		&cli.StringFlag{Name: "subpath", Category: categoryImage, Usage: "show only directory `DIR` of the image, as the root"},
	}
}

// allImages is the flag that shows images which others keep.
const allImages = "all-images"

// viewOf reads these flags, where the command has them.
func viewOf(cc *cli.Context) (v image.View, err error) {
	if findFlag(cc.Command.Flags, "subpath") == nil {
		return v, nil
	}
	v = image.View{
		AllPlatforms: cc.Bool("all-platforms"), Compose: cc.Bool("compose"), Subpath: cc.String("subpath"),
		UserXattrs: os.Geteuid() != 0,
	}
	if cc.Command.Name != "find" {
		v.Layer = cc.String("layer")
	}
	switch {
	case v.AllPlatforms && v.Layer != "":
		return v, usagef("--all-platforms and --layer: one layer is of one platform")
	case v.AllPlatforms && v.Compose:
		return v, usagef("--all-platforms and --compose: choose one")
	case v.AllPlatforms && cc.IsSet("platform"):
		return v, usagef("--all-platforms and --platform: choose one")
	}
	return v, nil
}

// viewFailed gives an error of what --subpath, --layer and --compose ask for
// its exit code and a hint.
func viewFailed(err error, v image.View) error {
	var path *iofs.PathError
	switch {
	case errors.As(err, &path) && path.Op == image.OpSubpath:
		return notFoundf("--subpath %s: %s", quote(v.Subpath), reason(path.Err)).with("ocifs tree -L 2 --dirs shows which directories there are")
	case errors.Is(err, image.ErrNoLayer):
		return notFoundf("--layer: %w", err).with("ocifs layers lists them")
	case errors.Is(err, image.ErrNoCompose):
		return notFoundf("--compose: %w", err).with("ocifs referrers shows what there is beside the image")
	}
	return err
}
