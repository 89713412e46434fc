package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs"
)

func mountsCommand() *cli.Command {
	return &cli.Command{
		Name:      "mounts",
		Aliases:   []string{"ps"},
		Usage:     "list mounted images",
		ArgsUsage: "[MOUNTPOINT]",
		Description: `Lists the mounts of this user (of root: root's), and those in the mount table
that ocifs has no record of. LAZY is how many layers could be read in pieces
from the start, FETCHED what has come over the network so far. -v tells all there is
to know of each: what it is, its process, where its log and its cache are, what it did,
what is wrong with it, and the latest error. The states:

  ok         mounted and served
  degraded   mounted and served, but -v tells what is wrong: the latest fetch failed, or
             what is fetched can't be kept; what is cached reads on
  covered    behind another mount, on it or on a directory above
  elsewhere  mounted in another mount namespace, which its process is in
  detached   unmounted while in use; served until its last user is gone
  dead       its process was killed; ocifs umount removes what is left
  unknown    mounted by another user, or recorded in another --state-dir`,
		UsageText: `
$ ocifs mounts
$ ocifs mounts -v /mnt/py
$ ocifs mounts --json | jq -r '.mounts[].mountpoint'`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "tell all there is to know of each"},
			jsonFlag(),
		},
		Action: talk(mounts),
	}
}

// A liveMount is a mount as the command shows it.
type liveMount struct {
	record
	State  string  `json:"state"`
	Socket string  `json:"socket,omitempty"` // if the daemon answers there
	Vitals *vitals `json:"stats,omitempty"`  // what it said
}

func mounts(_ context.Context, u *ui, cc *cli.Context) error {
	dir, err := stateDirOf(cc)
	if err != nil {
		return err
	}
	table, err := fs.ReadTable()
	if err != nil {
		return err
	}
	records, err := dir.records()
	if err != nil {
		return err
	}
	all := compare(records, table)
	for i := range all {
		if v, err := dir.vitals(all[i].ID); err == nil {
			all[i].Vitals, all[i].Socket = &v, filepath.Join(string(dir), all[i].ID, socketFile)
			if len(v.Trouble) > 0 && all[i].State == stateOK {
				all[i].State = stateDegraded
			}
		}
	}
	if cc.NArg() > 0 {
		path, err := mountedPath(cc.Args().First(), table)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(m liveMount) bool { return m.Mountpoint != path && m.Bundle != path && m.ID != filepath.Base(path) })
		if len(all) == 0 {
			return notMounted(path, false)
		}
	}
	if cc.Bool("json") {
		return u.json(struct {
			Schema string      `json:"schema"`
			Mounts []liveMount `json:"mounts"`
		}{"ocifs.dev/mounts/v1", all})
	}
	if cc.Bool("verbose") {
		for i, m := range all {
			if i > 0 {
				fmt.Fprintln(u.out)
			}
			m.print(u.out, time.Now())
		}
		return nil
	}
	return mountTableOut(u, all, time.Now())
}

// compare holds the records against the mount table.
func compare(records []record, table fs.Table) []liveMount {
	all := []liveMount{}
	for _, r := range records {
		all = append(all, liveMount{record: r, State: r.place(table).state})
	}
	for _, m := range table.Ours() {
		if recordOfMount(records, m) == nil {
			all = append(all, liveMount{record: record{Schema: recordSchema, Mountpoint: m.Mountpoint, Device: fs.Device(m), Ref: fs.SourceOf(m)}, State: stateUnknown})
		}
	}
	return all
}

func mountTableOut(u *ui, all []liveMount, now time.Time) error {
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tMOUNTPOINT\tIMAGE\tPLATFORM\tLAZY\tFETCHED\tUP\tSTATE")
	for _, m := range all {
		if m.State == stateUnknown {
			fmt.Fprintf(t, "-\t%s\t%s\t-\t-\t-\t-\t%s\n", quote(m.Mountpoint), quote(m.Ref), m.State)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, quote(m.Mountpoint), quote(m.Ref), m.Platform,
			m.lazy(), m.fetched(), duration(now.Sub(m.Started)), m.health())
	}
	return t.Flush()
}

// fetched is how much of the image came over the network for this mount.
func (m *liveMount) fetched() string {
	switch {
	case m.Vitals == nil:
		return "-"
	case isLocal(m.Ref):
		return "local"
	}
	return amount(m.Vitals.Fetched, m.Size)
}

// health is the state, and what went wrong in it.
func (m *liveMount) health() string {
	if m.Vitals != nil && m.Vitals.FailedReads > 0 {
		return fmt.Sprintf("%s (%s failed)", m.State, count(int(m.Vitals.FailedReads), "read"))
	}
	return m.State
}
