package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
)

func indexPushCommand() *cli.Command {
	return &cli.Command{
		Name:      "push",
		Usage:     "push an index of an image to its repository",
		ArgsUsage: "IMAGE",
		Description: `Pushes what reading the image's layers has taught, after reading those that
this cache doesn't know. The index refers to the image's manifest, which stays
as it is: through the registry's referrers API or, where there is none, a tag
that clients keep in its place. From then on whoever mounts the image, and
takes the repository's word (--index=repository), reads no layer whole. The same
image makes the same index, so pushing it again changes nothing; another version
of ocifs may make another one. Where there are several, mounts take the one with
the lowest digest that they can use; --replace deletes all but the new one.`,
		UsageText: `
$ ocifs index push ghcr.io/o/r:v2
$ ocifs index push oci:/srv/images/app:v2 --to ghcr.io/o/app`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "push to the repository of `REFERENCE`, where the same image is, or will be"},
			&cli.BoolFlag{Name: "replace", Usage: "delete other ocifs indexes of the image from there"},
			allPlatformsFlag(),
			jsonFlag(),
		},
		Action: talk(indexPush),
	}
}

func indexPush(ctx context.Context, u *ui, cc *cli.Context) error {
	s, err := wholeSpec(cc)
	if err != nil {
		return err
	}
	to := cc.String("to")
	if to != "" {
		if to, err = absoluteRef(to); err != nil {
			return err
		}
		if _, err := fetch.ParseReference(to); err != nil {
			return badReference("--to", err)
		}
	}
	return eachImage(ctx, u, cc, s, uiHooks(u), func(img *openedImage) error {
		dst := img.src
		if to != "" {
			if dst, err = fetch.Open(ctx, to, s.Registry.options(uiHooks(u))); err != nil {
				return err
			}
			defer dst.Close()
		}
		p, err := pushIndex(ctx, u, img, dst, cc.Bool("replace"))
		if err != nil {
			return err
		}
		if cc.Bool("json") {
			return u.json(p)
		}
		for _, d := range p.Replaced {
			fmt.Fprintf(u.out, "deleted %s\n", d)
		}
		_, err = fmt.Fprintf(u.out, "pushed %s (%s, %s), the index of %s, to %s\n",
			p.Digest, count(p.layers, "layer"), bytesOf(p.Size), shortDigest(p.Subject), quote(p.To))
		return err
	})
}

// A pushed is what index push has come to, for JSON.
type pushed struct {
	Schema   string `json:"schema"`
	Image    string `json:"image"`
	Platform string `json:"platform"`
	pushedInfo
	Subject  string   `json:"subject"`
	Replaced []string `json:"replaced,omitempty"` // older indexes that were deleted
	layers   int
}

// pushIndex pushes the index of an image. Others that there are of it are
// deleted then, or at least not kept quiet about.
func pushIndex(ctx context.Context, u *ui, img *openedImage, dst *fetch.Source, replace bool) (*pushed, error) {
	x, err := img.Index(ctx)
	if err != nil {
		return nil, img.named(err)
	}
	d, err := u.push(ctx, dst, fetch.Upload{Manifest: x.Manifest, Blobs: x.Blobs})
	if err != nil {
		return nil, pushFailed(err)
	}
	m := img.Manifest()
	if _, err := dst.Document(ctx, m.Descriptor); errors.Is(err, fetch.ErrNotFound) {
		u.warn("%s has no manifest %s: the index waits there for the image", dst.Name(), m.Descriptor.Digest)
	}
	p := &pushed{Schema: "ocifs.dev/index-push/v1", Image: img.Name(), Platform: platformName(m.Config.Platform),
		pushedInfo: pushedInfo{Digest: d.Digest.String(), Size: sizeOfIndex(x), To: dst.Name()},
		Subject:    m.Descriptor.Digest.String(), layers: len(x.Layers)}
	if replace {
		gone, err := image.Retract(ctx, m, dst, img.store, d.Digest)
		for _, g := range gone {
			p.Replaced = append(p.Replaced, g.Digest.String())
		}
		return p, notDeleted(err)
	}
	if list, err := dst.Referrers(ctx, m.Descriptor, image.IndexType); err == nil && len(list) > 1 {
		u.warn("%s has %s of %s; index push --replace deletes all but the one it pushes", dst.Name(),
			counted(len(list), "index", "indexes"), shortDigest(p.Subject))
	}
	return p, nil
}

// pushFailed says what to do where nothing can be pushed.
func pushFailed(err error) error {
	if errors.Is(err, fetch.ErrUnsupported) {
		return hint(err, "push it elsewhere: --to REFERENCE")
	}
	if errors.Is(err, fetch.ErrUnauthorized) {
		return hint(err, "to push, one must be allowed to: docker login, podman login, or --creds USER:PASSWORD")
	}
	return err
}
