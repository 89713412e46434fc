package cache

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// batch is how many records are read at once; one page of them.
const batch = 4096 / markSize

// scratch is what a read needs beside the reader's own buffer.
type scratch struct {
	known [batch]uint32
	marks [batch * markSize]byte
	data  [128 << 10]byte
}

// A run is chunks [first, last).
type run struct{ first, last int }

// add appends chunk i to runs in ascending order.
func add(runs []run, i int) []run {
	if n := len(runs); n > 0 && runs[n-1].last == i {
		runs[n-1].last++
		return runs
	}
	return append(runs, run{i, i + 1})
}

// chunks counts those of runs.
func chunks(runs []run) (n int) {
	for _, r := range runs {
		n += r.last - r.first
	}
	return n
}

// hurried is how often a read finds a chunk present, waits for it, and finds
// it gone again, before it has it filled whatever the marks say.
const hurried = 4

// ReadAt implements io.ReaderAt over [0, Size()). What is missing is filled,
// neighbours together, or waited for if a fill for it is under way. An error
// is that of the fill, which is not remembered, or fs.ErrClosed.
func (sp *Space) ReadAt(p []byte, off int64) (int, error) {
	n, _, err := sp.Read(p, off)
	return n, err
}

// Read is ReadAt, and reports whether it has begun to fill anything, rather than
// find all that it wants there or under way.
func (sp *Space) Read(p []byte, off int64) (n int, began bool, err error) {
	if off < 0 {
		return 0, false, fmt.Errorf("cache: read at %d: %w", off, fs.ErrInvalid)
	}
	if off >= sp.size {
		if len(p) == 0 {
			return 0, false, nil
		}
		return 0, false, io.EOF
	}
	var end error
	if int64(len(p)) > sp.size-off {
		p, end = p[:sp.size-off], io.EOF
	}
	if len(p) == 0 {
		return 0, false, nil
	}
	first, last := sp.at(off, len(p))
	missing := sp.cached(p, off, run{first, last}, nil)
	sp.tallied(missing, off, len(p))
	for try := 0; len(missing) > 0; try++ {
		w := &want{p: p, off: off, hurry: try >= hurried}
		err := sp.demand(w, missing)
		began = began || w.began()
		if err != nil {
			low := w.failed
			for _, r := range w.again {
				low = min(low, r.first)
			}
			return sp.before(low, p, off), began, err
		}
		missing = missing[:0]
		for _, r := range w.again {
			missing = sp.cached(p, off, r, missing)
		}
	}
	return len(p), began, end
}

// at gives the chunks [first, last) that hold n bytes from off on.
func (sp *Space) at(off int64, n int) (first, last int) {
	first = sp.c.At(off)
	if _, end := sp.c.Bounds(first); off+int64(n) <= end {
		return first, first + 1
	}
	return first, sp.c.At(off+int64(n)-1) + 1
}

// before counts the bytes of p, which starts at off, before chunk i.
func (sp *Space) before(i int, p []byte, off int64) int {
	start, _ := sp.c.Bounds(i)
	return int(min(max(start-off, 0), int64(len(p))))
}

// cached reads what is there of chunks r into p, which starts at off, and
// appends the others to missing.
func (sp *Space) cached(p []byte, off int64, r run, missing []run) []run {
	if !sp.onDisk() {
		for i := r.first; i < r.last; i++ {
			if !sp.spared(i, p, off) {
				missing = add(missing, i)
			}
		}
		return missing
	}
	x := sp.store.scratch.Get().(*scratch)
	defer sp.store.scratch.Put(x)
	for r.first < r.last {
		n := min(batch, r.last-r.first)
		missing = sp.cachedBatch(x, p, off, run{r.first, r.first + n}, missing)
		r.first += n
	}
	return missing
}

// cachedBatch is the way of every warm read: what is known of the chunks, then
// the data, then the records. The order matters, see the package comment.
func (sp *Space) cachedBatch(x *scratch, p []byte, off int64, r run, missing []run) []run {
	for i := r.first; i < r.last; i++ {
		x.known[i-r.first] = sp.checked[i].Load()
	}
	lo, _ := sp.c.Bounds(r.first)
	_, hi := sp.c.Bounds(r.last - 1)
	lo, hi = max(lo, off), min(hi, off+int64(len(p)))
	n, _ := sp.data.ReadAt(p[lo-off:hi-off], lo)
	marks := x.marks[:(r.last-r.first)*markSize]
	readMarks(sp.marks, marks, r.first)

	now := uint32(time.Now().Unix())
	for i := r.first; i < r.last; i++ {
		b := marks[(i-r.first)*markSize:][:markSize]
		seq := binary.LittleEndian.Uint32(b[markSeq:])
		good := seq&1 == 1 && seq == x.known[i-r.first]
		if good && lo+int64(n) < hi { // the file was cut
			_, end := sp.c.Bounds(i)
			good = end <= lo+int64(n)
		}
		if !good && !sp.check(x, i, b, p, off) {
			if !sp.spared(i, p, off) {
				missing = add(missing, i)
			}
			continue
		}
		if used := binary.LittleEndian.Uint32(b[markUsed:]); now-used >= stampEvery {
			sp.stamp(i, b, now)
		}
	}
	return missing
}

// spared reads chunk i from memory, if it couldn't be written to disk lately.
func (sp *Space) spared(i int, p []byte, off int64) bool {
	start, _ := sp.c.Bounds(i)
	return sp.store.spare.copy(sp, i, start, p, off)
}

// stamp notes that chunk i, whose record is b, is in use.
func (sp *Space) stamp(i int, b []byte, now uint32) {
	if sp.unstamped.Load() {
		return
	}
	binary.LittleEndian.PutUint32(b[markUsed:], now)
	if _, err := sp.marks.WriteAt(b[markUsed:markUsed+4], markOff(i)+markUsed); err != nil {
		sp.unstamped.Store(true)
	}
}

// check reads the whole of chunk i, whose record is b, copies what belongs
// into p, which starts at off, and reports whether the bytes were right.
func (sp *Space) check(x *scratch, i int, b, p []byte, off int64) bool {
	m := getMark(b, i)
	start, end := sp.c.Bounds(i)
	if !m.covers(start, end) {
		return false
	}
	sum := uint32(0)
	for at := start; at < end; {
		var piece []byte
		if lo := at - off; lo >= 0 && lo < int64(len(p)) { // straight into p
			piece = p[lo:min(end-off, int64(len(p)))]
		} else { // beside p: up to where p begins, if it does
			stop := end
			if at < off {
				stop = min(end, off)
			}
			piece = x.data[:min(stop-at, int64(len(x.data)))]
		}
		if n, _ := sp.data.ReadAt(piece, at); n < len(piece) {
			return false
		}
		sum = addSum(sum, piece)
		at += int64(len(piece))
	}
	if sum != m.crc {
		return false
	}
	sp.checked[i].Store(m.seq)
	return true
}
