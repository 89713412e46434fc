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
func (c *Conn) Unmount() error { return c.unmount(0) }

// UnmountLazy takes the mount away from the eyes of new users. Those who have
// it in use keep it, so the server must go on until Server.Wait returns.
func (c *Conn) UnmountLazy() error { return c.unmount(unix.MNT_DETACH) }

func (c *Conn) unmount(flags int) error {
	path, err := c.where()
	if err != nil || path == "" {
		return err
	}
	err = umount(path, flags)
	if err == nil {
		return nil
	}
	if now, _ := c.where(); now == "" {
		return nil // someone was faster
	}
	if errors.Is(err, unix.EBUSY) {
		err = ErrBusy
	}
	return fmt.Errorf("unmount %s: %w", path, err)
}

// where returns the path that unmounts c and nothing else, "" if c is
// unmounted.
func (c *Conn) where() (string, error) {
	t, err := readTable()
	if err != nil {
		return "", err
	}
	m := t.byID(c.id)
	if m == nil || device(m) != c.dev {
		return "", nil // the id may be another's by now
	}
	visible, err := mountAt(m.Mountpoint)
	if err != nil || visible != c.id {
		return "", fmt.Errorf("unmount %s: %w: another mount hides it", m.Mountpoint, ErrBusy)
	}
	return m.Mountpoint, nil
}

// mountAt returns the id of the mount that a path leads to. It opens nothing
// but a reference, which doesn't ask the file system.
func mountAt(path string) (int, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return mountID(fd)
}

// detach takes a mount that isn't necessarily ours away from path.
func detach(path string) error { return umount(path, unix.MNT_DETACH) }

// umount is umount2(2), or fusermount3 where that isn't permitted.
func umount(path string, flags int) error {
	err := unix.Unmount(path, flags|unix.UMOUNT_NOFOLLOW)
	if !errors.Is(err, iofs.ErrPermission) || os.Geteuid() == 0 {
		return os.NewSyscallError("umount2", err)
	}
	if flags&unix.MNT_DETACH != 0 {
		return fusermount(nil, "-u", "-z", "--", path)
	}
	return fusermount(nil, "-u", "--", path)
}
