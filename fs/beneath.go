package fs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Cover mounts a file system of TypeBeneath, with a source that begins as
// SourceBeneath does, and attributes as of fsmount(2), but attaches it nowhere: it
// returns its descriptor. It reads from the files of another file system, which the
// calling thread has as its working directory, and which a server in this process
// answers for.
type Cover func(attributes int) (fd int, err error)

// SourceBeneath is what mount tables are to show as the device of a mount over
// another: o.Source behind "ocifs:".
func SourceBeneath(o Options) string { return beneathPrefix + sourceName(o) }

// MountBeneath serves src on a mount that is in no mount table and that nobody can
// look into, and has cover mount what reads from there on dir. For all that
// follows, the Server's mount is that one: Unmount takes it away, and once its last
// user is gone the kernel closes the connection, as nothing else holds what is
// beneath.
//
// This takes root, and Linux 5.2. If it fails, nothing stays mounted.
func MountBeneath(dir string, src Source, o Options, cover Cover) (*Server, error) {
	p, err := openMountpoint(dir)
	if err != nil {
		return nil, err
	}
	defer p.close()
	c, root, err := attachBeneath(o)
	if err != nil {
		return nil, fmt.Errorf("mount beneath %s: %w", p.path, err)
	}
	s, err := Serve(c, src, o)
	if err != nil {
		unix.Close(root)
		return nil, err
	}
	top := -1
	err = within(root, func() (err error) {
		top, err = cover(attributes(o))
		return err
	})
	unix.Close(root) // what has been mounted holds it now
	if err == nil {
		err = c.attach(top, p)
		unix.Close(top)
	}
	if err != nil {
		s.Wait()
		return nil, fmt.Errorf("mount on %s: %w", p.path, err)
	}
	return s, nil
}

// attributes are mountFlags for fsmount(2).
func attributes(o Options) (a int) {
	flags := mountFlags(o)
	for flag, attribute := range map[uintptr]int{
		unix.MS_RDONLY: unix.MOUNT_ATTR_RDONLY, unix.MS_NOSUID: unix.MOUNT_ATTR_NOSUID,
		unix.MS_NODEV: unix.MOUNT_ATTR_NODEV, unix.MS_NOEXEC: unix.MOUNT_ATTR_NOEXEC,
	} {
		if flags&flag != 0 {
			a |= attribute
		}
	}
	return a
}

// attach puts a mount that is attached nowhere on p, and makes it the one that is
// c's. It learns which one that is before anybody can unmount it.
func (c *Conn) attach(top int, p *mountpoint) (err error) {
	if c.id, err = mountID(top); err != nil {
		return err
	}
	if c.dev, err = deviceOf(top); err != nil {
		return err
	}
	const here = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	return os.NewSyscallError("move_mount", unix.MoveMount(top, "", p.fd, "", here))
}

// attachBeneath is Attach for a mount without a place. It lives as long as its
// root directory, which the caller must close, or a file in it is open.
func attachBeneath(o Options) (c *Conn, root int, err error) {
	fd, err := openDevice()
	if err != nil {
		return nil, -1, err
	}
	root, err = detachedMount(fd, o)
	if err == nil {
		c = &Conn{fd: fd}
		if c.dev, err = deviceOf(root); err == nil {
			return c, root, nil
		}
		unix.Close(root)
	}
	unix.Close(fd)
	if errors.Is(err, iofs.ErrPermission) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOSYS) {
		err = fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	return nil, -1, err
}

// detachedMount mounts the connection fd.
func detachedMount(fd int, o Options) (int, error) {
	ctx, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(ctx)
	for _, kv := range [][2]string{
		{"source", subtype}, {"fd", strconv.Itoa(fd)}, {"rootmode", strconv.FormatInt(unix.S_IFDIR, 8)},
		{"user_id", strconv.Itoa(os.Geteuid())}, {"group_id", strconv.Itoa(os.Getegid())},
		{"max_read", strconv.Itoa(maxRead)},
	} {
		if err := unix.FsconfigSetString(ctx, kv[0], kv[1]); err != nil {
			return -1, os.NewSyscallError("fsconfig "+kv[0], err)
		}
	}
	if err := errors.Join(unix.FsconfigSetFlag(ctx, "default_permissions"), unix.FsconfigSetFlag(ctx, "ro")); err != nil {
		return -1, os.NewSyscallError("fsconfig", err)
	}
	if err := unix.FsconfigCreate(ctx); err != nil {
		return -1, os.NewSyscallError("fsconfig", err)
	}
	root, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	return root, os.NewSyscallError("fsmount", err)
}

// deviceOf is what Device tells of a mount that is in no table. It doesn't ask
// the server.
func deviceOf(root int) (string, error) {
	var st unix.Statx_t
	if err := unix.Statx(root, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, 0, &st); err != nil {
		return "", os.NewSyscallError("statx", err)
	}
	return fmt.Sprintf("%d:%d", st.Dev_major, st.Dev_minor), nil
}

// within calls f in a thread whose working directory is dir.
func within(dir int, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here, as it fits nothing else
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return os.NewSyscallError("unshare", err)
			}
			if err := unix.Fchdir(dir); err != nil {
				return os.NewSyscallError("fchdir", err)
			}
			defer unix.Chdir("/") // that nothing holds dir, whenever the thread ends
			return f()
		}()
	}()
	return <-done
}
