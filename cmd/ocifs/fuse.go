package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

// checkFUSE finds out, before anything is fetched, whether this process could
// mount at all.
func checkFUSE() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		err := mountf("%w: %w", fs.ErrNoFUSE, err)
		if os.Geteuid() != 0 && errors.Is(err, os.ErrPermission) {
			return err.with("let users have it, as root: chmod 666 /dev/fuse", lookInside)
		}
		return err
	}
	f.Close()
	if mayMount() {
		return nil
	}
	if os.Geteuid() == 0 {
		return mountf("%w: the capability CAP_SYS_ADMIN is missing", fs.ErrNoFUSE).
			with("give it to the container: --cap-add SYS_ADMIN --device /dev/fuse", lookInside)
	}
	if _, err := fs.Fusermount(); err != nil {
		return mountf("%w: fusermount3 is not installed", fs.ErrNoFUSE).
			with("users other than root need it: install the package fuse3", lookInside)
	}
	return nil
}

// lookInside is a hint for who cannot mount.
const lookInside = "ocifs ls, cat and tree look into an image without FUSE"

// mayMount says whether the process has CAP_SYS_ADMIN, or whether it is not
// known to have not.
func mayMount() bool {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData // capabilities 0 to 31, and 32 to 63
	if err := unix.Capget(&h, &d[0]); err != nil {
		return true
	}
	return d[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// mountFailed is an error of package fs: whatever it is, the exit code is
// that of mounts.
func mountFailed(err error) error {
	return &problem{err: err, code: exitMount}
}
