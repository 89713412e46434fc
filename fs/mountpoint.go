package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A mountpoint is a directory to mount on, held by a descriptor: it stays the
// same directory whatever becomes of its name.
type mountpoint struct {
	fd   int    // O_PATH
	id   int    // of the mount it lies in, or is the root of
	path string // its name now, absolute, free of symbolic links
}

// openMountpoint opens dir and looks whether it is fit to be mounted on.
// The last component may not be a symbolic link.
func openMountpoint(dir string) (*mountpoint, error) {
	p, err := lookMountpoint(dir)
	if err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func lookMountpoint(dir string) (*mountpoint, error) {
	name := strings.TrimRight(dir, "/") // "link/" would follow the link
	if name == "" && dir != "" {
		name = "/"
	}
	fd, err := retry(func() (int, error) {
		return unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, openError(name, err)
	}
	p := &mountpoint{fd: fd}
	if p.path, err = os.Readlink(p.magic()); err == nil {
		p.id, err = mountID(fd)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *mountpoint) close() { unix.Close(p.fd) }

// magic is a name for the directory that no rename changes.
func (p *mountpoint) magic() string { return fmt.Sprintf("/proc/self/fd/%d", p.fd) }

// check refuses a place at which something is mounted already.
func (p *mountpoint) check() error {
	t, err := ReadTable()
	if err != nil {
		return err
	}
	m := t.byID(p.id)
	switch {
	case m == nil || m.Mountpoint != p.path:
		return nil // p lies within its mount
	case IsTrigger(m):
		return nil
	case isFUSE(m) && dead(p.fd):
		return fmt.Errorf("%s: %w (%s)", p.path, ErrDead, m.Source)
	}
	return fmt.Errorf("%s: %w (%s, %s)", p.path, ErrMounted, m.Source, m.FSType)
}

// openError says what is wrong with a mountpoint that could not be opened.
func openError(dir string, err error) error {
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return fmt.Errorf("%s: lies in %w", dir, ErrDead)
	case !errors.Is(err, unix.ENOTDIR):
		return &os.PathError{Op: "mountpoint", Path: dir, Err: err}
	}
	if target, err := os.Readlink(dir); err == nil {
		return fmt.Errorf("%s: %w but a symbolic link to %s", dir, ErrNotDir, target)
	}
	return fmt.Errorf("%s: %w", dir, ErrNotDir)
}

// mountID is the id of the mount that fd lies in. What other calls would have
// to ask the file system for, /proc tells without.
func mountID(fd int) (int, error) {
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(info) {
		if v, ok := bytes.CutPrefix(line, []byte("mnt_id:")); ok {
			return strconv.Atoi(string(bytes.TrimSpace(v)))
		}
	}
	return 0, errors.New("/proc/self/fdinfo: no mnt_id")
}

// dead reports whether the server of the FUSE mount whose root fd is has gone.
// A server that hangs is not dead, and must not make us hang: it is given a
// few seconds, and then taken for alive. (The goroutine stays until the server
// answers or dies.)
func dead(fd int) bool {
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	result := make(chan error, 1)
	go func() {
		_, err := retry(func() (int, error) {
			// The attributes of a dead mount's root are still in the
			// kernel's cache. FORCE_SYNC has it ask the server.
			var st unix.Statx_t
			return 0, unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st)
		})
		unix.Close(fd) // first: it keeps the mount busy
		result <- err
	}()
	patience := time.NewTimer(2 * time.Second)
	defer patience.Stop()
	select {
	case err := <-result:
		return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED)
	case <-patience.C:
		return false
	}
}

// retry calls f until a signal doesn't interrupt it.
func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}
