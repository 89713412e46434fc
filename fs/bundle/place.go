package bundle

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A place is a root directory in which names are looked up as a process does
// that has it as root: no symbolic link, whatever it says, leads out.
type place struct {
	fd   int
	path string // absolute, free of symbolic links
}

func openPlace(root string) (*place, error) {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: root, Err: err}
	}
	p := &place{fd: fd}
	if p.path, err = os.Readlink(magic(fd)); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *place) close() { unix.Close(p.fd) }

// make makes the directory, or file, at name if it isn't there, and what of
// the way to it is missing. It returns its name without symbolic links.
func (p *place) make(name string, file bool) (string, error) {
	real, err := p.find(name)
	if !errors.Is(err, unix.ENOENT) || name == "/" {
		return real, err
	}
	parent, err := p.make(path.Dir(name), false)
	if err != nil {
		return "", err
	}
	dir, err := p.open(parent)
	if err != nil {
		return "", err
	}
	defer unix.Close(dir)
	if file {
		err = unix.Mknodat(dir, path.Base(name), unix.S_IFREG|0o644, 0)
	} else {
		err = unix.Mkdirat(dir, path.Base(name), 0o755)
	}
	if err != nil { // also for a symbolic link that leads nowhere
		return "", &os.PathError{Op: "make", Path: name, Err: err}
	}
	return p.find(name)
}

// find is name without symbolic links.
func (p *place) find(name string) (string, error) {
	fd, err := p.open(name)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	real, err := os.Readlink(magic(fd))
	if err != nil {
		return "", err
	}
	inside, ok := strings.CutPrefix(real, strings.TrimSuffix(p.path, "/"))
	if !ok || inside != "" && inside[0] != '/' {
		return "", fmt.Errorf("%s: %s is not below %s", name, real, p.path)
	}
	return filepath.Join("/", inside), nil
}

func (p *place) open(name string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(p.fd, name, &how)
		if err == unix.EINTR || err == unix.EAGAIN { // a rename elsewhere, while ".." was followed
			continue
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return fd, nil
	}
}

// magic is a name for what fd is.
func magic(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
