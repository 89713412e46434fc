package export

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// Attributes are set in the one order that keeps them: the owner takes away
// set-user-ID bits and capabilities, an access list changes permissions, and
// everything the time.

// permissions are those that n may have here: a file that runs as its owner
// must belong to that one.
func (c *Copier) permissions(a tree.Attr) uint32 {
	mode := a.Mode & index.ModePerm
	if !c.root {
		mode &^= 0o6000
	}
	return mode
}

// fileAttrs gives an open file or directory all but its time.
func (c *Copier) fileAttrs(f *os.File, n tree.Node) error {
	a := c.src.Tree().Attr(n)
	if c.root {
		if err := f.Chown(int(a.UID), int(a.GID)); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(int(f.Fd()), c.permissions(a)); err != nil {
		return &fs.PathError{Op: "chmod", Path: f.Name(), Err: err}
	}
	return c.xattrs(n, func(name string, value []byte) error { return unix.Fsetxattr(int(f.Fd()), name, value, 0) })
}

// dirAttrs gives a directory everything, after all has been put into it.
func (c *Copier) dirAttrs(p *place, n tree.Node) error {
	err := c.fileAttrs(p.dir, n)
	if there(err) {
		err = cmp.Or(c.times(p, ".", c.src.Tree().Attr(n)), err)
	}
	return sorted(err)
}

// nameAttrs gives what can't be opened everything: a symbolic link, a device or
// a FIFO that was just made.
func (c *Copier) nameAttrs(p *place, name string, n tree.Node) error {
	a := c.src.Tree().Attr(n)
	if c.root {
		if err := p.root.Lchown(name, int(a.UID), int(a.GID)); err != nil {
			return err
		}
	}
	// The directory as its descriptor names it: of this path only the last part
	// is a name in it, and that isn't followed.
	at := fmt.Sprintf("/proc/self/fd/%d/%s", p.dir.Fd(), name)
	if a.Mode&index.ModeType != index.ModeSymlink {
		if err := unix.Fchmodat(int(p.dir.Fd()), name, c.permissions(a), 0); err != nil {
			return &fs.PathError{Op: "chmod", Path: name, Err: err}
		}
	}
	err := c.xattrs(n, func(name string, value []byte) error { return unix.Lsetxattr(at, name, value, 0) })
	if !there(err) {
		return err
	}
	return cmp.Or(c.times(p, name, a), err)
}

// xattrs sets extended attributes. Who isn't root may not set all, and not all
// file systems have them: that is no failure of others than root. Of several
// that fail, the first is told.
func (c *Copier) xattrs(n tree.Node, set func(name string, value []byte) error) error {
	var failed error
	for _, x := range c.src.Tree().Xattrs(n) {
		err := set(x.Name, []byte(x.Value))
		if err == nil || !c.root && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP)) {
			continue
		}
		failed = cmp.Or[error](failed, &lacking{fmt.Errorf("extended attribute %q: %w", x.Name, err)})
	}
	return failed
}

// A lacking is the problem of a file that is there, and lacks an attribute.
type lacking struct{ err error }

func (l *lacking) Error() string { return l.err.Error() }
func (l *lacking) Unwrap() error { return l.err }

// there says whether a file with this error is there.
func there(err error) bool { return err == nil || errors.As(err, new(*lacking)) }

// times sets the modification time, and the time of access to the same.
func (c *Copier) times(p *place, name string, a tree.Attr) error {
	at := unix.Timespec{Sec: a.Sec, Nsec: int64(a.Nsec)}
	if err := unix.UtimesNanoAt(int(p.dir.Fd()), name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "utimensat", Path: name, Err: err}
	}
	return nil
}

// sorted tells what concerns one file from what concerns all: a full disk, an
// interrupt, content that can't be read.
func sorted(err error) error {
	if errors.As(err, new(readError)) {
		return err
	}
	for _, all := range []error{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO, unix.EMFILE, unix.ENFILE} {
		if errors.Is(err, all) {
			return err
		}
	}
	var path *fs.PathError
	var link *os.LinkError
	var sys unix.Errno
	if errors.As(err, &path) || errors.As(err, &link) || errors.As(err, &sys) {
		return &problem{err}
	}
	return err
}
