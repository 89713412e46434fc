package fs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// maxRead is the most one READ asks for: 1 MiB, 256 pages, which is what
// kernels since 4.20 grant without being told otherwise.
const maxRead = 1 << 20

// A Conn is a mount seen from its server: the kernel's requests, and the place
// to unmount. Any goroutine may unmount; only one may Serve or Close.
type Conn struct {
	fd  int    // /dev/fuse, in blocking mode; -1 once Serve has taken it
	id  int    // of the mount
	dev string // of its super block, "major:minor"
}

// Attach mounts on dir, and leaves it to Serve to answer. It does the
// mounting itself where this process may (root, also root of a user
// namespace), and through fusermount3 elsewhere.
//
// The mount is read-only and its permissions are checked by the kernel. The
// caller must give the Conn to Serve or Close it.
func Attach(dir string, o Options) (*Conn, error) {
	p, err := openMountpoint(dir)
	if err != nil {
		return nil, err
	}
	defer p.close()
	c := &Conn{}
	c.fd, err = mountDirect(p, o)
	if errors.Is(err, iofs.ErrPermission) && os.Geteuid() != 0 {
		c.fd, err = mountHelped(p, o)
	}
	if err != nil {
		return nil, fmt.Errorf("mount on %s: %w", p.path, err)
	}
	if err := c.find(p); err != nil {
		return nil, fmt.Errorf("mount on %s: %w", p.path, errors.Join(err, Unmount(p.path, true), c.Close()))
	}
	return c, nil
}

// Close gives up a connection that isn't served: what looks into the mount
// gets ENOTCONN. It doesn't unmount.
func (c *Conn) Close() error {
	fd := c.take()
	if fd < 0 {
		return nil
	}
	return unix.Close(fd)
}

// take hands the descriptor to a new owner.
func (c *Conn) take() int {
	fd := c.fd
	c.fd = -1
	return fd
}

// find learns the identity of the mount that was just made on p.
func (c *Conn) find(p *mountpoint) error {
	t, err := ReadTable()
	if err != nil {
		return err
	}
	m := t.topOn(p.id, p.path)
	if m == nil || m.FSType != Type {
		return errors.New("it is not in the mount table")
	}
	c.id, c.dev = m.ID, Device(m)
	return nil
}

// mountDirect mounts with mount(2).
func mountDirect(p *mountpoint, o Options) (int, error) {
	fd, err := openDevice()
	if err != nil {
		return -1, err
	}
	data := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,%s", fd, unix.S_IFDIR, os.Geteuid(), os.Getegid(), kernelOptions(o))
	err = unix.Mount(sourceName(o), p.magic(), Type, mountFlags(o), data)
	if err != nil {
		unix.Close(fd)
		if errors.Is(err, iofs.ErrPermission) || err == unix.ENODEV {
			return -1, fmt.Errorf("%w: mount: %w", ErrNoFUSE, err)
		}
		return -1, os.NewSyscallError("mount", err)
	}
	return fd, nil
}

func openDevice() (int, error) {
	const device = "/dev/fuse"
	fd, err := retry(func() (int, error) { return unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0) })
	switch err {
	case nil:
		return fd, nil
	case unix.ENOENT, unix.ENODEV, unix.ENXIO, unix.EACCES, unix.EPERM:
		return -1, fmt.Errorf("%w: %s: %w", ErrNoFUSE, device, err)
	}
	return -1, &os.PathError{Op: "open", Path: device, Err: err}
}

func mountFlags(o Options) uintptr {
	flags := uintptr(unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV)
	if o.Suid {
		flags &^= unix.MS_NOSUID
	}
	if o.Dev {
		flags &^= unix.MS_NODEV
	}
	if o.NoExec {
		flags |= unix.MS_NOEXEC
	}
	return flags
}

// kernelOptions are the options that the kernel's FUSE, and not mount(2) or
// fusermount3, understands.
func kernelOptions(o Options) string {
	s := fmt.Sprintf("default_permissions,max_read=%d", maxRead)
	if o.AllowOther || os.Geteuid() == 0 {
		s += ",allow_other"
	}
	return s
}

// sourceName is Options.Source as it may stand in a mount table: printable,
// and no longer than a line of one should be.
func sourceName(o Options) string {
	if o.Source == "" {
		return NoSource
	}
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, o.Source)
	const longest = 1024
	return name[:min(len(name), longest)]
}
