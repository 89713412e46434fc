package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A pair is an open space directory with its two files, which mean nothing
// without each other. So that a reader of one pair and an evictor of another
// never share a file (restored, replaced, deleted by hand), the marks file
// begins with a header that names both by inode number. Little endian:
//
//	 0  8 bytes  pairMagic
//	 8  u64      inode number of data
//	16  u64      inode number of marks
//	24  u64      the tiling, see tiling
type pair struct {
	dir         dir // locked: shared, or exclusive by the one who makes it
	data, marks *os.File
	tiling      tiling
}

const pairMagic = "ocifsmk1"

var (
	// errTorn: the two files of a space do not belong together.
	errTorn = errors.New("space is torn")
	// errMoved: the space was removed while it was opened.
	errMoved = errors.New("space was removed")
	// errLocked: somebody else holds the space.
	errLocked = errors.New("space is locked")
)

const (
	lockWait  = 10 * time.Second       // for a space that is being emptied
	mendWait  = 100 * time.Millisecond // for others who just try to open a torn space
	openTries = 20
)

// openPair opens a space and locks its directory. The error is errTorn,
// errMoved or errLocked, fs.ErrNotExist if there is none, or another.
func (s *Store) openPair(key string, kind int, wait time.Duration) (p pair, err error) {
	if p.dir, err = s.spaces.sub(key); err != nil {
		return pair{}, err
	}
	if err = p.lock(s, key, kind, wait); err == nil {
		err = p.open(0)
	}
	if err != nil {
		p.close()
		return pair{}, err
	}
	return p, nil
}

func (p *pair) lock(s *Store, key string, kind int, wait time.Duration) error {
	if !poll(s.stopped, time.Millisecond, wait, func() bool { return flock(p.dir.File, kind) }) {
		return errLocked
	}
	if !s.spaces.holds(key, p.dir.File) {
		return errMoved
	}
	return nil
}

// open opens the two files, for reading only if the store is read-only, and
// checks that they belong together. Flags may be O_CREAT.
func (p *pair) open(flags int) error {
	for _, f := range []struct {
		to   **os.File
		name string
	}{{&p.data, "data"}, {&p.marks, "marks"}} {
		var err error
		*f.to, err = p.dir.open(f.name, unix.O_RDWR|flags)
		if isReadOnly(err) {
			*f.to, err = p.dir.open(f.name, unix.O_RDONLY)
		}
		if err != nil && flags == 0 && notFile(err) {
			return errTorn
		}
		if err != nil {
			return err
		}
	}
	var found [markSize]byte
	p.marks.ReadAt(found[:], 0)
	p.tiling = tiling(binary.LittleEndian.Uint64(found[24:]))
	header, err := p.header()
	if err == nil && found != header {
		if string(found[:len(pairMagic)]) != pairMagic {
			p.tiling = 0 // nor is there a record to be trusted
		}
		err = errTorn
	}
	return err
}

// notFile reports whether an error of open says that there is no such file, or
// something else in its place.
func notFile(err error) bool {
	for _, e := range []error{fs.ErrNotExist, errNotFile, unix.ELOOP, unix.EISDIR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func isReadOnly(err error) bool {
	return errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
}

// header is what the marks file should begin with.
func (p *pair) header() (b [markSize]byte, err error) {
	copy(b[:], pairMagic)
	for i, f := range []*os.File{p.data, p.marks} {
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			return b, err
		}
		binary.LittleEndian.PutUint64(b[8+8*i:], st.Ino)
	}
	binary.LittleEndian.PutUint64(b[24:], uint64(p.tiling))
	return b, nil
}

// join writes the header: from now on the files belong together.
func (p *pair) join() error {
	h, err := p.header()
	if err != nil {
		return err
	}
	_, err = p.marks.WriteAt(h[:], 0)
	return err
}

func (p *pair) close() {
	for _, f := range []*os.File{p.data, p.marks, p.dir.File} {
		if f != nil {
			f.Close()
		}
	}
	*p = pair{}
}

// newPair makes an empty space in tmp, locked exclusively.
func (s *Store) newPair(t tiling) (p pair, name string, err error) {
	if p.dir, name, err = s.tempDir(); err != nil {
		return pair{}, "", err
	}
	if err = p.open(unix.O_CREAT); err == errTorn {
		p.tiling = t
		err = p.join()
	}
	if err != nil {
		p.close()
		s.temp.removeAll(name)
		return pair{}, "", err
	}
	return p, name, nil
}

// obtain opens the space of that key, shared; it makes it, or makes it whole,
// if need be. One with another tiling is expelled.
func (s *Store) obtain(key string, t tiling, size int64) (pair, error) {
	for range openTries {
		p, err := s.openPair(key, unix.LOCK_SH, lockWait)
		switch {
		case err == nil && p.tiling == t && p.length() >= size:
			return p, nil
		case err == nil && p.tiling == t: // it was cut
			p.close()
			err = s.mend(key, t, size)
		case err == nil:
			p.close()
			err = s.expel(key)
		case errors.Is(err, fs.ErrNotExist):
			err = s.create(key, t, size)
		case err == errTorn:
			err = s.mend(key, t, size)
		case err == errMoved:
			err = nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return pair{}, err
		}
	}
	return pair{}, fmt.Errorf("cache: space %s: %w", key, errMoved)
}

// create makes an empty space; that there is one already is no error.
func (s *Store) create(key string, t tiling, size int64) error {
	p, name, err := s.newPair(t)
	if err != nil {
		return err
	}
	defer p.close()
	if err = p.data.Truncate(size); err == nil {
		err = s.temp.move(name, s.spaces, key)
	}
	if err != nil {
		s.temp.removeAll(name)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// expel takes a space out of the store, and leaves it to those who have it
// open.
func (s *Store) expel(key string) error {
	name, err := s.banish(s.spaces, key)
	if err == nil {
		s.sweepName(name)
	}
	return err
}

// mend makes a space whole whose files are missing, cut or not each other's.
// As nobody has it open, they can be taken as they are, every chunk being
// checked on use. If somebody does, the space is expelled.
func (s *Store) mend(key string, t tiling, size int64) error {
	p := pair{}
	var err error
	if p.dir, err = s.spaces.sub(key); err != nil {
		return err
	}
	defer p.close()
	switch err = p.lock(s, key, unix.LOCK_EX, mendWait); err {
	case nil:
		if err = p.mend(t, size); notFile(err) {
			err = s.destroy(key)
		}
	case errLocked:
		err = s.expel(key)
	case errMoved:
		err = nil
	}
	return err
}

func (p *pair) mend(t tiling, size int64) error {
	err := p.open(unix.O_CREAT)
	if err == errTorn {
		err = p.rejoin(t)
	}
	if err == nil && p.length() < size {
		err = p.data.Truncate(size)
	}
	return err
}

// length is that of the data file.
func (p *pair) length() int64 {
	st, err := p.data.Stat()
	if err != nil {
		return 0
	}
	return st.Size()
}

func (p *pair) rejoin(t tiling) error {
	if p.tiling == 0 {
		if err := p.marks.Truncate(0); err != nil {
			return err
		}
		p.tiling = t
	}
	return p.join()
}

// A tiling is a hash of where all chunks of a space end; never 0. Records of
// two tilings must not meet in one file: chunks could overlap, and evicting
// one would harm another.
type tiling uint64

const noTiling tiling = 0x6f63696673 // of no chunks

// add extends a tiling by a chunk.
func (t tiling) add(end int64) tiling {
	t = (t ^ tiling(end)) * 0x9E3779B97F4A7C15
	return (t ^ t>>32) | 1<<63
}

func tilingOf(c Chunks) tiling {
	t := noTiling
	for i := range c.Len() {
		_, end := c.Bounds(i)
		t = t.add(end)
	}
	return t
}
