package cache

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

func TestReadAt(t *testing.T) {
	for name, c := range map[string]tiles{
		"uniform":   uniform(9, 256<<10, 77),
		"one":       uniform(1, 1, 0),
		"bytes":     uniform(300, 1, 0),
		"irregular": irregular(500, 1),
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			m, want := &maker{t: c}, whole(c)
			s := open(t, t.TempDir(), 0)
			sp := space(t, s, "k", c, m.fill)
			r := rand.New(rand.NewPCG(1, 2))
			for range 200 {
				off := r.Int64N(sp.Size())
				n := 1 + r.Int64N(sp.Size()-off)
				if r.IntN(2) == 0 {
					n = min(n, 10000)
				}
				expect(t, sp, want, off, n)
			}
			if sp.Size() < 1000 {
				if err := iotest.TestReader(io.NewSectionReader(sp, 0, sp.Size()), want); err != nil {
					t.Error(err)
				}
			}
			for i, n := range m.made {
				if n != 1 {
					t.Errorf("chunk %d made %d times", i, n)
				}
			}
		})
	}
}

func TestReadAtBounds(t *testing.T) {
	c := uniform(3, 10, 0)
	m, want := &maker{t: c}, whole(c)
	sp := space(t, open(t, t.TempDir(), 0), "k", c, m.fill)
	for _, x := range []struct {
		n, off int64
		got    int
		err    error
	}{
		{0, 0, 0, nil}, {0, 30, 0, nil}, {0, 99, 0, nil},
		{1, 30, 0, io.EOF}, {1, 1 << 62, 0, io.EOF},
		{30, 0, 30, nil}, {31, 0, 30, io.EOF}, {5, 28, 2, io.EOF}, {2, 28, 2, nil},
		{1, -1, 0, fs.ErrInvalid},
	} {
		p := make([]byte, x.n)
		n, err := sp.ReadAt(p, x.off)
		if n != x.got || !errors.Is(err, x.err) {
			t.Errorf("ReadAt(%d bytes, %d) = %d, %v; want %d, %v", x.n, x.off, n, err, x.got, x.err)
		}
		if n > 0 && !bytes.Equal(p[:n], want[x.off:x.off+int64(n)]) {
			t.Errorf("ReadAt(%d bytes, %d): wrong bytes", x.n, x.off)
		}
	}
}

func TestEmptySpace(t *testing.T) {
	sp := space(t, open(t, t.TempDir(), 0), "k", tiles{}, nil)
	if n, err := sp.ReadAt(make([]byte, 1), 0); n != 0 || err != io.EOF {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestNeighboursAreOneFill(t *testing.T) {
	c := uniform(20, 1000, 0)
	m, want := &maker{t: c}, whole(c)
	sp := space(t, open(t, t.TempDir(), 0), "k", c, m.fill)
	for _, x := range []struct {
		off, n int64
		calls  []run
	}{
		{5500, 10, []run{{5, 6}}},
		{7999, 2, []run{{7, 9}}},
		{0, 20000, []run{{0, 5}, {6, 7}, {9, 20}}},
		{0, 20000, nil},
	} {
		expect(t, sp, want, x.off, x.n)
		got := m.calls()
		slices.SortFunc(got, func(a, b run) int { return a.first - b.first })
		if !slices.Equal(got, x.calls) {
			t.Errorf("read of %d at %d: fills %v, want %v", x.n, x.off, got, x.calls)
		}
	}
}

func TestOneFillForManyReaders(t *testing.T) {
	noLeaks(t)
	c := uniform(64, 4096, 5)
	m, want := &maker{t: c, delay: 2 * time.Millisecond}, whole(c)
	sp := space(t, open(t, t.TempDir(), 0), "k", c, m.fill)
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			p := make([]byte, 20000)
			for range 40 {
				off := r.Int64N(sp.Size())
				n, err := sp.ReadAt(p, off)
				if err != nil && err != io.EOF || !bytes.Equal(p[:n], want[off:off+int64(n)]) {
					t.Errorf("read at %d: %v or wrong bytes", off, err)
				}
			}
		})
	}
	wg.Wait()
	sp.flights.Wait()
	for i, n := range m.made {
		if n != 1 {
			t.Errorf("chunk %d made %d times", i, n)
		}
	}
	if len(sp.pending) != 0 {
		t.Errorf("%d chunks still pending", len(sp.pending))
	}
}

func TestFailureIsNotRemembered(t *testing.T) {
	c := uniform(4, 100, 0)
	broken := errors.New("broken")
	m, want := &maker{t: c, fail: broken, delay: 20 * time.Millisecond}, whole(c)
	sp := space(t, open(t, t.TempDir(), 0), "k", c, m.fill)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if n, err := sp.ReadAt(make([]byte, 400), 0); n != 0 || !errors.Is(err, broken) {
				t.Errorf("got %d, %v", n, err)
			}
		})
	}
	wg.Wait()
	m.fail = nil
	expect(t, sp, want, 0, 400)
}

// What was read before the failure is delivered, and counted.
func TestPartialFailure(t *testing.T) {
	c := uniform(4, 100, 0)
	broken := errors.New("broken")
	want := whole(c)
	sp := space(t, open(t, t.TempDir(), 0), "k", c, func(first, last int, put func(int, []byte) error) error {
		put(0, content(c, 0))
		put(1, content(c, 1))
		return broken
	})
	p := make([]byte, 350)
	n, err := sp.ReadAt(p, 50)
	if n != 150 || !errors.Is(err, broken) || !bytes.Equal(p[:n], want[50:200]) {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestFillMisbehaves(t *testing.T) {
	c := uniform(4, 100, 0)
	for name, x := range map[string]struct {
		fill Fill
		err  error
	}{
		"nothing": {func(first, last int, put func(int, []byte) error) error { return nil }, errUnfilled},
		"short":   {func(first, last int, put func(int, []byte) error) error { return put(0, make([]byte, 99)) }, fs.ErrInvalid},
		"far":     {func(first, last int, put func(int, []byte) error) error { return put(4, make([]byte, 100)) }, fs.ErrInvalid},
		"below":   {func(first, last int, put func(int, []byte) error) error { return put(-1, nil) }, fs.ErrInvalid},
	} {
		sp := space(t, open(t, t.TempDir(), 0), "k", c, x.fill)
		if n, err := sp.ReadAt(make([]byte, 1), 0); n != 0 || !errors.Is(err, x.err) {
			t.Errorf("%s: got %d, %v", name, n, err)
		}
	}
}

func TestFillPutsMore(t *testing.T) {
	c := uniform(10, 100, 0)
	want, calls := whole(c), 0
	sp := space(t, open(t, t.TempDir(), 0), "k", c, func(first, last int, put func(int, []byte) error) error {
		calls++
		for range 2 {
			for i := range c {
				if err := put(i, content(c, i)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	expect(t, sp, want, 510, 10)
	sp.flights.Wait()
	expect(t, sp, want, 0, 1000)
	if calls != 1 {
		t.Errorf("%d fills", calls)
	}
}

func TestSurvivesReopen(t *testing.T) {
	dir, c := t.TempDir(), irregular(200, 2)
	m, want := &maker{t: c}, whole(c)
	sp := space(t, open(t, dir, 0), "k", c, m.fill)
	expect(t, sp, want, 0, sp.Size())
	sp.Close()
	m.calls()
	again := space(t, open(t, dir, 0), "k", c, m.fill)
	expect(t, again, want, 0, again.Size())
	expect(t, again, want, 1, again.Size()-1)
	if got := m.calls(); got != nil {
		t.Errorf("filled again: %v", got)
	}
}

func TestZeroChunksAreHoles(t *testing.T) {
	c := uniform(1, 64<<20, 0)
	sp := space(t, open(t, t.TempDir(), 0), "k", c, func(_, _ int, put func(int, []byte) error) error {
		return put(0, make([]byte, 64<<20))
	})
	expect(t, sp, make([]byte, 64<<20), 0, 64<<20)
	sp.flights.Wait()
	if n := allocated(t, sp.data); n > 64<<10 {
		t.Errorf("%d bytes allocated for zeros", n)
	}
}

func TestClose(t *testing.T) {
	noLeaks(t)
	c := uniform(2, 100, 0)
	entered, leave := make(chan bool), make(chan bool)
	s := open(t, t.TempDir(), 0)
	sp := space(t, s, "k", c, func(first, last int, put func(int, []byte) error) error {
		close(entered)
		<-leave
		return put(0, content(c, 0))
	})
	read := make(chan error)
	go func() { _, err := sp.ReadAt(make([]byte, 1), 0); read <- err }()
	<-entered
	go func() { <-sp.stopped.Done(); close(leave) }()
	sp.Close()
	sp.Close()
	if err := <-read; !errors.Is(err, fs.ErrClosed) {
		t.Errorf("waiting reader: %v", err)
	}
	if _, err := sp.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	if _, err := sp.Aux(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("aux after close: %v", err)
	}
}

func TestBuild(t *testing.T) {
	noLeaks(t)
	dir, c := t.TempDir(), irregular(1000, 3)
	s := open(t, dir, 0)
	b := s.Build()
	defer b.Abort()
	window := bytes.Repeat([]byte("window"), 1001)
	for i := range c {
		start, _ := c.Bounds(i)
		if err := b.Chunk(i, start, content(c, i)); err != nil {
			t.Fatal(err)
		}
		if i%400 == 0 {
			b.Window(window)
		}
	}
	if err := b.Commit("k"); err != nil {
		t.Fatal(err)
	}
	b.Abort()
	m, want := &maker{t: c}, whole(c)
	sp := space(t, s, "k", c, m.fill)
	expect(t, sp, want, 0, sp.Size())
	if got := m.calls(); got != nil {
		t.Errorf("filled: %v", got)
	}
	aux, err := sp.Aux()
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.Repeat(window, 3)
	if err := iotest.TestReader(io.NewSectionReader(aux, 0, int64(len(all))), all); err != nil {
		t.Error(err)
	}
	if n, err := aux.ReadAt(make([]byte, 10), int64(len(all)-3)); n != 3 || err != io.EOF {
		t.Errorf("read over the end of aux: %d, %v", n, err)
	}
	left(t, dir, "tmp", 0)
}

// left checks how many names a directory of the store holds.
func left(t *testing.T, dir, name string, want int) {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(dir, "v1", name))
	if err != nil || len(names) != want {
		t.Errorf("%d left in %s, want %d (%v)", len(names), name, want, err)
	}
}

// The way of a read that finds all it wants allocates nothing.
func TestWarmReadAllocates(t *testing.T) {
	c := uniform(16, 4096, 0)
	sp := space(t, open(t, t.TempDir(), 0), "k", c, (&maker{t: c}).fill)
	p := make([]byte, 10000)
	for range 2 {
		expect(t, sp, whole(c), 0, sp.Size())
		sp.flights.Wait()
	}
	if n := testing.AllocsPerRun(100, func() { sp.ReadAt(p, 5000) }); n >= 1 {
		t.Errorf("%v allocations per read", n)
	}
}

// TestDiscard has chunks filled anew that somebody found to be wrong, from disk
// or from memory, and no others.
func TestDiscard(t *testing.T) {
	noLeaks(t)
	c := uniform(8, 10_000, 0)
	for name, limit := range map[string]int64{"disk": 0, "memory": 1} {
		m, want := &maker{t: c}, whole(c)
		sp := space(t, open(t, t.TempDir(), limit), "k", c, m.fill)
		expect(t, sp, want, 0, sp.Size())
		sp.flights.Wait()
		m.calls()
		sp.Discard(25_000, 10_000)
		sp.Discard(-1, 5)
		sp.Discard(79_999, 2)
		expect(t, sp, want, 0, sp.Size())
		if calls := m.calls(); len(calls) != 1 || calls[0] != (run{2, 4}) {
			t.Errorf("%s: %v", name, calls)
		}
	}
}
