package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fs/image"
)

func cacheCommand() *cli.Command {
	return group(&cli.Command{
		Name:      "cache",
		Usage:     "show, fill, pin, verify and shrink the cache",
		ArgsUsage: "COMMAND",
		Description: `The cache has, of layers that were opened, what was decoded of them, one entry
for each layer however many images have it; and small things: manifests, tables of
contents. All of it can be fetched again, so all of it may be removed, also while
images are mounted; but what cache pin keeps stays. --cache-dir says which cache is meant.`,
		UsageText: `
$ ocifs cache du
$ ocifs cache pin docker.io/library/python:3.13
$ ocifs cache prune --older-than 72h --keep-size 10GiB`,
	},
		leaf(cacheLsCommand(), 0, 0),
		leaf(cacheDuCommand(), 0, 0),
		leaf(withKey(withView(cacheWarmCommand())), 1, 1),
		leaf(withKey(withView(cachePinCommand())), 1, many),
		leaf(cacheUnpinCommand(), 1, many),
		leaf(cachePruneCommand(), 0, 0),
		leaf(cacheVerifyCommand(), 0, 0),
	)
}

// A cached is an entry of the cache, for JSON.
type cached struct {
	Kind   string    `json:"kind"` // layer or object
	Key    string    `json:"key"`
	Digest string    `json:"digest,omitempty"` // of the layer or document that it is of
	Size   int64     `json:"size"`             // on disk
	Used   time.Time `json:"used"`             // last
	InUse  bool      `json:"in_use"`           // some process has it open
	Pinned bool      `json:"pinned"`           // cache pin keeps it
	Images []string  `json:"images,omitempty"` // that were opened with it, by name
}

// A catalogue is what a cache has.
type catalogue struct {
	dir     string
	store   *cache.Store // nil: the usual directory, never used
	entries []cache.Entry
	kept    []image.Kept
	notes   map[string]image.Kept // the same, by key
	pins    []image.Pinned
	images  map[string][]string // names, by key of a layer
	digests map[string]string   // of layers, by key
}

// openStore opens a cache to look at it, or to shrink it, and creates none: there
// is no store where the usual one was never used, and another must be there.
func openStore(cc *cli.Context, dir string) (*cache.Store, error) {
	store, err := cache.Open(dir, cache.Options{Existing: true})
	switch {
	case err == nil:
		return store, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, hint(err, "choose another cache with --cache-dir")
	case cc.String("cache-dir") == "":
		return nil, nil
	}
	return nil, notFoundf("%s: no cache there", quote(dir)).with("check --cache-dir, or OCIFS_CACHE_DIR; what opens an image makes one")
}

// openCatalogue opens the cache and lists what is in it; close it.
func openCatalogue(cc *cli.Context) (*catalogue, error) {
	dir, err := cacheDir(cc)
	if err != nil {
		return nil, err
	}
	store, err := openStore(cc, dir)
	if err != nil {
		return nil, err
	}
	c := &catalogue{dir: dir, store: store, images: map[string][]string{}, digests: map[string]string{}, notes: map[string]image.Kept{}}
	if store == nil {
		return c, nil
	}
	if c.entries, err = store.Entries(); err == nil {
		c.pins, err = image.ReadPins(store)
	}
	if err != nil {
		store.Close()
		return nil, err
	}
	for _, e := range c.entries {
		k, ok := image.ReadKept(store, e)
		if !ok {
			continue
		}
		c.kept, c.notes[e.Key] = append(c.kept, k), k
		for _, l := range k.Layers {
			c.digests[l.Space] = l.Digest.String()
			if !slices.Contains(c.images[l.Space], k.Name) {
				c.images[l.Space] = append(c.images[l.Space], k.Name)
			}
		}
	}
	slices.SortFunc(c.kept, func(a, b image.Kept) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Digest), string(b.Digest)), strings.Compare(a.What, b.What))
	})
	return c, nil
}

// close lets go of the store.
func (c *catalogue) close() {
	if c.store != nil {
		c.store.Close()
	}
}

// size is what the cache takes on disk.
func (c *catalogue) size() int64 {
	if c.store == nil {
		return 0
	}
	return c.store.Usage()
}

// entry is what there is to say of an entry.
func (c *catalogue) entry(e cache.Entry) cached {
	x := cached{
		Kind: "layer", Key: e.Key, Digest: cmp.Or(c.digests[e.Key], image.Layer(e).String()),
		Size: e.Bytes, Used: e.Used.UTC(), InUse: e.InUse, Pinned: e.Pinned, Images: slices.Clone(c.images[e.Key]),
	}
	if e.Kind != cache.KindSpace {
		x.Kind = string(e.Kind)
	}
	slices.Sort(x.Images)
	return x
}

// inCache runs the body of a command on what the cache has.
func inCache(body func(ctx context.Context, u *ui, cc *cli.Context, c *catalogue) error) cli.ActionFunc {
	return talk(func(ctx context.Context, u *ui, cc *cli.Context) error {
		c, err := openCatalogue(cc)
		if err != nil {
			return err
		}
		defer c.close()
		return body(ctx, u, cc, c)
	})
}
