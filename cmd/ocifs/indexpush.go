package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
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
takes the repository's word (--index=repository), reads no layer whole.`,
		UsageText: `
$ ocifs index push ghcr.io/o/r:v2
$ ocifs index push oci:/srv/images/app:v2 --to ghcr.io/o/app`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "push to the repository of `REFERENCE`, where the same image is, or will be"},
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
	img, err := openImage(ctx, s, uiHooks(u))
	if err != nil {
		return err
	}
	u.progress.stop()
	defer img.Close()
	x, err := img.Index(ctx)
	if err != nil {
		return img.named(err)
	}
	dst := img.src
	if to != "" {
		if dst, err = fetch.Open(ctx, to, s.Registry.options(uiHooks(u))); err != nil {
			return err
		}
		defer dst.Close()
	}
	d, err := u.push(ctx, dst, fetch.Upload{Manifest: x.Manifest, Blobs: x.Blobs})
	if err != nil {
		return pushFailed(err)
	}
	subject := img.Manifest().Descriptor
	if _, err := dst.Document(ctx, subject); errors.Is(err, fetch.ErrNotFound) {
		u.warn("%s has no manifest %s: the index waits there for the image", dst.Name(), subject.Digest)
	}
	p := pushedInfo{Digest: d.Digest.String(), Size: sizeOfIndex(x), To: dst.Name()}
	if cc.Bool("json") {
		return u.json(struct {
			Schema string `json:"schema"`
			Image  string `json:"image"`
			pushedInfo
			Subject string `json:"subject"`
		}{"ocifs.dev/index-push/v1", img.Name(), p, subject.Digest.String()})
	}
	_, err = fmt.Fprintf(u.out, "pushed %s (%s, %s), the index of %s, to %s\n",
		p.Digest, count(len(x.Layers), "layer"), bytesOf(p.Size), shortDigest(subject.Digest.String()), quote(p.To))
	return err
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
