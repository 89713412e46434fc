package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A Kind is one of the kinds of things a store keeps.
type Kind string

// The kinds.
const (
	KindObject Kind = "object"
	KindSpace  Kind = "space"
	KindPin    Kind = "pin" // only Verify speaks of these
)

// ErrInUse is the error of removing a space that is open somewhere.
var ErrInUse = errors.New("in use")

// An Entry describes an object or a space.
type Entry struct {
	Kind  Kind
	Key   string
	Bytes int64     // on disk, as allocated blocks
	Used  time.Time // last use: to the minute for a space, to the hour for an object
	InUse bool      // for a space: some process has it open

	Pinned bool // some Pin keeps it
}

// Entries lists what is in the store, objects first, by key. What others
// remove meanwhile may be in it or not.
func (s *Store) Entries() ([]Entry, error) {
	var all []Entry
	pinned := s.pinned()
	for _, x := range []struct {
		kind Kind
		in   dir
	}{{KindObject, s.objects}, {KindSpace, s.spaces}} {
		names, err := x.in.names()
		if err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
		slices.Sort(names)
		for _, n := range names {
			if e, ok := s.entry(x.kind, n); ok {
				e.Pinned = pinned[Item{x.kind, n}]
				all = append(all, e)
			}
		}
	}
	return all, nil
}

func (s *Store) entry(kind Kind, key string) (e Entry, ok bool) {
	if checkKey(key) != nil {
		return e, false // nothing of ours
	}
	e = Entry{Kind: kind, Key: key}
	var st unix.Stat_t
	var err error
	if kind == KindObject {
		st, err = s.objects.stat(key)
		e.Bytes = st.Blocks * 512
	} else {
		st, err = s.spaces.stat(key + "/marks")
		e.Bytes, e.InUse = s.spaces.allocated(key), s.inUse(key)
	}
	if errors.Is(err, fs.ErrNotExist) && e.Bytes == 0 {
		return e, false
	}
	e.Used = time.Unix(st.Mtim.Unix())
	return e, true
}

// inUse reports whether somebody has the space open.
func (s *Store) inUse(key string) bool {
	d, err := s.spaces.sub(key)
	if err != nil {
		return false
	}
	defer d.Close()
	return !flock(d.File, unix.LOCK_EX)
}

// Usage is the bytes that the store takes on disk, as allocated blocks, with
// what is being made.
func (s *Store) Usage() (n int64) {
	seen := make(map[uint64]bool)
	// tmp twice: spaces move to it, and from it, as we look.
	for _, d := range []dir{s.temp, s.objects, s.spaces, s.pins, s.temp} {
		names, _ := d.names()
		for _, name := range names {
			if st, err := d.stat(name); err == nil && !seen[st.Ino] {
				seen[st.Ino] = true
				n += d.allocated(name)
			}
		}
	}
	return n
}

// allocated is the bytes that a file takes on disk, or a directory of files
// with all in it.
func (d dir) allocated(name string) int64 {
	st, err := d.stat(name)
	if err != nil {
		return 0
	}
	n := st.Blocks * 512
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return n
	}
	sub, err := d.sub(name)
	if err != nil {
		return n
	}
	defer sub.Close()
	names, _ := sub.names()
	for _, f := range names {
		if st, err := sub.stat(f); err == nil {
			n += st.Blocks * 512
		}
	}
	return n
}

// Remove removes an object or a space, pinned or not. The error is fs.ErrNotExist if there
// is none, ErrInUse if a process has the space open.
func (s *Store) Remove(kind Kind, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	var err error
	switch kind {
	case KindObject:
		err = s.objects.remove(key)
	case KindSpace:
		err = s.removeSpace(key)
	default:
		err = fs.ErrInvalid
	}
	if err != nil {
		return fmt.Errorf("cache: remove %s %s: %w", kind, key, err)
	}
	return nil
}

func (s *Store) removeSpace(key string) error {
	var p pair
	var err error
	if p.dir, err = s.spaces.sub(key); err != nil {
		return err
	}
	defer p.close()
	switch err := p.lock(s.stopped, s.spaces, key, unix.LOCK_EX, 0); err {
	case nil:
		return s.destroy(key)
	case errLocked:
		return ErrInUse
	default:
		return fs.ErrNotExist
	}
}

// destroy removes a space that the caller has locked exclusively.
func (s *Store) destroy(key string) error {
	t, err := s.banish(s.spaces, key)
	if err != nil {
		return err
	}
	return s.temp.removeAll(t)
}
