package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/cache"
)

func cacheVerifyCommand() *cli.Command {
	return &cli.Command{
		Name:  "verify",
		Usage: "read all of the cache, and tell what is damaged",
		Description: `Reads all that is in the cache and holds it to its checksums, and tells what is
damaged; then the exit code is 6: the disk may be failing. Nothing is changed. With
--repair, what is damaged is removed, and only that: of a layer, the damaged parts.
It is fetched again when it is read, wherever its image is kept; the rest is right
then, and the exit code is 0. What is left of a pinned image is told: pin it again
to fetch it now.

Mounts may use the cache meanwhile: they hold what they read to the same checksums,
so damage never reaches a reader.`,
		UsageText: `
$ ocifs cache verify || ocifs cache verify --repair`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "repair", Usage: "remove what is damaged, so that it is fetched again"},
			jsonFlag(),
		},
		Action: inCache(cacheVerify),
	}
}

// A damage is an entry that is damaged, for JSON.
type damage struct {
	cached
	Problem  string `json:"problem"`
	Repaired bool   `json:"repaired"` // it is removed
}

func cacheVerify(ctx context.Context, u *ui, cc *cli.Context, c *catalogue) error {
	total, done, n, left := c.size(), int64(0), 0, 0
	bad := []damage{}
	err := c.verify(ctx, cc.Bool("repair"), func(k cache.Check) {
		n, done = n+1, done+k.Bytes
		u.progress.step(step{Layers: 1, Label: "verifying", Done: min(done, total), Total: total})
		if k.Err == nil {
			return
		}
		bad = append(bad, damage{c.entry(k.Entry), strings.ReplaceAll(k.Err.Error(), "\n", "; "), k.Repaired})
		if !k.Repaired {
			left++
		}
	})
	u.progress.stop()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if cc.Bool("json") {
		if err := u.json(struct {
			Schema  string   `json:"schema"`
			Entries int      `json:"entries"`
			Size    int64    `json:"size"`
			Damaged []damage `json:"damaged"`
		}{"ocifs.dev/cache-verify/v1", n, done, bad}); err != nil {
			return err
		}
	} else {
		for _, d := range bad {
			fmt.Fprintf(u.out, "%s %s: %s%s\n", d.Kind, d.Key, printable(d.Problem), map[bool]string{true: ", removed"}[d.Repaired])
		}
		fmt.Fprintf(u.out, "verified %s, %s: %d damaged\n", entriesOf(n), bytesOf(done), len(bad))
	}
	c.tellPinned(u, bad)
	switch {
	case left > 0 && cc.Bool("repair"):
		return &problem{err: fmt.Errorf("%d of %d entries are damaged, and can't be removed", left, n), code: exitIntegrity,
			hints: []string{"nothing of that reaches a reader; is the cache's disk read-only, or failing?"}}
	case left > 0:
		return &problem{err: fmt.Errorf("%d of %d entries are damaged", left, n), code: exitIntegrity,
			hints: []string{"nothing of that reaches a reader; --repair removes it, so that it is fetched again; if this happens often, check the disk"}}
	}
	return nil
}

// verify checks all entries, see cache.Store.Verify.
func (c *catalogue) verify(ctx context.Context, repair bool, tell func(cache.Check)) error {
	if c.store == nil {
		return nil
	}
	return c.store.Verify(ctx, repair, tell)
}

// tellPinned tells which images are pinned and not complete any more.
func (c *catalogue) tellPinned(u *ui, bad []damage) {
	for _, p := range c.pins {
		for _, d := range bad {
			if d.Kind != string(cache.KindPin) && p.Has(d.item()) {
				if d.Repaired {
					u.warn("%s is pinned, and lacks what was removed; ocifs cache pin %[1]s fetches it", quote(p.Name))
				} else {
					u.warn("%s is pinned, and damaged", quote(p.Name))
				}
				break
			}
		}
	}
}

func (d damage) item() cache.Item {
	kind := cache.KindObject
	if d.Kind == "layer" {
		kind = cache.KindSpace
	}
	return cache.Item{Kind: kind, Key: d.Key}
}

func entriesOf(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}
