package cache

// A Widener is Chunks that know what is best made together. Some bytes can't be
// had without others: those of a zstd frame, which must be decoded from its
// beginning, while of all that nothing is lost if it is kept. Others cost
// nothing more, as those that one request brings anyway.
type Widener interface {
	// Widen returns all chunks [from, to) that are worth making where some of
	// [first, last) have to be. It must never change.
	Widen(first, last int) (from, to int)
}

// A trip is what a gap in what is there leads to: the chunks that a reader
// wants, and those before and after them that come along.
type trip struct {
	wanted        run
	before, after []run
}

// each calls do for each chunk of r.
func (r run) each(do func(i int)) {
	for i := r.first; i < r.last; i++ {
		do(i)
	}
}

// trips are what it takes to make runs. sp.mu must not be held.
func (sp *Space) trips(runs []run) []trip {
	trips := make([]trip, len(runs))
	under := sp.underWay(runs)
	for k, r := range runs {
		trips[k] = trip{wanted: r}
		if sp.wide == nil || under {
			continue
		}
		from, to := sp.wide.Widen(r.first, r.last)
		trips[k].before = sp.absent(run{max(from, 0), r.first})
		trips[k].after = sp.absent(run{r.last, min(to, sp.count)})
	}
	return trips
}

// underWay reports whether all of runs is being made: then it doesn't matter
// what comes along.
func (sp *Space) underWay(runs []run) bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, r := range runs {
		for i := r.first; i < r.last; i++ {
			if sp.pending[i] == nil {
				return false
			}
		}
	}
	return true
}

// absent are the chunks of r that don't seem to be there.
func (sp *Space) absent(r run) (runs []run) {
	if r.first >= r.last {
		return nil
	}
	if !sp.onDisk() {
		return []run{r}
	}
	x := sp.store.scratch.Get().(*scratch)
	defer sp.store.scratch.Put(x)
	for i := r.first; i < r.last; i++ {
		at := (i - r.first) % batch * markSize
		if at == 0 {
			readMarks(sp.marks, x.marks[:min(batch, r.last-i)*markSize], i)
		}
		if start, end := sp.c.Bounds(i); !getMark(x.marks[at:], i).covers(start, end) {
			runs = add(runs, i)
		}
	}
	return runs
}

// together reports whether chunk i, behind those of r, is to be made with them:
// it is the next one, or it can't be had without them.
func (sp *Space) together(r run, i int) bool {
	if i == r.last {
		return true
	}
	if sp.wide == nil {
		return false
	}
	from, _ := sp.wide.Widen(i, i+1)
	return from < r.last
}

// joined are runs, those in one that are to be made together.
func (sp *Space) joined(runs []run) (all []run) {
	for _, r := range runs {
		if n := len(all); n > 0 && sp.together(all[n-1], r.first) {
			all[n-1].last = r.last
		} else {
			all = append(all, r)
		}
	}
	return all
}
