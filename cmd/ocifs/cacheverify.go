package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/cache"
)

func cacheVerifyCommand() *cli.Command {
	return &cli.Command{
		Name:  "verify",
		Usage: "read all of the cache, and remove what is damaged",
		Description: `Reads all that is in the cache and holds it to its checksums. What is damaged is
removed, and fetched again when it is needed; the rest is right then. Mounts may use
the cache meanwhile: they hold what they read to the same checksums, so damage never
reaches a reader. If there was any, the exit code is 6: the disk may be failing.`,
		UsageText: `
$ ocifs cache verify`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: inCache(cacheVerify),
	}
}

// A damage is an entry that was damaged, for JSON.
type damage struct {
	cached
	Problem string `json:"problem"`
}

func cacheVerify(ctx context.Context, u *ui, cc *cli.Context, c *catalogue) error {
	total, done, n := c.store.Usage(), int64(0), 0
	bad := []damage{}
	err := c.store.Verify(ctx, func(e cache.Entry, err error) {
		n, done = n+1, done+e.Bytes
		u.progress.step(step{Layers: 1, Label: "verifying", Done: min(done, total), Total: total})
		if err != nil {
			bad = append(bad, damage{c.entry(e), err.Error()})
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
			fmt.Fprintf(u.out, "%s %s: %s\n", d.Kind, d.Key, printable(d.Problem))
		}
		fmt.Fprintf(u.out, "verified %s, %s: %d damaged\n", entriesOf(n), bytesOf(done), len(bad))
	}
	if len(bad) > 0 {
		return &problem{err: fmt.Errorf("%d of %d entries were damaged, and are removed", len(bad), n), code: exitIntegrity,
			hints: []string{"they come again when they are read; if this happens often, check the disk"}}
	}
	return nil
}

func entriesOf(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}
