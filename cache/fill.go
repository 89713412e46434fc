package cache

import (
	"errors"
	"fmt"
	"io/fs"
)

// A want is a reader that waits for chunks. Its fields but p and off are
// guarded by Space.mu until done is closed; p is written to by those who
// deliver, each its own chunk's part.
type want struct {
	p    []byte // nil if the chunks need only be made
	off  int64
	left int // chunks not settled
	own  int // chunks that flights took off for on its behalf
	done chan struct{}
	// hurry: fill even what is present by now.
	hurry bool

	again  []run // present by now: to be read from disk
	failed int   // the first chunk that failed
	err    error // why
}

// A pending chunk is being made by a flight.
type pending struct {
	by    *flight
	wants []*want
}

// A flight makes chunks, in a goroutine of its own: no reader's leaving ends
// it. Those that it owns lie within its run, and are pending by it.
type flight struct {
	run
	hurry  bool
	asked  int // the first chunk that it took off for
	waited int // readers waiting for a chunk of it, each counted for each; Space.mu guards it
	spared int // bytes that it has left in memory
}

// demand has the chunks of runs made, what is made together by one flight but
// for what others are making already, and waits until all are settled.
func (sp *Space) demand(w *want, runs []run) error {
	w.done = make(chan struct{})
	trips := sp.trips(runs)
	sp.mu.Lock()
	if sp.closed {
		sp.mu.Unlock()
		w.failed, w.err = runs[0].first, fmt.Errorf("cache: read of %s: %w", sp.key, fs.ErrClosed)
		return w.err
	}
	for _, t := range trips {
		for _, f := range sp.enlist(w, t) {
			sp.flights.Go(func() { sp.fly(f) })
		}
	}
	sp.mu.Unlock()
	<-w.done
	return w.err
}

// enlist has w wait for the chunks that t is made for, if it is made for any, and
// returns the flights that must take off for that. sp.mu is held.
func (sp *Space) enlist(w *want, t trip) (flights []*flight) {
	var f *flight
	book := func(i int, wanted bool) {
		pd := sp.pending[i]
		if pd == nil {
			if f == nil || !sp.together(f.run, i) {
				f = &flight{run: run{i, i}, hurry: w != nil && w.hurry, asked: max(i, t.wanted.first)}
				flights = append(flights, f)
			}
			f.last = i + 1
			pd = &pending{by: f}
			sp.pending[i] = pd
			if wanted {
				w.own++
			}
		}
		if wanted {
			w.left++
			pd.by.waited++
			pd.wants = append(pd.wants, w)
		}
	}
	for _, r := range t.before {
		r.each(func(i int) { book(i, false) })
	}
	t.wanted.each(func(i int) { book(i, true) })
	for _, r := range t.after {
		r.each(func(i int) { book(i, false) })
	}
	return flights
}

// fly makes the chunks of a flight and settles them all.
func (sp *Space) fly(f *flight) {
	unclaim := sp.claim(f)
	defer unclaim()
	for _, r := range sp.lacking(f) {
		put := func(i int, p []byte) error { return sp.put(f, i, p) }
		err := sp.fill(r.first, r.last, put)
		sp.store.filled(err)
		switch {
		case errors.Is(err, errEnough):
			sp.sendBack(f, f.run)
			return
		case err != nil:
			sp.fail(f, f.run, err)
			return
		}
		sp.fail(f, r, errUnfilled)
	}
}

var (
	errUnfilled = errors.New("cache: chunk was not filled")

	// errEnough ends a fill of which nobody wants what follows, which could
	// not be kept.
	errEnough = errors.New("cache: nobody waits for more, and it can't be kept")
)

// lacking gives the chunks of f that aren't there, or aren't right; readers
// of the others are sent back to read them.
func (sp *Space) lacking(f *flight) (runs []run) {
	owned := sp.owned(f)
	if f.hurry || !sp.onDisk() {
		return sp.joined(owned)
	}
	x := sp.store.scratch.Get().(*scratch)
	defer sp.store.scratch.Put(x)
	for _, r := range owned {
		for i := r.first; i < r.last; i++ {
			at := (i - r.first) % batch * markSize
			if at == 0 {
				readMarks(sp.marks, x.marks[:min(batch, r.last-i)*markSize], i)
			}
			if sp.check(x, i, x.marks[at:], nil, 0) {
				sp.sendBack(f, run{i, i + 1})
				continue
			}
			runs = add(runs, i)
			if m := getMark(x.marks[at:], i); m.present() && readMark(sp.marks, i) == m { // and it was not evicted just now
				sp.store.tally.damaged.Add(1)
			}
		}
	}
	return sp.joined(runs)
}

// owned are the chunks of f that are to be settled by it.
func (sp *Space) owned(f *flight) (runs []run) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	f.each(func(i int) {
		if pd := sp.pending[i]; pd != nil && pd.by == f {
			runs = add(runs, i)
		}
	})
	return runs
}

// sendBack settles what is left of chunks r of flight f by having its readers
// read it, or ask for it again.
func (sp *Space) sendBack(f *flight, r run) {
	r.each(func(i int) {
		sp.settle(f, i, func(w *want) { w.again = add(w.again, i) })
	})
}

// fail settles what is left of chunks r of flight f.
func (sp *Space) fail(f *flight, r run, err error) {
	r.each(func(i int) {
		sp.settle(f, i, func(w *want) {
			if w.err == nil || i < w.failed {
				w.failed, w.err = i, err
			}
		})
	})
}

// put takes chunk i, made by flight f: those who wait for it have it before it
// is written, those who came meanwhile after.
func (sp *Space) put(f *flight, i int, p []byte) error {
	if err := sp.checkPut(i, p); err != nil {
		return err
	}
	mine := sp.adopt(f, i)
	sp.deliver(i, p)
	if !mine {
		return nil
	}
	kept := sp.keep(i, p)
	if !kept {
		sp.store.tally.unkept.Add(int64(len(p)))
		kept = sp.spare(f, i, p)
	}
	for !sp.release(f, i) {
		sp.deliver(i, p)
	}
	if !kept && !sp.awaited(f) {
		return errEnough
	}
	return nil
}

// spare leaves chunk i of flight f in memory, as it can't be written: what was
// asked for, and what follows, which is asked for next, but no more of one
// flight than leaves room for others.
func (sp *Space) spare(f *flight, i int, p []byte) bool {
	if i < f.asked || f.spared+len(p) > spareBytes/2 && i > f.asked {
		return false
	}
	f.spared += len(p)
	return sp.store.spare.add(sp, i, p)
}

// awaited reports whether somebody waits for a chunk of f.
func (sp *Space) awaited(f *flight) bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return f.waited > 0
}

func (sp *Space) checkPut(i int, p []byte) error {
	if i < 0 || i >= sp.count {
		return fmt.Errorf("cache: put of chunk %d of %d: %w", i, sp.count, fs.ErrInvalid)
	}
	if start, end := sp.c.Bounds(i); int64(len(p)) != end-start {
		return fmt.Errorf("cache: put of chunk %d, %d bytes of %d: %w", i, len(p), end-start, fs.ErrInvalid)
	}
	if sp.stopped.Err() != nil {
		return fmt.Errorf("cache: put: %w", fs.ErrClosed)
	}
	return nil
}

// adopt reports whether chunk i is flight f's to keep: it was meant to make
// it, or nobody was and it isn't there.
func (sp *Space) adopt(f *flight, i int) bool {
	sp.mu.Lock()
	pd := sp.pending[i]
	sp.mu.Unlock()
	if pd != nil {
		return pd.by == f
	}
	if !sp.onDisk() || readMark(sp.marks, i).present() {
		return false
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.pending[i] != nil {
		return false
	}
	sp.pending[i] = &pending{by: f}
	return true
}

// deliver copies chunk i to those who wait for it. It stays pending.
func (sp *Space) deliver(i int, p []byte) {
	start, _ := sp.c.Bounds(i)
	wants := sp.waiting(i)
	for _, w := range wants {
		overlap(w.p, w.off, p, start)
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, w := range wants {
		w.settled()
	}
}

// waiting takes those who wait for chunk i.
func (sp *Space) waiting(i int) []*want {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	pd := sp.pending[i]
	if pd == nil {
		return nil
	}
	wants := pd.wants
	pd.wants = nil
	pd.by.waited -= len(wants)
	return wants
}

// release ends the pending of flight f's chunk i, unless someone waits for it.
func (sp *Space) release(f *flight, i int) bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	pd := sp.pending[i]
	if pd == nil || pd.by != f {
		return true
	}
	if len(pd.wants) > 0 {
		return false
	}
	delete(sp.pending, i)
	return true
}

// settle ends the pending of flight f's chunk i, if it still is, without
// bytes: each waiting reader is told so by tell.
func (sp *Space) settle(f *flight, i int, tell func(*want)) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	pd := sp.pending[i]
	if pd == nil || pd.by != f {
		return
	}
	delete(sp.pending, i)
	f.waited -= len(pd.wants)
	for _, w := range pd.wants {
		tell(w)
		w.settled()
	}
}

// began reports whether anything was filled for w, once it is settled, or failed
// to be. Of chunks that became present just before their flight, that has made
// nothing; and what flights of others have made, w hasn't begun.
func (w *want) began() bool { return w.own > chunks(w.again) }

// settled counts one chunk less to wait for. Space.mu is held.
func (w *want) settled() {
	if w.left--; w.left == 0 {
		close(w.done)
	}
}
