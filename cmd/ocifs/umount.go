package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

func umountCommand() *cli.Command {
	return &cli.Command{
		Name:      "umount",
		Aliases:   []string{"unmount"},
		Usage:     "unmount images",
		ArgsUsage: "[MOUNTPOINT|ID…]",
		Description: `Unmounts, and waits until the process that served the mount has ended. What
is left of a mount whose process was killed is removed, too.`,
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

// allMounted lists the mountpoints that are recorded, the youngest mount
// first: it may lie in an older one. Mounts of others are left alone.
func allMounted(dir stateDir) ([]string, error) {
	records, err := dir.records()
	var targets []string
	for _, r := range slices.Backward(records) {
		targets = append(targets, r.Mountpoint)
	}
	return targets, err
}

// An unmounter takes one mount down.
type unmounter struct {
	u    *ui
	dir  stateDir
	lazy bool
}

// grace is how long to wait for a daemon that may end at once, or may have
// users that it goes on for.
const grace = time.Second

func (m unmounter) unmount(ctx context.Context, target string) error {
	records, err := m.dir.records()
	if err != nil {
		return err
	}
	path, err := m.find(target, records)
	if err != nil {
		return err
	}
	top, err := mountAt(path)
	if err != nil {
		return err
	}
	r := lastAt(records, path)
	if top == nil || top.FSType != fsType {
		if r == nil {
			return notMounted(path, top != nil)
		}
		return m.leftOver(ctx, r)
	}
	did := m.achievement(r)
	if err := fs.Unmount(path, m.lazy); err != nil {
		if now, _ := mountAt(path); now == nil && r != nil {
			return m.leftOver(ctx, r) // somebody was faster
		}
		return m.explain(path, err)
	}
	if r != nil {
		if err := m.wait(ctx, r); err != nil {
			return err
		}
	}
	fmt.Fprintf(m.u.out, "unmounted %s%s\n", quote(path), did)
	return nil
}

// achievement is what the daemon has done, if it is there and tells.
func (m unmounter) achievement(r *record) string {
	if r == nil {
		return ""
	}
	v, err := m.dir.vitals(r.ID)
	switch {
	case err != nil:
		return ""
	case isLocal(r.Ref) && v.Read == 0:
		return ""
	case isLocal(r.Ref):
		return fmt.Sprintf(" (%s read)", bytesOf(v.Read))
	}
	return fmt.Sprintf(" (fetched %s in %s, %s read)", amount(v.Fetched, r.Size), count(int(v.Requests), "request"), bytesOf(v.Read))
}

// find is the path of what is to be unmounted: a mountpoint, or, if nothing
// is mounted there, the one that a record with that ID names.
func (m unmounter) find(target string, records []record) (string, error) {
	path, err := mountedPath(target)
	if err != nil || strings.Contains(target, "/") {
		return path, err
	}
	if top, err := mountAt(path); err != nil || top != nil {
		return path, err
	}
	for _, r := range records {
		if r.ID == target {
			return r.Mountpoint, nil
		}
	}
	return path, nil
}

// lastAt is the record of the youngest mount at path: the one on top.
func lastAt(records []record, path string) *record {
	for i := range slices.Backward(records) {
		if records[i].Mountpoint == path {
			return &records[i]
		}
	}
	return nil
}

func notMounted(path string, other bool) error {
	if other {
		return notFoundf("%s is mounted, but not by ocifs", quote(path)).with("unmount it with umount(8)")
	}
	return notFoundf("%s is not mounted", quote(path)).with("ocifs mounts lists what is")
}

// leftOver deals with a record without a mount: the daemon was killed and the
// mount removed; or it is ending just now; or it was detached and is in use.
func (m unmounter) leftOver(ctx context.Context, r *record) error {
	if !r.running() {
		fmt.Fprintf(m.u.out, "removed what was left of %s\n", quote(r.Mountpoint))
		return m.dir.remove(r.ID)
	}
	ended, err := waitProcess(ctx, r, grace)
	if err != nil {
		return err
	}
	if !ended {
		m.u.note("%s is detached already; process %d serves it until its last user is gone", quote(r.Mountpoint), r.PID)
		return nil
	}
	fmt.Fprintf(m.u.out, "unmounted %s\n", quote(r.Mountpoint))
	return nil
}

// wait waits for the daemon to end, and removes its record if it could not.
func (m unmounter) wait(ctx context.Context, r *record) error {
	patience := 30 * grace
	if m.lazy {
		patience = grace
	}
	ended, err := waitProcess(ctx, r, patience)
	switch {
	case err != nil:
		return err
	case ended:
		return m.dir.remove(r.ID)
	}
	m.u.note("process %d goes on until the last user of %s is gone", r.PID, quote(r.Mountpoint))
	return nil
}

func (m unmounter) explain(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrBusy):
		return mountf("%s is in use", quote(path)).
			with("see by whom: fuser -vm "+quote(path), "or detach it, and let them finish: ocifs umount -l "+quote(path))
	case errors.Is(err, unix.EPERM):
		return mountf("%s: %w", quote(path), err).with("only root and who mounted it may unmount it")
	}
	return mountf("%s: %w", quote(path), err)
}

// waitProcess waits at most patience for a record's process to end.
func waitProcess(ctx context.Context, r *record, patience time.Duration) (ended bool, err error) {
	fd, err := unix.PidfdOpen(r.PID, 0)
	if err != nil || !r.running() {
		if err == nil {
			unix.Close(fd)
		}
		return !r.running(), nil
	}
	defer unix.Close(fd)
	until := time.Now().Add(patience)
	for time.Now().Before(until) && ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 50)
		if n > 0 || err != nil && err != unix.EINTR {
			return n > 0, err
		}
	}
	return false, context.Cause(ctx)
}
