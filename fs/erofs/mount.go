package erofs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

// ErrUnavailable says that this kernel has no EROFS of files, or lets this
// process mount none.
var ErrUnavailable = errors.New("cannot mount EROFS")

// Mount mounts src on dir, as fs.Mount does, and returns the server of its
// contents. The image becomes a file without a name in the directory scratch,
// which has to be on a file system of a disk: not a tmpfs, not an overlay.
//
// Mount tables show o.Source as the device, behind "ocifs:".
// AllowOther is as if set, Squash is not heeded. Inode numbers are those of the
// layout, whatever o.Inode says.
//
// The error is an ErrUnfit, an ErrUnavailable, or one of fs.Mount; nothing stays
// mounted then.
func Mount(dir string, src fs.Source, o fs.Options, scratch string) (*fs.Server, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	l, err := NewLayout(src.Tree())
	if err != nil {
		return nil, err
	}
	s := newSpace(src.Tree())
	image, err := l.file(scratch, s)
	if err != nil {
		return nil, fmt.Errorf("EROFS image: %w", err)
	}
	defer unix.Close(image) // what is mounted holds it
	b, err := newBeneath(newDevice(l, src, s), image, o)
	if err != nil {
		return nil, err
	}
	o.Inode = nil // beneath, they are of no interest
	srv, err := fs.MountBeneath(dir, b, o, func(attributes int) (int, error) { return mount(b.name, attributes) })
	if errors.Is(err, unix.ENOTBLK) {
		err = fmt.Errorf("%w: either the file system of %s can't have an image, or this kernel takes none that is a file", err, scratch)
	}
	return srv, err
}

// mount mounts the image of that name, and the device beside it, attached nowhere.
func mount(name string, attributes int) (int, error) {
	ctx, err := unix.Fsopen(fs.TypeBeneath, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(ctx)
	err = errors.Join(unix.FsconfigSetString(ctx, "source", name), unix.FsconfigSetString(ctx, "device", deviceName), unix.FsconfigSetFlag(ctx, "ro"))
	if err != nil {
		return -1, os.NewSyscallError("fsconfig", err)
	}
	before := bdis()
	switch err := unix.FsconfigCreate(ctx); err {
	case nil:
	case unix.ENOTBLK, unix.ENODEV, unix.EPERM, unix.EINVAL, unix.EOPNOTSUPP:
		return -1, fmt.Errorf("%w: %w", ErrUnavailable, err)
	default:
		return -1, os.NewSyscallError("fsconfig", err)
	}
	raiseReadAhead(before)
	fd, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, attributes)
	return fd, os.NewSyscallError("fsmount", err)
}

// Available says whether this process may mount EROFS at all; nil, if it can't be
// known before it is tried. The error is an ErrUnavailable.
func Available() error {
	if ns, err := os.Readlink("/proc/self/ns/user"); err == nil && ns != "user:[4026531837]" {
		return fmt.Errorf("%w: not in a user namespace", ErrUnavailable) // PROC_USER_INIT_INO is the first one's
	}
	ctx, err := unix.Fsopen(fs.TypeBeneath, unix.FSOPEN_CLOEXEC)
	switch err {
	case nil:
		return unix.Close(ctx)
	case unix.ENODEV:
		return fmt.Errorf("%w: this kernel has no EROFS", ErrUnavailable)
	}
	return fmt.Errorf("%w: fsopen: %w", ErrUnavailable, err)
}

// file is the image in a file without a name. The descriptor is the caller's to
// close.
func (l *Layout) file(dir string, s *space) (int, error) {
	f, err := os.OpenFile(dir, os.O_RDWR|unix.O_TMPFILE, 0o400)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		if f, err = os.CreateTemp(dir, "erofs-*"); err == nil {
			err = os.Remove(f.Name())
		}
	}
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if _, err = l.write(f, s); err != nil {
		return -1, err
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, imageFD)
	return fd, os.NewSyscallError("fcntl", err)
}
