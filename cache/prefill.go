package cache

// Prefill has made what is missing of the n bytes from off on, and what is best
// made together with that, as far as the space goes. It doesn't wait: readers
// that come meanwhile wait for what they want of it, as it comes. It is a guess
// of what will be read next, so nothing is made where it could not be kept,
// errors reach only those readers, and after Close it does nothing.
func (sp *Space) Prefill(off, n int64) {
	end := min(off+n, sp.size)
	if off < 0 || off >= end || !sp.onDisk() {
		return
	}
	first, last := sp.at(off, int(end-off))
	trips := sp.trips(sp.absent(run{first, last}))
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.closed {
		return
	}
	for _, t := range trips {
		t.after = append(append(t.before, t.wanted), t.after...)
		for _, f := range sp.enlist(nil, trip{after: t.after}) {
			sp.flights.Go(func() { sp.fly(f) })
		}
	}
}
