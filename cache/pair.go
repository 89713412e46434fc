package cache

import (
	"context"
	"encoding/binary"
	"errors"
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

// lockWait is for a space that is being emptied, or repaired.
const lockWait = 10 * time.Second

// openPair opens a space and locks its directory, which is in s.spaces, or in
// s.temp if it was expelled. The error is errTorn, errMoved or errLocked,
// fs.ErrNotExist if there is none, or another.
func (s *Store) openPair(in dir, name string, kind int, wait time.Duration) (p pair, err error) {
	if p.dir, err = in.sub(name); err != nil {
		return pair{}, err
	}
	if err = p.lock(s.stopped, in, name, kind, wait); err == nil {
		err = p.open(0)
	}
	if err != nil {
		p.close()
		return pair{}, err
	}
	return p, nil
}

func (p *pair) lock(ctx context.Context, in dir, name string, kind int, wait time.Duration) error {
	if !poll(ctx, time.Millisecond, wait, func() bool { return flock(p.dir.File, kind) }) {
		return errLocked
	}
	if !in.holds(name, p.dir.File) {
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
