package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/cache"
)

func cacheDuCommand() *cli.Command {
	return &cli.Command{
		Name:  "du",
		Usage: "show what the cache takes on disk",
		Description: `Shows what the cache takes on disk, and, of each image that was opened through it,
what its layers take. A layer that several images have counts for each, so these
may add up to more than all. OWN is what no other image has; PINNED is since when
cache pin keeps it.`,
		UsageText: `
$ ocifs cache du`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: inCache(cacheDu),
	}
}

// A cachedImage is what an image takes in the cache, for JSON.
type cachedImage struct {
	Image  string `json:"image"`
	Digest string `json:"digest"`
	What   string `json:"what"` // is shown of it: a platform, or something else
	Size   int64  `json:"size"` // on disk, of its layers
	Own    int64  `json:"own"`  // of those that no other image has

	Pinned time.Time `json:"pinned,omitzero"` // when
}

// A cacheUsage is what a cache takes, for JSON.
type cacheUsage struct {
	Schema  string        `json:"schema"`
	Dir     string        `json:"dir"`
	Size    int64         `json:"size"`    // on disk, of all, with what is being made
	Layers  int64         `json:"layers"`  // of layers
	Objects int64         `json:"objects"` // of small things
	Images  []cachedImage `json:"images"`
}

func cacheDu(_ context.Context, u *ui, cc *cli.Context, c *catalogue) error {
	use := c.usage()
	if cc.Bool("json") {
		return u.json(use)
	}
	fmt.Fprintf(u.out, "%s in %s: layers %s, objects %s\n", bytesOf(use.Size), quote(use.Dir), bytesOf(use.Layers), bytesOf(use.Objects))
	if len(use.Images) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SIZE\tOWN\tDIGEST\tPLATFORM\tPINNED\tIMAGE")
	for _, i := range use.Images {
		pinned := "-"
		if !i.Pinned.IsZero() {
			pinned = i.Pinned.Format(time.DateOnly)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", bytesOf(i.Size), bytesOf(i.Own), shortDigest(i.Digest), quote(i.What), pinned, quote(i.Image))
	}
	return t.Flush()
}

func (c *catalogue) usage() cacheUsage {
	use := cacheUsage{Schema: "ocifs.dev/cache-du/v1", Dir: c.dir, Size: c.size(), Images: []cachedImage{}}
	size, shared := map[string]int64{}, map[string]int{}
	for _, e := range c.entries {
		if e.Kind == cache.KindSpace {
			size[e.Key] = e.Bytes
			use.Layers += e.Bytes
		} else {
			use.Objects += e.Bytes
		}
	}
	for _, k := range c.kept {
		for _, l := range k.Layers {
			shared[l.Space]++
		}
	}
	for _, k := range c.kept {
		i := cachedImage{Image: k.Name, Digest: k.Digest.String(), What: k.What}
		for _, p := range c.pins {
			if p.Digest == k.Digest && p.What == k.What { // by whatever name
				i.Pinned = p.Made
			}
		}
		for _, l := range k.Layers {
			i.Size += size[l.Space]
			if shared[l.Space] == 1 {
				i.Own += size[l.Space]
			}
		}
		if i.Size > 0 || !i.Pinned.IsZero() {
			use.Images = append(use.Images, i)
		}
	}
	return use
}
