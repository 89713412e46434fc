package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"ocifs.dev/ocifs/fs"
)

// checkMountpoint refuses a mountpoint that cannot work, before anything is
// fetched, and returns its path free of symbolic links. It asks the mount
// table first: to stat a mount whose server hangs would hang, too.
func checkMountpoint(dir, cache, state string, records []record) (string, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := checkUnmounted(path, records); err != nil {
		return "", err
	}
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, syscall.ENOTCONN):
		return "", deadMount(path)
	case errors.Is(err, os.ErrNotExist):
		return "", mountf("mountpoint %s does not exist", quote(dir)).with("make it: mkdir -p " + quote(dir))
	case err != nil:
		return "", mountf("mountpoint: %w", err)
	case !fi.IsDir():
		return "", mountf("mountpoint %s is not a directory", quote(dir))
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", mountf("mountpoint: %w", err)
	}
	if err := checkUnmounted(path, records); err != nil {
		return "", err
	}
	if err := checkApart(path, cache, "cache", "--cache-dir"); err != nil {
		return "", err
	}
	return path, checkApart(path, state, "state directory", "--state-dir")
}

// isEmpty reports whether a directory is not known to have something in it.
func isEmpty(dir string) bool {
	d, err := os.Open(dir)
	if err != nil {
		return true
	}
	defer d.Close()
	names, _ := d.Readdirnames(1)
	return len(names) == 0
}

// checkUnmounted refuses a path at which something is mounted already.
func checkUnmounted(path string, records []record) error {
	table, err := fs.ReadTable()
	if err != nil {
		return err
	}
	m := table.At(path)
	switch {
	case m == nil, fs.IsTrigger(m):
		return nil
	case !fs.IsOurs(m):
		return mountf("%s: something is mounted there already (%s, %s)", quote(path), quote(m.Source), m.FSType).with("mount on a directory below it, or elsewhere")
	}
	if r := recordOfMount(records, m); r != nil && !r.running() {
		return deadMount(path)
	}
	return mountf("%s: %s is mounted there already", quote(path), quote(fs.SourceOf(m))).with("unmount it first: ocifs umount " + quote(path))
}

func deadMount(path string) error {
	return mountf("%s: a mount whose server is gone is still there", quote(path)).with("remove it: ocifs umount " + quote(path))
}

// checkApart refuses a mountpoint that holds a directory the daemon works in,
// or lies in it: the daemon would wait for itself.
func checkApart(mountpoint, dir, what, flag string) error {
	dir = resolved(dir)
	how := "choose another mountpoint, or another " + what + " with " + flag
	if within(dir, mountpoint) {
		return mountf("mountpoint %s holds the %s %s, which the mount would hide from its own server",
			quote(mountpoint), what, quote(dir)).with(how)
	}
	if within(mountpoint, dir) {
		return mountf("mountpoint %s lies in the %s %s", quote(mountpoint), what, quote(dir)).with(how)
	}
	return nil
}

// within reports whether path is dir or lies below it; both are absolute and
// clean.
func within(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// resolved is an absolute path with the symbolic links of as much of it as
// exists resolved.
func resolved(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	dir, base := filepath.Split(filepath.Clean(path))
	if dir == "" || dir == path || base == "" {
		return path
	}
	return filepath.Join(resolved(filepath.Clean(dir)), base)
}

// mountedPath is the absolute path of a mountpoint as the mount table has it.
// The mount may be dead: nothing below its parent is looked at but a symbolic
// link.
func mountedPath(dir string, table fs.Table) (string, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for range 40 { // as many links as the kernel follows
		if table.At(path) != nil {
			return path, nil
		}
		path = filepath.Join(resolved(filepath.Dir(path)), filepath.Base(path))
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", &os.PathError{Op: "readlink", Path: dir, Err: syscall.ELOOP}
}
