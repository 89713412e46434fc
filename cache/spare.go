package cache

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// spareBytes bounds what is kept in memory for want of a disk. It is
	// enough for some readers that go through chunks in small steps.
	spareBytes = 16 << 20
	// spareCost is what a chunk takes beside its bytes, about.
	spareCost = 128
)

// A spare keeps, in memory, the latest chunks that could not be written, so
// that on a full disk a chunk is not made anew for every few bytes of it.
type spare struct {
	count atomic.Int32 // of chunks: to look without the lock

	mu     sync.Mutex
	chunks map[spareKey][]byte
	order  []spareKey // oldest first
	bytes  int
}

type spareKey struct {
	of *Space
	i  int
}

// add keeps a copy of chunk i of a space, unless it is too large for that.
func (s *spare) add(of *Space, i int, p []byte) bool {
	cost := len(p) + spareCost
	if cost > spareBytes {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := spareKey{of, i}
	if s.chunks[k] != nil {
		return true
	}
	for s.bytes+cost > spareBytes {
		s.drop(s.order[0])
		s.order = s.order[1:]
	}
	if s.chunks == nil {
		s.chunks = make(map[spareKey][]byte)
	}
	s.chunks[k] = bytes.Clone(p)
	s.order = append(s.order, k)
	s.bytes += cost
	s.count.Add(1)
	return true
}

// drop forgets a chunk, but for its place in order. s.mu is held.
func (s *spare) drop(k spareKey) {
	s.bytes -= len(s.chunks[k]) + spareCost
	delete(s.chunks, k)
	s.count.Add(-1)
}

// discard drops one chunk.
func (s *spare) discard(of *Space, i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := spareKey{of, i}
	if s.chunks[k] == nil {
		return
	}
	s.drop(k)
	s.order = slices.DeleteFunc(s.order, func(o spareKey) bool { return o == k })
}

// forget drops all chunks of a space.
func (s *spare) forget(of *Space) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = slices.DeleteFunc(s.order, func(k spareKey) bool {
		if k.of == of {
			s.drop(k)
		}
		return k.of == of
	})
}

// copy copies what there is of chunk i, which begins at start, into p, which
// starts at off, and reports whether it had the chunk.
func (s *spare) copy(of *Space, i int, start int64, p []byte, off int64) bool {
	if s.count.Load() == 0 {
		return false
	}
	s.mu.Lock()
	b := s.chunks[spareKey{of, i}]
	s.mu.Unlock()
	overlap(p, off, b, start)
	return b != nil
}

// overlap copies into p, which starts at off, what belongs there of b, which
// starts at start.
func overlap(p []byte, off int64, b []byte, start int64) {
	if start < off+int64(len(p)) && off < start+int64(len(b)) {
		copy(p[max(start-off, 0):], b[max(off-start, 0):])
	}
}
