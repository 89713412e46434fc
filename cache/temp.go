package cache

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// tempTries is how often a new name in tmp is tried: a sweep by another
// process may take one away before it is locked.
const tempTries = 10

// tempFile makes a file in tmp, locked as long as it is open.
func (s *Store) tempFile() (f *os.File, name string, err error) {
	for range tempTries {
		name = rand.Text()
		f, err = s.temp.open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
		if err != nil {
			return nil, "", err
		}
		if flock(f, unix.LOCK_EX) && s.temp.holds(name, f) {
			return f, name, nil
		}
		f.Close()
	}
	return nil, "", errSwept
}

// tempDir makes a directory in tmp, locked as long as it is open.
func (s *Store) tempDir() (d dir, name string, err error) {
	for range tempTries {
		name = rand.Text()
		if err := s.temp.mkdir(name); err != nil {
			return dir{}, "", err
		}
		d, err = s.temp.sub(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return dir{}, "", err
		}
		if flock(d.File, unix.LOCK_EX) && s.temp.holds(name, d.File) {
			return d, name, nil
		}
		d.Close()
	}
	return dir{}, "", errSwept
}

var errSwept = errors.New("cache: temporary files are removed as they are made")

// banish moves something from one of the store's directories to tmp under a
// new name, so that it is gone at once and, if we die, swept.
func (s *Store) banish(from dir, name string) (banished string, err error) {
	banished = rand.Text()
	return banished, from.move(name, s.temp, banished)
}

// sweep removes everything in tmp whose maker is gone.
func (s *Store) sweep() {
	names, _ := s.temp.names()
	for _, n := range names {
		s.sweepName(n)
	}
}

// sweepName removes one name in tmp, unless someone holds its lock.
func (s *Store) sweepName(name string) {
	f, err := openAt(s.temp.fd(), name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err == nil {
		defer f.Close()
		if !flock(f, unix.LOCK_EX) {
			return
		}
	} else if !errors.Is(err, unix.ELOOP) { // a symbolic link is nobody's
		return
	}
	s.temp.removeAll(name)
}
