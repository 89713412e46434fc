package main

import (
	"errors"
	"os"
	"slices"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// An undo is what has to be taken back, the last thing first.
type undo struct{ steps []func() error }

func (u *undo) add(step func() error) { u.steps = append(u.steps, step) }

// all takes everything back, also after errors, and forgets it.
func (u *undo) all() error {
	var errs []error
	for _, step := range slices.Backward(u.steps) {
		errs = append(errs, step())
	}
	u.steps = nil
	return errors.Join(errs...)
}

// unmountBelow detaches every mount on or below dir, the last one first. Loop
// devices behind them go with them.
func unmountBelow(dir string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range slices.Backward(mounts) {
		if err := unix.Unmount(m.Mountpoint, unix.UMOUNT_NOFOLLOW); err == unix.EBUSY {
			errs = append(errs, unix.Unmount(m.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW))
		} else if err != nil && err != unix.EINVAL {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// removeAll removes a directory, once nothing is mounted in it any more: what
// is mounted is never what is removed.
func removeAll(dir string) error {
	if err := unmountBelow(dir); err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return err
	}
	if len(mounts) > 0 {
		return errors.New(mounts[0].Mountpoint + " is still mounted: nothing is removed")
	}
	return os.RemoveAll(dir)
}
