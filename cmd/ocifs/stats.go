package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs"
)

func statsCommand() *cli.Command {
	return &cli.Command{
		Name:      "stats",
		Usage:     "show what a mount has done",
		ArgsUsage: "MOUNTPOINT",
		Description: `Shows what a mount's process has counted: what it fetched, and what was asked of
it. What the kernel answers by itself is not among it. Where the process answers
HTTP is said, too: /metrics there is for Prometheus, /healthz for who watches,
/v1/stats is this as JSON; to the same user and root only.`,
		UsageText: `
$ ocifs stats /mnt/py
$ ocifs stats --watch --json /mnt/py
$ curl --unix-socket /run/ocifs/ID/socket http://mount/metrics`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "show it again every second, until Ctrl-C or the end of the mount"},
			jsonFlag(),
		},
		Action: talk(stats),
	}
}

func stats(ctx context.Context, u *ui, cc *cli.Context) error {
	dir, err := stateDirOf(cc)
	if err != nil {
		return err
	}
	table, err := fs.ReadTable()
	if err != nil {
		return err
	}
	path, err := mountedPath(cc.Args().First(), table)
	if err != nil {
		return err
	}
	records, err := dir.records()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(records, func(r record) bool {
		return r.Mountpoint == path || r.Bundle == path || r.ID == filepath.Base(path)
	})
	if i < 0 {
		return notMounted(path, false)
	}
	for first := true; ; first = false {
		v, err := dir.vitals(records[i].ID)
		switch {
		case err != nil && first:
			return mountf("%s: its process does not answer: %w", quote(path), err)
		case err != nil:
			return nil // it has ended
		}
		if err := u.stats(cc.Bool("json"), records[i], v, string(dir)); err != nil || !cc.Bool("watch") {
			return err
		}
		if err := u.flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

func (u *ui) stats(asJSON bool, r record, v vitals, dir string) error {
	socket := filepath.Join(dir, r.ID, socketFile)
	if asJSON {
		return u.json(struct {
			Schema     string `json:"schema"`
			ID         string `json:"id"`
			Mountpoint string `json:"mountpoint"`
			Socket     string `json:"socket"`
			vitals
		}{"ocifs.dev/stats/v1", r.ID, r.Mountpoint, socket, v})
	}
	fmt.Fprintf(u.out, "%s on %s, %s\n", quote(r.Ref), quote(r.Mountpoint), duration(time.Since(r.Started)))
	fmt.Fprintf(u.out, "fetched  %s in %s\nread     %s, %s failed\nasked   ", bytesOf(v.Fetched), count(int(v.Requests), "request"), bytesOf(v.Read), count(int(v.FailedReads), "read"))
	for _, op := range slices.Sorted(maps.Keys(v.Ops)) {
		fmt.Fprintf(u.out, " %s %d", op, v.Ops[op])
	}
	_, err := fmt.Fprintf(u.out, "\nsocket   %s\n", quote(socket))
	return err
}
