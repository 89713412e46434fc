package cache

import "golang.org/x/sys/unix"

// Present is how many bytes of the space of that key are marked present, and 0
// if there is no such space, or somebody is emptying it. Nothing is made or
// touched for it.
func (s *Store) Present(key string) (n int64) {
	if checkKey(key) != nil {
		return 0
	}
	p, err := s.openPair(s.spaces, key, unix.LOCK_SH, 0)
	if err != nil {
		return 0
	}
	defer p.close()
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	for i := 0; ; i += batch {
		read, _ := p.marks.ReadAt(x.marks[:], markOff(i))
		for k := range read / markSize {
			if m := getMark(x.marks[k*markSize:], i+k); m.present() {
				n += int64(m.len)
			}
		}
		if read < len(x.marks) {
			return n
		}
	}
}

// Written waits until what readers have been given by now is on disk, or could
// not be put there: they don't wait for that.
func (sp *Space) Written() {
	w := &want{done: make(chan struct{})}
	sp.mu.Lock()
	for _, pd := range sp.pending { // once delivered, it is pending until it is written
		w.left++
		pd.by.waited++
		pd.wants = append(pd.wants, w)
	}
	none := w.left == 0
	sp.mu.Unlock()
	if !none {
		<-w.done
	}
}

// Present calls yes for every chunk that is marked present: a hint, as all
// marks are, until the chunk is read.
func (sp *Space) Present(yes func(i int)) {
	if !sp.onDisk() {
		return
	}
	x := sp.store.scratch.Get().(*scratch)
	defer sp.store.scratch.Put(x)
	for first := 0; first < sp.count; first += batch {
		n := min(batch, sp.count-first)
		marks := x.marks[:n*markSize]
		readMarks(sp.marks, marks, first)
		for i := first; i < first+n; i++ {
			start, end := sp.c.Bounds(i)
			if getMark(marks[(i-first)*markSize:], i).covers(start, end) {
				yes(i)
			}
		}
	}
}
