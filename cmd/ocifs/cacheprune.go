package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fs/image"
)

func cachePruneCommand() *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "remove what is not needed from the cache",
		Description: `Removes layers, and small things, whole: those that --older-than says, or what was
used longest ago until --keep-size holds, or either, or --all. What a mount or
another process has open stays, and is read on; so does what cache pin keeps. What
is removed is fetched again when it is needed; a layer without an index is then read
through again.

--cache-size of other commands is different: it removes parts of layers, and only
as much as it must, while they run.`,
		UsageText: `
$ ocifs cache prune --older-than 72h
$ ocifs cache prune --keep-size 10GiB --dry-run
$ ocifs cache prune --all`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "remove all that no process has open, and that is not pinned"},
			&cli.StringFlag{Name: "older-than", Usage: "remove what was not used for `DURATION`, as in 72h or 30m"},
			&cli.StringFlag{Name: "keep-size", Usage: "remove what was used longest ago until the cache takes at most `SIZE`"},
			&cli.BoolFlag{Name: "dry-run", Usage: "remove nothing: only tell what would go"},
			jsonFlag(),
		},
		Action: inCache(cachePrune),
	}
}

// A pruning says what of a cache is to go.
type pruning struct {
	all    bool
	before time.Time // what was used last before that; zero: nothing
	keep   int64     // bytes; less than 0: all may stay
}

func pruningOf(cc *cli.Context, now time.Time) (p pruning, err error) {
	p = pruning{all: cc.Bool("all"), keep: -1}
	if s := cc.String("older-than"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return p, usagef("--older-than %q: not a duration", s).with("as in 72h or 30m")
		}
		p.before = now.Add(-d)
	}
	if cc.String("keep-size") != "" {
		if p.keep, err = sizeFlag(cc, "keep-size", ""); err != nil {
			return p, err
		}
	}
	if !p.all && p.before.IsZero() && p.keep < 0 {
		return p, usagef("cache prune: what is to go is not said").with("--all, --older-than DURATION or --keep-size SIZE")
	}
	return p, nil
}

// choose are the entries that are to go, of a cache that takes used bytes; what
// was used longest ago goes first.
func (p pruning) choose(entries []cache.Entry, used int64) (gone []cache.Entry) {
	slices.SortStableFunc(entries, func(a, b cache.Entry) int { return a.Used.Compare(b.Used) })
	for _, e := range entries {
		if !e.InUse && !e.Pinned && (p.all || e.Used.Before(p.before) || p.keep >= 0 && used > p.keep) {
			gone = append(gone, e)
			used -= e.Bytes
		}
	}
	return gone
}

func cachePrune(ctx context.Context, u *ui, cc *cli.Context, c *catalogue) error {
	p, err := pruningOf(cc, time.Now())
	if err != nil {
		return err
	}
	if p.all && len(c.pins) > 0 {
		u.note("%s pinned, and stays; ocifs cache unpin lets it go", plural(len(c.pins), "image is", "images are"))
	}
	removed, freed := []cached{}, int64(0)
	left := map[string]bool{} // layers
	for _, e := range c.entries {
		left[e.Key] = e.Kind == cache.KindSpace
	}
	var failed error
	for _, e := range p.choose(slices.DeleteFunc(slices.Clone(c.entries), c.isNote), c.size()) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !cc.Bool("dry-run") {
			err := c.store.Remove(e.Kind, e.Key)
			if errors.Is(err, cache.ErrInUse) || errors.Is(err, fs.ErrNotExist) {
				continue // since we looked
			}
			if err != nil {
				u.fail(ctx, &failed, err)
				continue
			}
		}
		removed, freed, left[e.Key] = append(removed, c.entry(e)), freed+e.Bytes, false
	}
	if !cc.Bool("dry-run") {
		c.forget(left)
	}
	if err := pruned(u, cc, removed, freed); err != nil {
		return err
	}
	return failed
}

// isNote says whether an entry only notes that an image was opened.
func (c *catalogue) isNote(e cache.Entry) bool {
	_, ok := c.notes[e.Key]
	return ok
}

// forget removes the notes of images of which no layer is left.
func (c *catalogue) forget(left map[string]bool) {
	for key, k := range c.notes {
		if !slices.ContainsFunc(k.Layers, func(l image.KeptLayer) bool { return left[l.Space] }) {
			c.store.Remove(cache.KindObject, key) // or else the next time
		}
	}
}

// pruned tells what is gone, or would be.
func pruned(u *ui, cc *cli.Context, removed []cached, freed int64) error {
	if cc.Bool("json") {
		return u.json(struct {
			Schema  string   `json:"schema"`
			DryRun  bool     `json:"dry_run"`
			Freed   int64    `json:"freed"`
			Removed []cached `json:"removed"`
		}{"ocifs.dev/cache-prune/v1", cc.Bool("dry-run"), freed, removed})
	}
	did := "removed"
	if cc.Bool("dry-run") {
		did = "would remove"
		if err := cacheTable(u, removed, time.Now()); err != nil {
			return err
		}
	}
	layers := 0
	for _, x := range removed {
		if x.Kind == "layer" {
			layers++
		}
	}
	fmt.Fprintf(u.out, "%s %s and %s, %s\n", did, count(layers, "layer"), count(len(removed)-layers, "object"), bytesOf(freed))
	return nil
}
