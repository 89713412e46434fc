package main

import (
	"context"
	"fmt"
	"iter"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/tree"
)

func cacheWarmCommand() *cli.Command {
	return &cli.Command{
		Name:      "warm",
		Usage:     "bring all of an image into the cache",
		ArgsUsage: "IMAGE",
		Description: `Fetches and decodes all files of an image, so that mounts of it read nothing from
the network: before a node goes offline, or a job starts on many. What is in the
cache already is not fetched again. --platform, --all-platforms and --subpath choose
what of it. With --cache-size, no more is kept than that.`,
		UsageText: `
$ ocifs cache warm docker.io/library/python:3.13
$ ocifs cache warm --platform linux/arm64 --subpath usr/lib ghcr.io/o/r:v2`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: look(cacheWarm),
	}
}

func cacheWarm(ctx context.Context, u *ui, cc *cli.Context, img *openedImage) error {
	t := img.Tree()
	size := make([]int64, len(img.Layers())+1) // of files, by layer; the last: of those in no layer
	for _, n := range t.All(tree.Root) {
		if isRegular(t, n) {
			d := t.Data(n)
			size[min(d.Layer, len(size)-1)] += d.Stored()
		}
	}
	total, done := int64(0), int64(0)
	for _, n := range size[:len(size)-1] {
		total += n
	}
	for i, n := range size[:len(size)-1] { // one by one: so it can be said how far it is
		u.progress.step(step{Layers: 1, Label: "fetching", Done: done, Total: total})
		if err := img.Prefetch(ctx, filesOf(t, i)); err != nil {
			return img.named(err)
		}
		done += n
	}
	u.progress.stop()
	digest, fetched := img.Manifest().Descriptor.Digest.String(), img.src.Stats()
	if cc.Bool("json") {
		return u.json(struct {
			Schema   string `json:"schema"`
			Image    string `json:"image"`
			Digest   string `json:"digest"`
			Size     int64  `json:"size"`
			Fetched  int64  `json:"fetched"`
			Requests int64  `json:"requests"`
		}{"ocifs.dev/cache-warm/v1", img.Name(), digest, total, fetched.Bytes, fetched.Requests})
	}
	fmt.Fprintf(u.out, "cached %s (%s, %s of files; fetched %s in %s)\n", pinned(img.Name(), digest), img.platform(),
		bytesOf(total), bytesOf(fetched.Bytes), count(int(fetched.Requests), "request"))
	return nil
}

// filesOf are the files whose contents are in a layer.
func filesOf(t *tree.Tree, layer int) iter.Seq[tree.Node] {
	return func(yield func(tree.Node) bool) {
		for _, n := range t.All(tree.Root) {
			if isRegular(t, n) && t.Data(n).Layer == layer && !yield(n) {
				return
			}
		}
	}
}
