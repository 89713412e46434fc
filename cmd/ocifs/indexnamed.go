package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/convert"
	"ocifs.dev/ocifs/fs/image"
)

// An indexing is an image that names its index, ready to be pushed.
type indexing struct {
	*convert.Indexed
	of     *image.Manifest
	blobs  []fetch.Content // of the index
	layers any             // for JSON
	text   func(*ui) error // a line for each layer
	close  func() error    // nil: nothing to close
}

// A namedInfo is an image that names its index, for JSON.
type namedInfo struct {
	Platform string `json:"platform"`
	Manifest string `json:"manifest"`
	Index    string `json:"index,omitempty"`
	Layers   any    `json:"layers"`
}

// indexNamed makes indexes of the images that a command is about, has their
// manifests name them, and pushes all of that to the second argument. kind is
// what the indexes are called.
func indexNamed(ctx context.Context, u *ui, cc *cli.Context, s imageSpec, h hooks, kind string, make func(place *openedImage, m *image.Manifest) (*indexing, error)) error {
	to, err := destinationRef(cc.Args().Get(1))
	if err != nil {
		return err
	}
	place, err := openSource(ctx, s, h)
	if err != nil {
		return err
	}
	defer place.Close()
	list, err := manifestsOf(ctx, cc, place, h)
	if err != nil {
		return place.named(err)
	}
	dst, err := destination(ctx, u, cc, to)
	if err != nil {
		return err
	}
	defer dst.Close()
	var done []*indexing
	var images []*convert.Indexed
	for _, m := range list {
		x, err := make(place, m)
		u.progress.stop()
		if err != nil {
			return place.named(err)
		}
		if x.close != nil {
			defer x.close()
		}
		done, images = append(done, x), append(images, x.Indexed)
	}
	root, err := convert.Root(images)
	if errors.Is(err, convert.ErrNoLayer) {
		return hint(place.named(err), "take smaller layers in with --min-layer")
	}
	if err != nil {
		return err
	}
	for _, x := range done {
		if err := x.push(ctx, u, place.src, dst); err != nil {
			return pushFailed(err)
		}
	}
	d, err := u.push(ctx, dst, fetch.Upload{Manifest: root, Tagged: true})
	if err != nil {
		return pushFailed(err)
	}
	return tellNamed(u, cc.Bool("json"), place.src.Name(), dst.Name(), d.Digest, kind, done)
}

// push pushes the index, and then the image that names it.
func (x *indexing) push(ctx context.Context, u *ui, src, dst *fetch.Source) error {
	if x.Index != nil {
		if _, err := u.push(ctx, dst, fetch.Upload{Manifest: x.Index, Blobs: x.blobs}); err != nil {
			return err
		}
	}
	img := fetch.Upload{Manifest: x.Manifest, Blobs: []fetch.Content{held(x.Config, x.of.RawConfig)}}
	for _, d := range x.Layers {
		img.Blobs = append(img.Blobs, copied(ctx, src, d))
	}
	_, err := u.push(ctx, dst, img)
	return err
}

// held is content that is in memory.
func held(d ocispec.Descriptor, b []byte) fetch.Content {
	d.Data = b
	return fetch.Content{Descriptor: d}
}

func tellNamed(u *ui, asJSON bool, from, to string, root digest.Digest, kind string, done []*indexing) error {
	list := []namedInfo{}
	for _, x := range done {
		i := namedInfo{Platform: platformName(x.of.Config.Platform), Manifest: digest.FromBytes(x.Manifest).String(), Layers: x.layers}
		if x.Index != nil {
			i.Index = digest.FromBytes(x.Index).String()
		}
		list = append(list, i)
	}
	if asJSON {
		return u.json(struct {
			Schema string      `json:"schema"`
			Image  string      `json:"image"`
			To     string      `json:"to"`
			Digest string      `json:"digest"` // of the image index
			Kind   string      `json:"kind"`   // of the indexes
			Images []namedInfo `json:"images"`
		}{"ocifs.dev/index-named/v1", from, to, root.String(), kind, list})
	}
	for i, x := range done {
		if len(done) > 1 {
			platformLine(u, list[i].Platform, x.of)
		}
		if err := x.text(u); err != nil {
			return err
		}
		if x.Index == nil {
			fmt.Fprintf(u.out, "no layer for a %s index\n", kind)
		}
	}
	with := fmt.Sprintf("with the %s index %s", kind, list[0].Index)
	if len(list) > 1 {
		with = fmt.Sprintf("with %s indexes of %d images", kind, len(list))
	}
	_, err := fmt.Fprintf(u.out, "wrote %s@%s, %s\n", quote(to), root, with)
	return err
}

// platformLine heads what is told of one of several images.
func platformLine(u *ui, platform string, m *image.Manifest) {
	fmt.Fprintf(u.out, "%s %s\n", quote(platform), shortDigest(m.Descriptor.Digest.String()))
}
