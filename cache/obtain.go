package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

const (
	mendWait  = 100 * time.Millisecond // for others who just try to open a torn space
	openTries = 20
)

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
		p, err := s.openPair(s.spaces, key, unix.LOCK_SH, lockWait)
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
	switch err = p.lock(s.stopped, s.spaces, key, unix.LOCK_EX, mendWait); err {
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
