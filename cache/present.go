package cache

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
