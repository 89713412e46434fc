package cache

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Chunks says how a space is tiled: chunk i is [start, end), chunk 0 begins at
// 0, each begins where the one before it ends, and none is empty. It must
// never change. Chunks may be a Widener, too.
type Chunks interface {
	Len() int
	Bounds(i int) (start, end int64)
	At(off int64) int // the chunk that holds byte off, for off within the space
}

// A Fill makes chunks [first, last), whose bytes it has verified, and puts
// each, in order. It may put others too, and put one twice. put borrows p
// until it returns; an error of put is a reason to stop, and to be returned.
// put must not be called once Fill has returned. A Fill has no context of its
// own: what bounds it is whatever bounds its source. It must not read the Space
// it fills (Aux it may).
type Fill func(first, last int, put func(i int, p []byte) error) error

// A Space is a layer's decoded bytes, as far as they are there, and the means
// to make the rest. It is safe for concurrent use. Its key must name the
// content and the tiling.
type Space struct {
	store *Store
	key   string
	size  int64
	count int
	c     Chunks
	wide  Widener // c, if it is one; else nil
	fill  Fill

	pair                      // no files: everything goes through memory
	nowhere   error           // why there are none
	checked   []atomic.Uint32 // seq under which chunk i was last found right; 0 if never
	unstamped atomic.Bool     // the marks can't be written to

	patience time.Duration // how long to wait for other processes

	mu      sync.Mutex // guards what follows; never held during I/O
	pending map[int]*pending
	closed  bool

	auxMu sync.Mutex // guards aux, also while it is opened
	aux   *aux       // nil until somebody asked for it

	stop    context.CancelFunc
	stopped context.Context // ends with Close
	flights sync.WaitGroup
}

// Space opens the space of that key, and makes an empty one if there is none.
// If the store can't hold it (full, read-only, gone), every read is filled and
// nothing kept. Nothing is evicted as a whole while it is open.
func (s *Store) Space(key string, c Chunks, fill Fill) (*Space, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	sp := &Space{store: s, key: key, c: c, count: c.Len(), fill: fill, patience: claimWait}
	if sp.count > 0 {
		first, _ := c.Bounds(0)
		_, sp.size = c.Bounds(sp.count - 1)
		if first != 0 || sp.size <= 0 || sp.count > math.MaxInt32 {
			return nil, fmt.Errorf("cache: space %s: %d chunks from %d to %d: %w", key, sp.count, first, sp.size, fs.ErrInvalid)
		}
	}
	sp.wide, _ = c.(Widener)
	sp.pending = make(map[int]*pending)
	sp.stopped, sp.stop = context.WithCancel(s.stopped)
	p, err := s.obtain(key, tilingOf(c), sp.size)
	if sp.nowhere = err; err == nil {
		s.note(KindSpace, key)
		sp.pair = p
		sp.checked = make([]atomic.Uint32, sp.count)
		p.dir.touch("marks", time.Now()) // eviction goes by it
	}
	return sp, nil
}

// onDisk reports whether the space has files.
func (sp *Space) onDisk() bool { return sp.data != nil }

// Size is where the last chunk ends.
func (sp *Space) Size() int64 { return sp.size }

// Aux is what a Builder's windows were written to; the error is fs.ErrNotExist
// if there is none. It is good until Close. Reads of damaged bytes fail with
// ErrDamaged.
func (sp *Space) Aux() (io.ReaderAt, error) {
	sp.auxMu.Lock()
	defer sp.auxMu.Unlock()
	if sp.stopped.Err() != nil {
		return nil, fmt.Errorf("cache: aux of %s: %w", sp.key, fs.ErrClosed)
	}
	if !sp.onDisk() {
		return nil, fmt.Errorf("cache: aux of %s: %w", sp.key, fs.ErrNotExist)
	}
	if sp.aux == nil {
		a, err := openAux(sp.dir)
		if err != nil {
			return nil, fmt.Errorf("cache: aux of %s: %w", sp.key, err)
		}
		sp.aux = a
	}
	return sp.aux, nil
}

// Close waits for fills under way, whose puts fail from now on, and closes the
// files. Readers that still wait get what these bring, or fs.ErrClosed.
func (sp *Space) Close() error {
	sp.mu.Lock()
	done := sp.closed
	sp.closed = true
	sp.mu.Unlock()
	if done {
		return nil
	}
	sp.stop()
	sp.flights.Wait()
	sp.store.spare.forget(sp)
	sp.auxMu.Lock()
	defer sp.auxMu.Unlock()
	if sp.aux != nil {
		sp.aux.f.Close()
	}
	if sp.onDisk() {
		sp.data.Close()
		sp.marks.Close()
		sp.dir.Close()
	}
	return nil
}
