package main

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
)

func digestCommand() *cli.Command {
	return &cli.Command{
		Name:      "digest",
		Usage:     "tell which digest an image has now",
		ArgsUsage: "IMAGE",
		Description: `Prints the digest of what IMAGE points at: an image index, if there is one, or
a manifest. With --platform it is the manifest's for that platform. A tag costs
one request.`,
		UsageText: `
$ ocifs digest docker.io/library/alpine
$ ocifs digest --platform linux/arm64 alpine
$ ocifs mount "$(ocifs digest --full alpine)" /mnt     # that one, whatever becomes of the tag`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "full", Usage: "print the image's full name, with the digest in place of the tag"},
			jsonFlag(),
		},
		Action: talk(printDigest),
	}
}

func printDigest(ctx context.Context, u *ui, cc *cli.Context) error {
	s, err := imageSpecOf(cc, cc.Args().First())
	if err != nil {
		return err
	}
	name, d, err := pointsAt(ctx, u, s)
	if err != nil {
		return err
	}
	switch {
	case cc.Bool("json"):
		return u.json(struct {
			Schema    string `json:"schema"`
			Name      string `json:"name,omitempty"`
			Digest    string `json:"digest"`
			MediaType string `json:"media_type,omitempty"`
		}{"ocifs.dev/digest/v1", name, d.Digest.String(), d.MediaType})
	case cc.Bool("full") && name == "":
		return fmt.Errorf("digest: %s: a Docker archive names no image by its digest", quote(s.Ref))
	case cc.Bool("full"):
		_, err = fmt.Fprintln(u.out, quoteOn(u, name))
	default:
		_, err = fmt.Fprintln(u.out, d.Digest)
	}
	return err
}

// pointsAt is what a reference points at, or the manifest for the platform, if
// one is given, and the reference in full that names it by its digest.
func pointsAt(ctx context.Context, u *ui, s imageSpec) (name string, d ocispec.Descriptor, err error) {
	if s.Platform != "" {
		img, m, err := openManifest(ctx, u, s)
		if err != nil {
			return "", d, err
		}
		defer img.Close()
		return img.src.At(m.Descriptor.Digest), m.Descriptor, nil
	}
	src, err := fetch.Open(ctx, s.Ref, s.Registry.options(uiHooks(u)))
	if err != nil {
		return "", d, err
	}
	defer src.Close()
	d, err = src.Resolve(ctx)
	if err == nil && d.MediaType == "" { // nobody was asked: see that it is there
		d, _, err = src.Complete(ctx, d)
	}
	return src.At(d.Digest), d, err
}
