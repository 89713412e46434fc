package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// filled makes a space of the given chunks, builds it with a window, and sets
// its last use to age ago.
func filled(t *testing.T, s *Store, dir, key string, c tiles, age time.Duration) {
	t.Helper()
	b := s.Build()
	for i := range c {
		start, _ := c.Bounds(i)
		if err := b.Chunk(i, start, content(c, i)); err != nil {
			t.Fatal(err)
		}
	}
	b.Window(bytes.Repeat([]byte("w"), 100<<10))
	if err := b.Commit(key); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-age)
	if err := os.Chtimes(filepath.Join(dir, "v1/spaces", key, "marks"), then, then); err != nil {
		t.Fatal(err)
	}
}

func present(t *testing.T, s *Store, key string) (n int) {
	t.Helper()
	f, err := os.Open(filepath.Join("/proc/self/fd", itoa(s.spaces.fd()), key, "marks"))
	if errors.Is(err, fs.ErrNotExist) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range coldest(0, f) {
		n += c.last - c.first
	}
	return n
}

func TestTrimOrder(t *testing.T) {
	noLeaks(t)
	dir, c := t.TempDir(), uniform(16, 64<<10, 0)
	s := open(t, dir, 0)
	if err := s.Put("toc", make([]byte, 300<<10)); err != nil {
		t.Fatal(err)
	}
	filled(t, s, dir, "new", c, time.Hour)
	filled(t, s, dir, "old", c, 3*time.Hour)
	filled(t, s, dir, "mid", c, 2*time.Hour)
	filled(t, s, dir, "open", c, 4*time.Hour)
	sp := space(t, s, "open", c, (&maker{t: c}).fill)
	check := func(old, mid, new, open int) {
		t.Helper()
		for key, want := range map[string]int{"old": old, "mid": mid, "new": new, "open": open} {
			if got := present(t, s, key); got != want {
				t.Errorf("%s: %d chunks present, want %d", key, got, want)
			}
		}
	}
	trim := func(n int64) {
		t.Helper()
		before := s.Usage()
		freed, err := s.Trim(t.Context(), before-n)
		if err != nil || freed != before-s.Usage() || freed < n {
			t.Errorf("freed %d of %d, %v", freed, n, err)
		}
	}
	check(16, 16, 16, 16)
	// Chunks go by fours; chunks 3 and 10 are holes and free nothing.
	trim(256 << 10)
	check(8, 16, 16, 16)
	trim(900 << 10)
	check(0, 4, 16, 16)
	trim(800 << 10)
	check(0, 0, 4, 16)
	trim(500 << 10)
	check(0, 0, 0, 8)
	if _, err := s.Trim(t.Context(), 0); err != nil {
		t.Error(err)
	}
	check(-1, -1, -1, 0)
	if _, err := s.Get("toc"); err != nil {
		t.Errorf("object: %v", err)
	}
	if _, err := sp.Aux(); err != nil {
		t.Errorf("windows of the open space: %v", err)
	}
	expect(t, sp, whole(c), 0, sp.Size())
}

// Emptied spaces keep their windows until there is nothing else.
func TestTrimKeepsWindows(t *testing.T) {
	dir, c := t.TempDir(), uniform(16, 64<<10, 0)
	s := open(t, dir, 0)
	filled(t, s, dir, "k", c, time.Hour)
	if _, err := s.Trim(t.Context(), 200<<10); err != nil {
		t.Fatal(err)
	}
	if n := present(t, s, "k"); n != 0 {
		t.Errorf("%d chunks left", n)
	}
	m := &maker{t: c}
	sp := space(t, s, "k", c, m.fill)
	aux, err := sp.Aux()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := aux.ReadAt(make([]byte, 100<<10), 0); n != 100<<10 {
		t.Error(n, err)
	}
	expect(t, sp, whole(c), 0, sp.Size())
}

// The chunk that was not read for longest goes first.
func TestColdestChunkFirst(t *testing.T) {
	c := uniform(4, 256<<10, 0)
	s := open(t, t.TempDir(), 0)
	m := &maker{t: c}
	sp := space(t, s, "k", c, m.fill)
	expect(t, sp, whole(c), 0, sp.Size())
	sp.flights.Wait()
	now := uint32(time.Now().Unix())
	for i, age := range []uint32{100, 300, 200, 400} {
		mk := readMark(sp.marks, i)
		mk.used = now - age
		if err := writeMark(sp.marks, i, mk); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, sp, whole(c), c[0], 1) // chunk 1 is in use now; 3 is a hole
	if used := readMark(sp.marks, 1).used; used < now {
		t.Errorf("used %d s ago", now-used)
	}
	var order []int
	for _, x := range coldest(0, sp.marks) {
		order = append(order, x.first)
	}
	for i, want := range []int{3, 2, 0, 1} {
		if order[i] != want {
			t.Fatalf("order %v", order)
		}
	}
}

// Chunks smaller than a block, evicted under their readers, give their blocks
// back.
func TestSmallChunksFreeBlocks(t *testing.T) {
	c := irregular(700, 5)
	m := &maker{t: c}
	s := open(t, t.TempDir(), 0)
	sp := space(t, s, "k", c, m.fill)
	expect(t, sp, whole(c), 0, sp.Size())
	sp.flights.Wait()
	full := allocated(t, sp.data)
	if _, err := s.Trim(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if n := allocated(t, sp.data); n > 64<<10 {
		t.Errorf("%d of %d bytes still allocated", n, full)
	}
	expect(t, sp, whole(c), 0, sp.Size())
}

// What a process wrote before it died, without a mark, goes with its
// neighbours.
func TestUnmarkedDataIsFreed(t *testing.T) {
	c := uniform(5, 64<<10, 0)
	m := &maker{t: c}
	s := open(t, t.TempDir(), 0)
	sp := space(t, s, "k", c, m.fill)
	expect(t, sp, whole(c), c[1], 1)
	sp.flights.Wait()
	for i := range c {
		start, _ := c.Bounds(i)
		sp.data.WriteAt(bytes.Repeat([]byte("x"), 64<<10), start)
	}
	s.Trim(t.Context(), 1)
	// The last chunk's end is not to be known from any record.
	if n := allocated(t, sp.data); n > 2*64<<10 {
		t.Errorf("%d bytes still allocated", n)
	}
	expect(t, sp, whole(c), 0, sp.Size())
}

// Readers never see the holes that an evictor makes.
func TestReadersUnderEviction(t *testing.T) {
	noLeaks(t)
	for name, c := range map[string]tiles{"uniform": uniform(40, 16<<10, 9), "irregular": irregular(200, 7)} {
		t.Run(name, func(t *testing.T) {
			dir, want := t.TempDir(), whole(c)
			m := &maker{t: c}
			stores := []*Store{open(t, dir, 0), open(t, dir, 0)}
			spaces := []*Space{space(t, stores[0], "k", c, m.fill), space(t, stores[1], "k", c, m.fill)}
			stop := make(chan bool)
			var wg, evictors sync.WaitGroup
			evictors.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if _, err := stores[0].Trim(t.Context(), int64(len(want)/3)); err != nil {
							t.Error(err)
						}
					}
				}
			})
			for g := range 6 {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(g), 0))
					p := make([]byte, 64<<10)
					for range 200 {
						off := r.Int64N(int64(len(want)))
						b := p[:1+r.IntN(len(p)-1)]
						n, err := spaces[g%2].ReadAt(b, off)
						if n < len(b) && off+int64(n) < int64(len(want)) || !bytes.Equal(b[:n], want[off:off+int64(n)]) {
							t.Errorf("read at %d: %d of %d, %v, or wrong bytes", off, n, len(b), err)
							return
						}
					}
				})
			}
			wg.Wait()
			close(stop)
			evictors.Wait()
		})
	}
}

func TestLimitHolds(t *testing.T) {
	noLeaks(t)
	const limit = 16 << 20
	dir := smallDisk(t, "64M")   // Usage, while it walks through the store, counts what has gone and what has come in its place
	c := uniform(256, 64<<10, 0) // as much as the limit, twice
	want := whole(c)
	stores := []*Store{open(t, dir, limit), open(t, dir, limit)}
	var wg, watch sync.WaitGroup
	stop, most := make(chan bool), int64(0)
	watch.Go(func() {
		for {
			most = max(most, onDisk(t, dir))
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	for g := range 6 {
		m := &maker{t: c}
		sp := space(t, stores[g%2], []string{"a", "b"}[g/3], c, m.fill)
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			p := make([]byte, 200<<10)
			for range 100 {
				off := r.Int64N(int64(len(want) - len(p)))
				if _, err := sp.ReadAt(p, off); err != nil || !bytes.Equal(p, want[off:off+int64(len(p))]) {
					t.Errorf("read at %d: %v or wrong bytes", off, err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	watch.Wait()
	t.Logf("at most %.1f %% of the limit", float64(most)*100/limit)
	if most > limit+limit/20 {
		t.Errorf("%d bytes on disk, limit %d", most, limit)
	}
	if most < limit/2 {
		t.Errorf("only %d bytes used of %d", most, limit)
	}
}

// A layer larger than the limit is built as far as it goes.
func TestBuildBeyondLimit(t *testing.T) {
	const limit = 4 << 20
	dir, c := t.TempDir(), uniform(128, 64<<10, 0)
	s := open(t, dir, limit)
	filled(t, s, dir, "k", c, 0)
	if n := s.Usage(); n > limit+limit/20 {
		t.Errorf("%d bytes on disk, limit %d", n, limit)
	}
	if n := present(t, s, "k"); n < 40 {
		t.Errorf("%d chunks kept", n)
	}
	m := &maker{t: c}
	expect(t, space(t, s, "k", c, m.fill), whole(c), 0, 8<<20)
}
