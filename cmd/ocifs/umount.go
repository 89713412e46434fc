package main

import (
	"context"
	"slices"

	"github.com/urfave/cli/v2"
)

func umountCommand() *cli.Command {
	return &cli.Command{
		Name:      "umount",
		Aliases:   []string{"unmount"},
		Usage:     "unmount images",
		ArgsUsage: "[MOUNTPOINT|BUNDLE|ID…]",
		Description: `Unmounts, and waits until the process that served the mount has ended. What
is left of a mount whose process was killed is removed, too. One that is mounted
in another mount namespace, root can unmount by its ID, or with --all.`,
		UsageText: `
$ ocifs umount /mnt/py
$ ocifs umount --all`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "lazy", Aliases: []string{"l"}, Usage: "detach a mount that is in use: it is served until its last user is gone"},
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "unmount all mounts of yours"},
		},
		Action: talk(umount),
	}
}

func umount(ctx context.Context, u *ui, cc *cli.Context) error {
	targets, all := cc.Args().Slice(), cc.Bool("all")
	switch {
	case all && len(targets) > 0:
		return usagef("umount: --all and a mountpoint exclude each other")
	case !all && len(targets) == 0:
		return usagef("umount: a mountpoint or --all is missing").with("ocifs mounts lists what is mounted")
	}
	dir, err := stateDirOf(cc)
	if err != nil {
		return err
	}
	if all {
		if targets, err = allMounted(dir); err != nil {
			return err
		}
		if len(targets) == 0 {
			u.note("nothing is mounted")
		}
	}
	defer dir.sweep()
	var failed error
	for _, t := range targets {
		m := unmounter{u: u, dir: dir, lazy: cc.Bool("lazy")}
		if err := m.unmount(ctx, t); err != nil {
			u.fail(ctx, &failed, err)
		}
	}
	return failed
}

// allMounted lists the IDs of the mounts that are recorded, the youngest first:
// it may lie in an older one. Mounts of others are left alone.
func allMounted(dir stateDir) ([]string, error) {
	records, err := dir.records()
	var targets []string
	for _, r := range slices.Backward(records) {
		targets = append(targets, r.ID)
	}
	return targets, err
}
