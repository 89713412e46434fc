package fs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Unmount removes the mount, wherever it has been moved to, unless it is in
// use (ErrBusy). It is no error that it is gone already. The server ends once
// the kernel has closed the connection, see Server.Wait.
func (c *Conn) Unmount() error { return c.unmount(false) }

// UnmountLazy takes the mount away from the eyes of new users. Those who have
// it in use keep it, so the server must go on until Server.Wait returns.
func (c *Conn) UnmountLazy() error { return c.unmount(true) }

func (c *Conn) unmount(lazy bool) error {
	if c.closed() {
		return nil
	}
	path, err := c.where()
	if err != nil || path == "" {
		return err
	}
	if err = Unmount(path, lazy); err == nil {
		return nil
	}
	if now, gone := c.where(); now == "" && gone == nil {
		return nil // someone was faster
	}
	return err
}

// closed reports whether the kernel has closed a connection that isn't served:
// it has no mount any more, and another may have its numbers.
func (c *Conn) closed() bool {
	if c.fd < 0 {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(c.fd)}}
	n, err := retry(func() (int, error) { return unix.Poll(fds, 0) })
	return err == nil && n == 1 && fds[0].Revents&unix.POLLERR != 0
}

// where returns the path that unmounts c and nothing else, "" if c is
// unmounted.
func (c *Conn) where() (string, error) {
	t, err := ReadTable()
	if err != nil {
		return "", err
	}
	m := t.byID(c.id)
	if m == nil || Device(m) != c.dev {
		return "", nil // the id may be another's by now
	}
	if x := t.Hiding(m); x != nil {
		return "", fmt.Errorf("unmount %s: %w: %s on %s hides it", m.Mountpoint, ErrBusy, x.Source, x.Mountpoint)
	}
	return m.Mountpoint, nil
}

// Unmount takes away what is mounted on dir, which must be free of symbolic
// links, whoever serves it; with lazy, also what is in use, as UnmountLazy
// does. Without, ErrBusy says that it is.
func Unmount(dir string, lazy bool) error {
	err := umount(dir, lazy)
	if errors.Is(err, unix.EBUSY) {
		err = ErrBusy
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// umount is umount2(2), or fusermount3 where that isn't permitted.
func umount(path string, lazy bool) error {
	flags, options := unix.UMOUNT_NOFOLLOW, "-u"
	if lazy {
		flags, options = flags|unix.MNT_DETACH, "-uz"
	}
	err := unix.Unmount(path, flags)
	if errors.Is(err, iofs.ErrPermission) && os.Geteuid() != 0 {
		return fusermount(nil, options, "--", path)
	}
	return os.NewSyscallError("umount2", err)
}
