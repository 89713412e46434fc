package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

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
	table, err := fs.ReadTable()
	if err != nil {
		return err
	}
	path, err := mountedPath(target, table)
	if err != nil {
		return err
	}
	top := table.At(path)
	if r := byID(records, target); r != nil && top == nil {
		return m.recorded(ctx, r, table, true)
	}
	if top != nil && fs.IsOurs(top) {
		return m.takeOff(ctx, path, recordOfMount(records, top))
	}
	if r := overlaid(records, path); r != nil {
		return m.recorded(ctx, r, table, false)
	}
	for _, x := range table.Ours() {
		if cover := table.Hiding(x); x.Mountpoint == path && cover != nil {
			return covered(x, cover)
		}
	}
	if r := lastAt(records, path); r != nil {
		return m.recorded(ctx, r, table, false)
	}
	return notMounted(path, top != nil)
}

// overlaid is the record of the bundle at path, or of the root of one that has
// an overlay, nil if there is none.
func overlaid(records []record, path string) *record {
	for i := range slices.Backward(records) {
		if r := &records[i]; r.Bundle == path && path != "" || r.Overlay && r.Mountpoint == path {
			return r
		}
	}
	return nil
}

// uncover unmounts the overlay over an image, if there is one at path.
func uncover(path string, lazy bool) error {
	for {
		table, err := fs.ReadTable()
		if err != nil {
			return err
		}
		top := table.At(path)
		if top == nil || !isOverlay(top) {
			return nil
		}
		if err := fs.Unmount(path, lazy); err != nil {
			return err
		}
	}
}

// byID is the record with that ID, nil if there is none. What has a slash is a
// path.
func byID(records []record, target string) *record {
	for i := range records {
		if records[i].ID == target && !strings.Contains(target, "/") {
			return &records[i]
		}
	}
	return nil
}

// recorded takes down the mount of a record, wherever it is. In another mount
// namespace than ours only one that was named by its ID: the path may be
// another's there.
func (m unmounter) recorded(ctx context.Context, r *record, table fs.Table, named bool) error {
	switch p := r.place(table); {
	case p.cover != nil:
		return covered(p.mount, p.cover)
	case p.state == stateElsewhere && named:
		return m.reachOver(ctx, r)
	case p.state == stateElsewhere:
		return elsewhere(r).with("or by its ID, as root: ocifs umount " + r.ID)
	case p.mount != nil:
		return m.takeOff(ctx, p.mount.Mountpoint, r)
	}
	return m.leftOver(ctx, r)
}

// takeOff unmounts what one sees at path. r is its record, nil if it has none.
func (m unmounter) takeOff(ctx context.Context, path string, r *record) error {
	did := m.achievement(r)
	if err := uncover(path, m.lazy); err != nil {
		return explain(path, err)
	}
	if err := fs.Unmount(path, m.lazy); err != nil {
		if table, terr := fs.ReadTable(); terr == nil && r != nil && table.At(path) == nil {
			return m.leftOver(ctx, r) // somebody was faster
		}
		return explain(path, err)
	}
	if r != nil {
		if err := m.wait(ctx, r); err != nil {
			return err
		}
	}
	fmt.Fprintf(m.u.out, "unmounted %s%s\n", quote(path), did)
	return nil
}

// reachOver unmounts a mount in the mount namespace of its daemon.
func (m unmounter) reachOver(ctx context.Context, r *record) error {
	did := m.achievement(r)
	err := inNamespaceOf(r, func() error {
		table, err := fs.ReadTable()
		if err != nil {
			return err
		}
		p := r.place(table)
		switch {
		case p.cover != nil:
			return covered(p.mount, p.cover)
		case p.mount == nil:
			return nil // it has just gone
		}
		if err := errors.Join(uncover(p.mount.Mountpoint, m.lazy), fs.Unmount(p.mount.Mountpoint, m.lazy)); err != nil {
			return explain(p.mount.Mountpoint, err)
		}
		return nil
	})
	if errors.Is(err, errNamespace) {
		return elsewhere(r).with(fmt.Sprintf("or have its process do it: kill %d", r.PID))
	}
	if err != nil {
		return err
	}
	if err := m.wait(ctx, r); err != nil {
		return err
	}
	fmt.Fprintf(m.u.out, "unmounted %s, in another mount namespace%s\n", quote(r.Mountpoint), did)
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

// wait waits for the daemon to end, and removes its record if it could not. It
// does not wait long for one that has more to serve: a mount bound to another
// place, a copy in another namespace.
func (m unmounter) wait(ctx context.Context, r *record) error {
	ended, err := waitProcess(ctx, r, grace)
	if err == nil && !ended && !m.lazy && !m.more(r) {
		ended, err = waitProcess(ctx, r, 30*grace)
	}
	switch {
	case err != nil:
		return err
	case ended:
		return m.dir.remove(r.ID)
	case m.more(r):
		m.u.note("process %d goes on: the image is still mounted elsewhere", r.PID)
		return nil
	}
	m.u.note("process %d goes on until the last user of %s is gone", r.PID, quote(r.Mountpoint))
	return nil
}

// more reports whether the daemon has a mount still.
func (m unmounter) more(r *record) bool {
	table, err := fs.ReadTable()
	return err == nil && r.place(table).mount != nil
}

func notMounted(path string, other bool) error {
	if other {
		return notFoundf("%s is mounted, but not by ocifs", quote(path)).with("unmount it with umount(8)")
	}
	return notFoundf("%s is not mounted", quote(path)).with("ocifs mounts lists what is")
}

// covered is the error about a mount that no path leads to.
func covered(m, cover *mountinfo.Info) error {
	return mountf("%s is covered by another mount: %s (%s) on %s", quote(m.Mountpoint), quote(cover.Source), quote(cover.FSType), quote(cover.Mountpoint)).
		with("unmount that first: umount " + quote(cover.Mountpoint))
}

// elsewhere is the error about a mount in another mount namespace.
func elsewhere(r *record) *problem {
	return mountf("%s is mounted in another mount namespace, that of process %d", quote(r.Mountpoint), r.PID).
		with(fmt.Sprintf("unmount it there: nsenter -t %d -m umount %s", r.PID, quote(r.Mountpoint)))
}

func explain(path string, err error) error {
	table, terr := fs.ReadTable()
	if terr != nil {
		table = fs.Table{}
	}
	m, euid := table.At(path), os.Geteuid()
	inner := slices.IndexFunc(table, func(m *mountinfo.Info) bool { return strings.HasPrefix(m.Mountpoint, path+"/") })
	switch {
	case errors.Is(err, fs.ErrBusy) && inner >= 0:
		below := quote(table[inner].Mountpoint)
		return mountf("%s is in use: %s is mounted in it", quote(path), below).with("unmount that first: umount " + below)
	case euid != 0 && m != nil && !slices.Contains(strings.Split(m.VFSOptions, ","), fmt.Sprintf("user_id=%d", euid)):
		return mountf("%s is another user's mount", quote(path)).with("only root and who mounted it may unmount it")
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
