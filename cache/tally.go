package cache

import (
	"errors"
	"io/fs"
	"sync/atomic"
)

// A Tally is what a Store has counted since it was opened, of what went through
// it; other processes count for themselves.
type Tally struct {
	HitBytes  int64 // that reads of spaces found on disk, or in memory where they couldn't be kept
	MissBytes int64 // that they had to have filled, or wait for
	Fills     int64 // calls of a Fill
	Failed    int64 // calls of a Fill that gave an error
	Evicted   int64 // bytes of chunks that Trim has taken away
	Damaged   int64 // chunks and objects whose checksum was wrong when they were read
	Unkept    int64 // bytes that were filled and could not be kept on disk
}

// tally counts; each is right, but two of them need not be of the same moment.
type tally struct {
	hit, miss, fills, failed, evicted, damaged, unkept atomic.Int64
}

// Tally returns the counts.
func (s *Store) Tally() Tally {
	t := &s.tally
	return Tally{
		HitBytes: t.hit.Load(), MissBytes: t.miss.Load(), Fills: t.fills.Load(), Failed: t.failed.Load(),
		Evicted: t.evicted.Load(), Damaged: t.damaged.Load(), Unkept: t.unkept.Load(),
	}
}

// filled counts a call of a Fill, and notes how it went. One that was ended on
// purpose has not failed.
func (s *Store) filled(err error) {
	s.tally.fills.Add(1)
	switch {
	case err == nil, errors.Is(err, errEnough), errors.Is(err, fs.ErrClosed):
		if s.unfilled.Load() != nil && err == nil {
			s.unfilled.Store(nil)
		}
	default:
		s.tally.failed.Add(1)
		s.unfilled.Store(&err)
	}
}

// Unfilled is the error of the latest call of a Fill; nil if that has succeeded.
func (s *Store) Unfilled() error {
	if err := s.unfilled.Load(); err != nil {
		return *err
	}
	return nil
}

// tallied counts a read of n bytes at off, of which the chunks missing were not
// there.
func (sp *Space) tallied(missing []run, off int64, n int) {
	miss := int64(0)
	for _, r := range missing {
		start, _ := sp.c.Bounds(r.first)
		_, end := sp.c.Bounds(r.last - 1)
		miss += min(end, off+int64(n)) - max(start, off)
	}
	sp.store.tally.hit.Add(int64(n) - miss)
	if miss > 0 {
		sp.store.tally.miss.Add(miss)
	}
}
