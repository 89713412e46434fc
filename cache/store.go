package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// version names the layout; a store made by another one lies beside ours.
const version = "v1"

// Options for Open. The zero value is useful.
type Options struct {
	// Limit bounds the bytes on disk, as allocated blocks; 0 is no bound.
	// A process holds to its own: it keeps nothing more, and evicts, while
	// the store takes that much, whoever wrote it.
	Limit int64

	// Existing has Open create nothing: where no cache is, the error is an
	// fs.ErrNotExist.
	Existing bool
}

// A Store is a cache directory. It is safe for concurrent use, in one process
// and by several.
type Store struct {
	root, objects, spaces, pins, locks, temp dir

	used    sync.Map // of Item, see Used
	tally   tally
	trouble atomic.Pointer[error] // see Trouble

	unfilled atomic.Pointer[error] // see Unfilled

	budget  budget
	short   atomic.Int64
	spare   spare
	scratch sync.Pool // of *scratch

	stop    context.CancelFunc
	stopped context.Context // ends with Close
	tasks   sync.WaitGroup  // the evictor
}

// Open opens the cache in directory path, and creates it if need be and allowed. It
// removes what crashed processes left half made. It fails if the directory
// is a symbolic link, belongs to another user or can be written to by others.
func Open(path string, o Options) (*Store, error) {
	if o.Limit < 0 {
		return nil, fmt.Errorf("cache %s: negative limit", path)
	}
	s := &Store{}
	s.stopped, s.stop = context.WithCancel(context.Background())
	s.scratch.New = func() any { return new(scratch) }
	s.budget.init(o.Limit)
	if err := s.open(path, o.Existing); err != nil {
		s.Close()
		return nil, fmt.Errorf("cache %s: %w", path, err)
	}
	s.sweep()
	if o.Limit > 0 {
		s.look()
	}
	return s, nil
}

func (s *Store) open(path string, existing bool) error {
	within := dir.make
	if existing {
		within = dir.sub
	}
	top, err := openDir(path)
	if errors.Is(err, fs.ErrNotExist) && !existing {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
		top, err = openDir(path)
	}
	if err != nil {
		return notDirectory(err)
	}
	defer top.Close()
	if err := top.private(); err != nil {
		return err
	}
	if s.root, err = within(top, version); err != nil {
		return notDirectory(err)
	}
	if err := s.root.private(); err != nil {
		return err
	}
	for _, d := range []struct {
		to   *dir
		name string
	}{{&s.objects, "objects"}, {&s.spaces, "spaces"}, {&s.pins, "pins"}, {&s.locks, "locks"}, {&s.temp, "tmp"}} {
		if *d.to, err = within(s.root, d.name); err != nil {
			return notDirectory(err)
		}
	}
	return nil
}

// Trouble says why the latest chunk that this Store wanted to write could not be
// written: the disk is full, can't be written to, or has lost the files. It is
// nil as long as all is well again, or has been; that Options.Limit left no room
// is no trouble.
func (s *Store) Trouble() error {
	if err := s.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// fared notes how the latest write went.
func (s *Store) fared(err error) {
	if err == nil {
		if s.trouble.Load() != nil { // else, there is no need to write to what all read
			s.trouble.Store(nil)
		}
		return
	}
	s.trouble.Store(&err)
}

// Short returns the size of the spaces that this Store's Builders could keep no
// data of, because the disk was full.
func (s *Store) Short() int64 { return s.short.Load() }

// notDirectory says what ENOTDIR and ELOOP mean when opening a directory.
func notDirectory(err error) error {
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("is a symbolic link or not a directory: %w", err)
	}
	return err
}

// Close waits for the store's goroutines and lets go of the directory. Close
// spaces and builders first.
func (s *Store) Close() error {
	s.stop()
	s.tasks.Wait()
	for _, d := range []dir{s.root, s.objects, s.spaces, s.pins, s.locks, s.temp} {
		if d.File != nil {
			d.Close()
		}
	}
	return nil
}

// checkKey keeps keys to what is a plain file name everywhere:
// [a-zA-Z0-9._:+-]{1,200}, but not "." or "..".
func checkKey(key string) error {
	ok := len(key) >= 1 && len(key) <= 200 && key != "." && key != ".."
	for i := 0; ok && i < len(key); i++ {
		c := key[i]
		ok = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == '.' || c == '_' || c == ':' || c == '+' || c == '-'
	}
	if !ok {
		return fmt.Errorf("cache: key %.210q: %w", key, fs.ErrInvalid)
	}
	return nil
}
