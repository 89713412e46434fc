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

// A warmed image is all in the cache, for JSON.
type warmed struct {
	Image    string `json:"image"`
	Digest   string `json:"digest"`
	What     string `json:"what"` // of it: a platform, or something else
	Size     int64  `json:"size"` // of the contents of all files, each once
	Fetched  int64  `json:"fetched"`
	Requests int64  `json:"requests"`
}

func cacheWarm(ctx context.Context, u *ui, cc *cli.Context, img *openedImage) error {
	w, err := warm(ctx, u, img)
	if err != nil {
		return err
	}
	if cc.Bool("json") {
		return u.json(struct {
			Schema string `json:"schema"`
			warmed
		}{"ocifs.dev/cache-warm/v1", w})
	}
	w.print(u, "cached")
	return nil
}

// warm brings all files of an image into the cache, and tells how far it is.
func warm(ctx context.Context, u *ui, img *openedImage) (w warmed, err error) {
	t := img.Tree()
	size := make([]int64, len(img.Layers())+1) // of files, by layer; the last: of those in no layer
	for n := range allOf(t) {
		d := t.Data(n)
		size[min(d.Layer, len(size)-1)] += d.Stored()
	}
	done := int64(0)
	for _, n := range size[:len(size)-1] {
		w.Size += n
	}
	for i, n := range size[:len(size)-1] { // one by one: so it can be said how far it is
		u.progress.step(step{Layers: 1, Label: "fetching", Done: done, Total: w.Size})
		if err := img.Prefetch(ctx, filesOf(t, i)); err != nil {
			return w, img.named(err)
		}
		done += n
	}
	u.progress.stop()
	fetched := img.fetched()
	w.Image, w.Digest, w.What = img.Name(), img.Manifest().Descriptor.Digest.String(), img.What()
	w.Fetched, w.Requests = fetched.Bytes, fetched.Requests
	return w, nil
}

func (w warmed) print(u *ui, did string) {
	fmt.Fprintf(u.out, "%s %s (%s, %s of files; fetched %s in %s)\n", did, pinned(w.Image, w.Digest), quote(w.What),
		bytesOf(w.Size), bytesOf(w.Fetched), count(int(w.Requests), "request"))
}

// allOf are all regular files, each once, however many names it has.
func allOf(t *tree.Tree) iter.Seq[tree.Node] {
	return func(yield func(tree.Node) bool) {
		seen := make([]bool, t.Len())
		for _, n := range t.All(tree.Root) {
			if !isRegular(t, n) || seen[n] {
				continue
			}
			if seen[n] = true; !yield(n) {
				return
			}
		}
	}
}

// filesOf are the files whose contents are in a layer.
func filesOf(t *tree.Tree, layer int) iter.Seq[tree.Node] {
	return func(yield func(tree.Node) bool) {
		for n := range allOf(t) {
			if t.Data(n).Layer == layer && !yield(n) {
				return
			}
		}
	}
}
