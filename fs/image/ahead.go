package image

import (
	"sync"
	"sync/atomic"
)

// Reading ahead hides a distant registry from whoever reads in order: a large
// file, or one small file after the other, as they lie in the layer, which is how
// find, cp and tar go through a directory. A reader that misses twice in a row,
// the second time behind what the first has brought and not far from it, has what
// follows fetched, firstWindow bytes; when it gets there, twice as much, and so on
// up to lastWindow. So what is fetched in vain is never much more than what was
// read, and two windows at most are on their way, of which one is being read.
const (
	nearby      = 1 << 20
	firstWindow = 1 << 20
	lastWindow  = 16 << 20 // at 1 Gbit/s and a third of it on the wire, some 40 ms

	// walkers are how many readers of one layer can be told from one another.
	walkers = 8
)

// ahead is what is known of a layer's readers. The zero value knows of none, and
// nil reads nothing ahead.
type ahead struct {
	walking atomic.Int32 // walkers with a window: as long as there is none, reads that miss nothing cost nothing

	mu   sync.Mutex // guards what follows
	list [walkers]walker
	tick uint64
}

// A walker is a reader that may go on where it is. What it is told of are places
// in the decoded space.
type walker struct {
	miss, at int64 // what its last miss has brought, and what was fetched ahead
	from, to int64 // the last window; none if they are equal
	size     int64 // that of the last window, also where the end of a file has cut it
	used     uint64
}

// A window is what is to be fetched.
type window struct{ off, n int64 }

// reached is told of each read of n bytes before it is made, and returns what to
// fetch meanwhile: the window behind the one that it reaches into. end is where the file
// ends that is being read, which a window that begins in the file doesn't
// exceed, or 0; size is where the layer does.
func (a *ahead) reached(off, n, end, size int64) (w window) {
	if a == nil || a.walking.Load() == 0 {
		return w
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.list {
		if k := &a.list[i]; off < k.to && k.from < off+n {
			if k.to == end { // the file's rest is on its way
				return w
			}
			return a.open(k, k.to, end, size)
		}
	}
	return w
}

// missed is told of each read that has had chunks filled, from first to last, and
// returns what to fetch now.
func (a *ahead) missed(first, last, end, size int64) (w window) {
	if a == nil {
		return w
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	k, goesOn := a.find(first, last)
	if goesOn {
		k.miss = first
		return a.open(k, last, end, size)
	}
	a.close(k)
	a.tick++
	*k = walker{miss: first, at: last, used: a.tick}
	return w
}

// find returns the walker that goes on with a miss, or else one to begin there:
// that which was there before, if all that it had is gone, or the one that was
// told of least lately.
func (a *ahead) find(first, last int64) (k *walker, goesOn bool) {
	k = &a.list[0]
	for i := range a.list {
		x := &a.list[i]
		switch {
		case x.used == 0:
		case x.miss <= first && last <= x.at:
			return x, false
		case x.miss <= first && first-x.at <= nearby:
			return x, true
		}
		if x.used < k.used {
			k = x
		}
	}
	return k, false
}

// open gives a walker the next window, which begins at from.
func (a *ahead) open(k *walker, from, end, size int64) (w window) {
	k.size = min(max(firstWindow, 2*k.size), lastWindow)
	to := from + k.size
	if from < end {
		to = min(to, end)
	}
	to = min(to, size)
	a.close(k)
	k.at = max(from, to)
	if from < to {
		k.from, k.to = from, to
		a.walking.Add(1)
		w = window{from, to - from}
	}
	a.tick++
	k.used = a.tick
	return w
}

// close takes a walker's window away.
func (a *ahead) close(k *walker) {
	if k.from < k.to {
		a.walking.Add(-1)
	}
	k.from, k.to = 0, 0
}
