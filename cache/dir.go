package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A dir is an open directory. Everything in the store is reached through
// one, name by name, and no symbolic link is ever followed.
type dir struct{ *os.File }

// openDir opens the directory at path, by name, not through a symbolic link.
func openDir(path string) (dir, error) {
	return dirAt(unix.AT_FDCWD, filepath.Clean(path))
}

func dirAt(at int, name string) (dir, error) {
	f, err := openAt(at, name, unix.O_RDONLY|unix.O_DIRECTORY)
	return dir{f}, err
}

func openAt(at int, name string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Openat(at, name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
		switch err {
		case nil:
			if flags&unix.O_NONBLOCK != 0 {
				unix.SetNonblock(fd, false) // it was for open alone
			}
			return os.NewFile(uintptr(fd), name), nil
		case unix.EINTR:
		default:
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

func (d dir) fd() int { return int(d.Fd()) }

// open opens a regular file. Flags are those of open(2).
func (d dir) open(name string, flags int) (*os.File, error) {
	// O_NONBLOCK: a FIFO planted here must not hang us.
	f, err := openAt(d.fd(), name, flags|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: errNotFile}
	}
	return f, nil
}

// sub opens a directory within d; "." gives d again, with a descriptor (and
// locks) of its own.
func (d dir) sub(name string) (dir, error) { return dirAt(d.fd(), name) }

// errNotFile: what is there in a file's place isn't one.
var errNotFile = errors.New("not a regular file")

func (d dir) mkdir(name string) error {
	return pathError("mkdir", name, unix.Mkdirat(d.fd(), name, 0o700))
}

// make opens a directory within d, and creates it if need be.
func (d dir) make(name string) (dir, error) {
	sub, err := d.sub(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return sub, err
	}
	if err := d.mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return dir{}, err
	}
	return d.sub(name)
}

// move renames a file, in place of any other, or a directory, to where there
// is none (but an empty one): else the error is fs.ErrExist.
func (d dir) move(name string, to dir, newName string) error {
	return pathError("rename", name, unix.Renameat(d.fd(), name, to.fd(), newName))
}

func (d dir) remove(name string) error {
	return pathError("remove", name, unix.Unlinkat(d.fd(), name, 0))
}

// removeAll removes a file, or a directory and all in it.
func (d dir) removeAll(name string) error {
	err := unix.Unlinkat(d.fd(), name, 0)
	if err != unix.EISDIR {
		return pathError("remove", name, err)
	}
	sub, err := d.sub(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	names, err := sub.names()
	for _, n := range names {
		err = errors.Join(err, sub.removeAll(n))
	}
	if err != nil {
		return err
	}
	return pathError("remove", name, unix.Unlinkat(d.fd(), name, unix.AT_REMOVEDIR))
}

// names lists the directory, in no order.
func (d dir) names() ([]string, error) {
	list, err := d.sub(".") // a position of its own
	if err != nil {
		return nil, err
	}
	defer list.Close()
	return list.Readdirnames(-1)
}

// stat describes a name in d, a symbolic link as such.
func (d dir) stat(name string) (st unix.Stat_t, err error) {
	err = unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, pathError("stat", name, err)
}

// touch sets the modification time of a name in d.
func (d dir) touch(name string, t time.Time) {
	ts := unix.NsecToTimespec(t.UnixNano())
	unix.UtimesNanoAt(d.fd(), name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

// holds reports whether name in d is still the file that f is.
func (d dir) holds(name string, f *os.File) bool {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return false
	}
	at, err := d.stat(name)
	return err == nil && at.Ino == st.Ino && at.Dev == st.Dev
}

// private checks that only the effective user can change d.
func (d dir) private() error {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd(), &st); err != nil {
		return pathError("stat", d.Name(), err)
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: belongs to user %d, not to %d", d.Name(), st.Uid, os.Geteuid())
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("%s: can be written to by others (mode %04o)", d.Name(), st.Mode&0o7777)
	}
	return nil
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
