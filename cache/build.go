package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Builder lays down a space in one pass over a layer, while nobody knows yet
// how many chunks there will be. It is for one goroutine. Finish with Commit
// or Abort. What a crashed process was building is removed by a later Open.
type Builder struct {
	store *Store
	name  string // in tmp
	pair         // no files: nothing can be kept
	why   error  // why that is

	seq     uint32 // of every chunk
	next    int    // the chunk after the last one
	size    int64  // where that ended
	records []byte // not yet written
	from    int    // the chunk of the first of these

	full bool  // the disk was: no data is kept
	took int64 // admitted for data

	auxFile *os.File
	aux     *auxWriter
	auxErr  error
}

// flushRecords is how many bytes of records are written at once.
const flushRecords = 64 << 10

// Build starts a space. If there is no place for it, the Builder takes
// everything and keeps nothing, and Commit says why.
func (s *Store) Build() *Builder {
	b := &Builder{store: s, seq: rand.Uint32() | 1}
	p, name, err := s.newPair(noTiling)
	if err != nil {
		b.why = fmt.Errorf("cache: build: %w", err)
		return b
	}
	b.pair, b.name = p, name
	return b
}

// Chunk adds chunk i, verified, which begins at off. Chunks come in order. One
// that can't be written is absent, and no error: errors are for calls out of
// order.
func (b *Builder) Chunk(i int, off int64, p []byte) error {
	if i != b.next || i > math.MaxInt32 || off != b.size || int64(len(p)) > math.MaxUint32 {
		return fmt.Errorf("cache: build: chunk %d at %d, %d bytes, after chunk %d at %d: %w",
			i, off, len(p), b.next-1, b.size, fs.ErrInvalid)
	}
	if b.data != nil && b.write(p, off) {
		b.record(i, off, p)
	}
	b.next, b.size = i+1, off+int64(len(p))
	b.tiling = b.tiling.add(b.size)
	return nil
}

func (b *Builder) write(p []byte, off int64) bool {
	if b.full || !b.store.admit(len(p)) {
		return false
	}
	n, err := writeData(b.data, p, off)
	if err != nil {
		punch(b.data, off, off+int64(n))
		n = 0
	}
	b.store.refund(len(p) - n)
	b.took += blocks(len(p)) - blocks(len(p)-n)
	b.heed(err)
	return err == nil
}

// heed gives back all data once the disk is full, and keeps none from then on.
// Half of a space is no use to later mounts without its windows, which are a
// hundredth of it, and more readers have a use for the room.
func (b *Builder) heed(err error) {
	if b.full || !isFull(err) {
		return
	}
	b.full = true
	b.data.Truncate(0)
	b.marks.Truncate(markOff(0))
	b.records = nil
	b.store.budget.since.Add(-b.took)
}

func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// record notes that chunk i is present.
func (b *Builder) record(i int, off int64, p []byte) {
	if n := len(b.records); n >= flushRecords || i != b.from+n/markSize {
		b.flush()
		b.from = i
	}
	if b.full {
		return
	}
	m := mark{off: off, len: uint32(len(p)), crc: sumOf(p), seq: b.seq, used: uint32(time.Now().Unix())}
	n := len(b.records)
	b.records = append(b.records, make([]byte, markSize)...)
	m.put(b.records[n:], i)
}

// flush writes the records that are due. Chunks whose records can't be
// written are absent.
func (b *Builder) flush() {
	if len(b.records) > 0 {
		_, err := b.marks.WriteAt(b.records, markOff(b.from))
		b.heed(err)
	}
	b.records = b.records[:0]
}

// Window appends p to the space's aux file. That it can't be written is for
// Commit to say.
func (b *Builder) Window(p []byte) error {
	if b.data == nil || b.auxErr != nil {
		return nil
	}
	if b.auxFile == nil {
		b.auxFile, b.auxErr = b.dir.open("aux", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
		if b.auxErr != nil {
			return nil
		}
		b.aux = newAuxWriter(auxOf{b})
	}
	_, b.auxErr = b.aux.Write(p)
	b.store.wrote(len(p))
	return nil
}

// auxOf writes a Builder's aux file, for which data makes room.
type auxOf struct{ b *Builder }

func (a auxOf) Write(p []byte) (int, error) {
	n, err := a.b.auxFile.Write(p)
	if !isFull(err) || a.b.full {
		return n, err
	}
	a.b.heed(err)
	more, err := a.b.auxFile.Write(p[n:])
	return n + more, err
}

// Commit puts the space in its place, instead of any other of that key: ours
// is whole. Those who have the other open keep it. An error says that the
// space is not there; chunks that couldn't be written are only absent, all of
// them if the disk was full (Store.Short). Either way the Builder is done.
func (b *Builder) Commit(key string) error {
	defer b.Abort()
	err := b.commit(key)
	if b.full || isFull(err) {
		b.store.short.Add(b.size)
	}
	return err
}

func (b *Builder) commit(key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if b.data == nil {
		return b.why
	}
	b.flush()
	if b.aux != nil && b.auxErr == nil {
		b.auxErr = b.aux.finish()
	}
	if b.auxErr != nil {
		return fmt.Errorf("cache: build %s: windows: %w", key, b.auxErr)
	}
	if st, err := b.data.Stat(); err == nil && st.Size() < b.size {
		b.data.Truncate(b.size)
	}
	if err := b.place(key); err != nil {
		return fmt.Errorf("cache: build %s: %w", key, err)
	}
	b.name = ""
	b.store.note(KindSpace, key)
	return nil
}

func (b *Builder) place(key string) (err error) {
	if err := b.join(); err != nil {
		return err
	}
	for range openTries {
		err = b.store.temp.move(b.name, b.store.spaces, key)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := b.store.expel(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// Abort throws away what was built, unless it was committed. It may be called
// at any time.
func (b *Builder) Abort() {
	if b.auxFile != nil {
		b.auxFile.Close()
		b.auxFile = nil
	}
	if b.data == nil {
		return
	}
	b.close()
	b.why = fmt.Errorf("cache: build: %w", fs.ErrClosed)
	if b.name != "" {
		b.store.temp.removeAll(b.name)
		b.name = ""
	}
}
