package cache

import (
	"bytes"
	"errors"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// keep writes chunk i, verified, to the disk, if it can be had and there is
// room, and reports whether it did.
func (sp *Space) keep(i int, p []byte) bool {
	if err := sp.unsound(); err != nil {
		sp.store.fared(err)
		return false
	}
	if int64(len(p)) > math.MaxUint32 || !sp.store.admit(len(p)) {
		return false
	}
	n, err := sp.write(i, p)
	sp.store.refund(len(p) - n)
	sp.store.fared(err)
	return err == nil
}

// unsound says why the data file may not be written to. Not if it was cut: to
// write beyond its end would make zeros of what other readers know to be
// present, while reads beyond the end just find nothing. Nor if it was
// deleted: its bytes would count nowhere.
func (sp *Space) unsound() error {
	if !sp.onDisk() {
		return sp.nowhere
	}
	var st unix.Stat_t
	err := unix.Fstat(int(sp.data.Fd()), &st)
	if err == nil && (st.Nlink == 0 || st.Size < sp.size) {
		err = errUnsound
	}
	return err
}

var (
	errUnsound  = errors.New("cache: its files were deleted or cut while they were open")
	errLockedUp = errors.New("cache: another process holds on to what is to be written")
)

// write writes chunk i and its record. It returns how many bytes that took.
func (sp *Space) write(i int, p []byte) (int, error) {
	from := int64(storeBase) + int64(i)
	if !poll(sp.stopped, storePause, storeWait, func() bool { return lockRange(sp.marks, from, from+1) == nil }) {
		return 0, errLockedUp
	}
	defer unlockRange(sp.marks, from, from+1)
	start, _ := sp.c.Bounds(i)
	m := mark{off: start, len: uint32(len(p)), crc: sumOf(p), used: uint32(time.Now().Unix())}
	m.seq = readMark(sp.marks, i).filled()
	n, err := writeData(sp.data, p, start)
	if err == nil {
		err = writeMark(sp.marks, i, m)
	}
	if err != nil {
		sp.drop(i, start, start+int64(n))
		return 0, err
	}
	return n, nil
}

// drop makes chunk i absent, and frees what was written of it. The store lock is
// held.
func (sp *Space) drop(i int, from, to int64) {
	if m := readMark(sp.marks, i); m.present() {
		m.seq++ // before its data goes
		if writeMark(sp.marks, i, m) != nil {
			return
		}
	}
	punch(sp.data, from, to)
}

// Discard makes the chunks that hold bytes [off, off+n) absent, so that the next
// who reads them has them filled anew: for a reader who has found out that they
// are wrong, though they are what a Fill once gave.
func (sp *Space) Discard(off, n int64) {
	if off < 0 || n <= 0 || off >= sp.size || n > sp.size-off {
		return
	}
	for i := sp.c.At(off); i <= sp.c.At(off+n-1); i++ {
		sp.store.spare.discard(sp, i)
		if !sp.onDisk() {
			continue
		}
		at := int64(storeBase) + int64(i)
		if poll(sp.stopped, storePause, storeWait, func() bool { return lockRange(sp.marks, at, at+1) == nil }) {
			start, end := sp.c.Bounds(i)
			sp.drop(i, start, end)
			unlockRange(sp.marks, at, at+1)
		}
	}
}

// writeData writes p at off, or a hole if p is all zeros, and returns how many
// bytes that took on disk.
func writeData(f *os.File, p []byte, off int64) (int, error) {
	if !zeros(p) {
		return f.WriteAt(p, off)
	}
	end := off + int64(len(p))
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if st.Size() < end {
		// Not ftruncate: another process may be writing beyond end.
		if _, err := f.WriteAt([]byte{0}, end-1); err != nil {
			return 0, err
		}
	}
	if punch(f, off, end) != nil {
		return f.WriteAt(p, off)
	}
	return 0, nil
}

// zeros reports whether p has no other bytes.
func zeros(p []byte) bool {
	return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1])
}

// punch gives bytes [from, to) of f back to the file system; they read as
// zeros. The file keeps its size.
func punch(f *os.File, from, to int64) error {
	if from >= to {
		return nil
	}
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
		if err != unix.EINTR {
			return err
		}
	}
}
