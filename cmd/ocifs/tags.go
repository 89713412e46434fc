package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
)

func tagsCommand() *cli.Command {
	return &cli.Command{
		Name:      "tags",
		Usage:     "list the tags of a repository",
		ArgsUsage: "IMAGE",
		Description: `Lists the tags that there are in the repository of IMAGE, in the registry's
order, which is mostly that of their letters, or the names of the images in a
layout or an archive. A tag or a digest in IMAGE makes no difference.`,
		UsageText: `
$ ocifs tags docker.io/library/alpine | grep '^3\.'
$ ocifs tags --limit 20 ghcr.io/o/r
$ ocifs tags oci:/srv/images`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "limit", Usage: "list `N` at most, and ask for no more"},
			jsonFlag(),
		},
		Action: talk(tags),
	}
}

func tags(ctx context.Context, u *ui, cc *cli.Context) error {
	if cc.IsSet("limit") && cc.Int("limit") < 1 {
		return usagef("tags: --limit is at least 1, not %d", cc.Int("limit"))
	}
	s, err := imageSpecOf(cc, cc.Args().First())
	if err != nil {
		return err
	}
	name, tags, err := fetch.Tags(ctx, s.Ref, s.Registry.options(uiHooks(u)), cc.Int("limit"))
	if err != nil {
		return err
	}
	if cc.Bool("json") {
		return u.json(struct {
			Schema string   `json:"schema"`
			Name   string   `json:"name"`
			Tags   []string `json:"tags"`
		}{"ocifs.dev/tags/v1", name, append([]string{}, tags...)})
	}
	for _, t := range tags {
		if _, err := fmt.Fprintln(u.out, quoteOn(u, t)); err != nil {
			return err
		}
	}
	return nil
}
