package cache

// punch evicts the chunks of all, in that order, until it is enough.
func (e *evictor) punch(all []cold, pairs ...pair) {
	for _, c := range all {
		if e.solid || e.enough() {
			return
		}
		h := &e.hole
		h.pair, h.run, h.around = pairs[c.in], c.run, c.run
		freed, err := h.punch()
		e.used -= freed
		e.s.tally.evicted.Add(h.gone)
		e.solid = err != nil
	}
}

// A hole is a run of chunks being evicted. A file system frees whole blocks
// only, so absent chunks around the run, which share a block with it, are
// punched with it.
type hole struct {
	pair
	run
	around   run   // the run and the absent chunks beside it
	from, to int64 // where around lies, in data
	gone     int64 // bytes of the chunks that were there
	b        [3 * batch * markSize]byte
	base     int // the chunk of b's first record
}

// punch returns how many bytes that freed, about. The error is the file
// system's, which may not know holes.
func (h *hole) punch() (freed int64, err error) {
	h.gone = 0
	h.read()
	h.widen()
	if !h.lock() {
		h.around = h.run
		if !h.lock() {
			return 0, nil // somebody is writing just there
		}
	}
	defer unlockRange(h.marks, storeBase+int64(h.around.first), storeBase+int64(h.around.last))
	h.read()
	if !h.clear() {
		return 0, nil
	}
	before := diskBytes(h.data)
	err = punch(h.data, h.from, h.to)
	return max(before-diskBytes(h.data), 0), err
}

// read reads the records of the run and of a batch on either side.
func (h *hole) read() {
	h.base = max(h.first-batch, 0)
	readMarks(h.marks, h.b[:], h.base)
}

func (h *hole) mark(i int) mark { return getMark(h.b[(i-h.base)*markSize:], i) }

// widen sets around.
func (h *hole) widen() {
	for i := h.first - 1; i >= h.base && !h.mark(i).present(); i-- {
		h.around.first = i
	}
	for i := h.last; i < h.last+batch-1 && !h.mark(i).present(); i++ {
		h.around.last = i + 1
	}
}

func (h *hole) lock() bool {
	return lockRange(h.marks, storeBase+int64(h.around.first), storeBase+int64(h.around.last)) == nil
}

// clear makes the chunks of the run absent, while they are locked, and sets
// from and to.
func (h *hole) clear() bool {
	records := h.b[(h.first-h.base)*markSize : (h.last-h.base)*markSize]
	found, gone := false, int64(0)
	for i := h.first; i < h.last; i++ {
		if m := h.mark(i); m.present() {
			gone += int64(m.len)
			if !found {
				h.from = m.off
			}
			h.to, found = m.off+int64(m.len), true
			m.seq++
			m.put(records[(i-h.first)*markSize:], i)
		}
	}
	if !found {
		return false
	}
	h.stretch()
	_, err := h.marks.WriteAt(records, markOff(h.first))
	if err == nil {
		h.gone = gone
	}
	return err == nil
}

// stretch moves from and to as far as there is nothing present, among the
// chunks that are locked. Any record whose sum is right tells where its chunk
// lies, present or not.
func (h *hole) stretch() {
	i := h.first - 1
	for ; i >= h.around.first && !h.mark(i).present(); i-- {
		if m := h.mark(i); m.ok {
			h.from = min(h.from, m.off)
		}
	}
	if i < 0 {
		h.from = 0
	} else if i >= h.base && h.mark(i).ok {
		h.from = min(h.from, h.mark(i).off+int64(h.mark(i).len))
	}
	for i = h.last; i < h.around.last && !h.mark(i).present(); i++ {
		if m := h.mark(i); m.ok {
			h.to = max(h.to, m.off+int64(m.len))
		}
	}
	if m := h.mark(i); m.ok {
		h.to = max(h.to, m.off)
	}
}
