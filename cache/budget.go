package cache

import (
	"sync"
	"sync/atomic"
	"time"
)

// A budget keeps the store within its limit. What is on disk, which others
// fill too, is measured whenever this process has written another step bytes;
// in between, what it writes is added up, and two steps are all it may write.
// So n processes exceed the limit by 2n-2 steps at most, or by a chunk each if
// chunks are larger than that.
type budget struct {
	limit, step int64 // 0: no bound
	known       atomic.Int64
	since       atomic.Int64 // written by this process after that
	hopeless    atomic.Int64 // until then (Unix ns) there is no room to be made

	mu   sync.Mutex
	look chan struct{} // closed when the look under way is done; nil: none is
}

const (
	stepPart = 256 // step is this part of the limit
	highPart = 32  // evict when less than this part of the limit is free …
	lowPart  = 16  // … until this part is

	roomWait   = 500 * time.Millisecond // for one look, and eviction, to make room
	roomLooks  = 4                      // others may take it first
	hopeAgain  = 2 * time.Second        // after eviction made none
	blockBytes = 4096                   // what a file system gives at least
)

func (b *budget) init(limit int64) {
	b.limit, b.step = limit, limit/stepPart
	b.known.Store(limit) // for all one knows: nothing is written before a look
}

// blocks rounds n up to what it takes on disk.
func blocks(n int) int64 { return (int64(n) + blockBytes - 1) &^ (blockBytes - 1) }

// admit reports whether there is room for n bytes, and sets it aside. It may
// have to wait a little for an eviction.
func (s *Store) admit(n int) bool {
	b := &s.budget
	if b.limit == 0 {
		return true
	}
	for looks := 0; !b.take(n); looks++ {
		if looks == roomLooks || time.Now().UnixNano() < b.hopeless.Load() || s.stopped.Err() != nil {
			return false
		}
		select {
		case <-s.look():
		case <-time.After(roomWait):
			b.despair()
		}
	}
	s.wrote(0)
	return true
}

// take sets room aside, if there is any by what is known, and that is recent
// enough.
func (b *budget) take(n int) bool {
	since := b.since.Add(blocks(n))
	if b.known.Load()+since <= b.limit && (since <= 2*b.step || since == blocks(n)) {
		return true
	}
	b.since.Add(-blocks(n))
	return false
}

// refund gives back what was admitted and not written.
func (s *Store) refund(n int) { s.budget.since.Add(-blocks(n)) }

// wrote notes n bytes written without asking.
func (s *Store) wrote(n int) {
	b := &s.budget
	if b.limit > 0 && b.since.Add(blocks(n)) >= b.step {
		s.look()
	}
}

// look starts to measure and to evict, unless that is being done, and returns
// what is closed in the end.
func (s *Store) look() <-chan struct{} {
	b := &s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.look == nil {
		done := make(chan struct{})
		b.look = done
		s.tasks.Go(func() {
			s.measure()
			b.mu.Lock()
			defer b.mu.Unlock()
			b.look = nil
			close(done)
		})
	}
	return b.look
}

func (s *Store) measure() {
	b := &s.budget
	before := b.since.Load()
	used, freed := s.Usage(), int64(0)
	if used > b.limit-b.limit/highPart && s.stopped.Err() == nil {
		before = b.since.Load()
		freed, _ = s.Trim(s.stopped, b.limit-b.limit/lowPart)
		used = s.Usage()
	}
	// What was written meanwhile counts twice, rather than not at all.
	b.known.Store(used)
	b.since.Add(-before)
	if used > b.limit-b.limit/highPart && freed < b.step {
		b.despair()
	}
}

// despair gives up on room for a while: what is written next isn't worth the
// wait.
func (b *budget) despair() { b.hopeless.Store(time.Now().Add(hopeAgain).UnixNano()) }
