package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/cache"
)

func cacheLsCommand() *cli.Command {
	return &cli.Command{
		Name:  "ls",
		Usage: "list what the cache has",
		Description: `Lists the layers in the cache: what each takes on disk, when it was used last, and
the images that were opened with it. A layer that goes by somebody else's table of
contents has an entry of its own for that. --all lists small things, too. USED is
how long ago, or "now" while a process has it open. PINNED is what cache pin keeps.`,
		UsageText: `
$ ocifs cache ls
$ ocifs cache ls --json --all | jq -r '.entries[] | [.size, .key] | @tsv'`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "list manifests, tables of contents and other small things, too"}, jsonFlag()},
		Action: inCache(cacheLs),
	}
}

func cacheLs(_ context.Context, u *ui, cc *cli.Context, c *catalogue) error {
	list := []cached{}
	for _, e := range c.entries {
		if e.Kind == cache.KindSpace || cc.Bool("all") {
			list = append(list, c.entry(e))
		}
	}
	if cc.Bool("json") {
		return u.json(struct {
			Schema  string   `json:"schema"`
			Dir     string   `json:"dir"`
			Entries []cached `json:"entries"`
		}{"ocifs.dev/cache-ls/v1", c.dir, list})
	}
	return cacheTable(u, list, time.Now())
}

func cacheTable(u *ui, list []cached, now time.Time) error {
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tDIGEST\tSIZE\tUSED\tPINNED\tIMAGES")
	for _, x := range list {
		used := "now"
		if !x.InUse {
			used = duration(max(0, now.Sub(x.Used)))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", x.Kind, cmp.Or(shortDigest(x.Digest), clip(x.Key, 40)), bytesOf(x.Size), used, yes(x.Pinned), named(x.Images))
	}
	return t.Flush()
}

// yes is a truth for a table.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

// named are names of images for a table, "-" if none is known.
func named(images []string) string {
	var names []string
	for _, n := range images {
		names = append(names, quote(n))
	}
	return cmp.Or(strings.Join(names, " "), "-")
}
