package cache

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

// framed is a tiling whose chunks can't be had but by making all of their
// frame, of so many chunks, up to them.
type framed struct {
	tiles
	frame int
}

func (f framed) Widen(first, last int) (int, int) {
	return first / f.frame * f.frame, (last + f.frame - 1) / f.frame * f.frame
}

// TestFrameOnce has readers all over a frame while it is made: it is made once,
// and so is each of two that one reader wants.
func TestFrameOnce(t *testing.T) {
	noLeaks(t)
	c := framed{uniform(64, 10_000, 7), 16}
	m, want := &maker{t: c.tiles}, whole(c.tiles)
	begin := make(chan struct{})
	fill := func(first, last int, put func(int, []byte) error) error {
		<-begin
		return m.fill(first, last, put)
	}
	sp := space(t, open(t, t.TempDir(), 0), "k", c, fill)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() { expect(t, sp, want, int64(i)*10_000+100, 500) })
	}
	wg.Go(func() { expect(t, sp, want, 40*10_000, 10*10_000) })
	waiting := func() (n int) {
		sp.mu.Lock()
		defer sp.mu.Unlock()
		for _, pd := range sp.pending {
			n += len(pd.wants)
		}
		return n
	}
	for waiting() < 16+10 {
		time.Sleep(time.Millisecond)
	}
	close(begin)
	wg.Wait()
	sp.flights.Wait()
	made := m.made
	for i := range 16 {
		if made[i] != 1 || made[i+32] != 1 || made[i+48] != 1 || made[i+16] != 0 {
			t.Errorf("chunk %d of each frame: made %d, %d, %d and %d times", i, made[i], made[i+16], made[i+32], made[i+48])
		}
	}
	m.calls()
	expect(t, sp, want, 0, 16*10_000)
	if calls := m.calls(); len(calls) != 0 {
		t.Errorf("made again: %v", calls)
	}
}

// lone is framed, but for a chunk that can be had by itself.
type lone struct {
	framed
	chunk int
}

func (l lone) Widen(first, last int) (int, int) {
	if first == l.chunk && last == first+1 {
		return first, last
	}
	return l.framed.Widen(first, last)
}

// TestFrameAroundClaim makes a frame around a chunk that another flight is
// making: when the frame is done, that chunk is still claimed, and no other.
func TestFrameAroundClaim(t *testing.T) {
	noLeaks(t)
	c := lone{framed{uniform(16, 10_000, 0), 16}, 5}
	m, want, dir := &maker{t: c.tiles}, whole(c.tiles), t.TempDir()
	begun, end := make(chan bool), make(chan bool)
	fill := func(first, last int, put func(int, []byte) error) error {
		if first == c.chunk && last == first+1 {
			close(begun)
			<-end
		}
		return m.fill(first, last, put)
	}
	sp := space(t, open(t, dir, 0), "k", c, fill)
	other := space(t, open(t, dir, 0), "k", c, fill) // as another process has it
	claimed := func(i int) bool {
		err := lockRange(other.marks, claimBase+int64(i), claimBase+int64(i)+1)
		if err == nil {
			unlockRange(other.marks, claimBase+int64(i), claimBase+int64(i)+1)
		}
		return err != nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { expect(t, sp, want, 5*10_000, 10_000) })
	<-begun
	expect(t, sp, want, 11*10_000, 10_000)
	for claimed(11) { // until the frame's flight has landed
		time.Sleep(time.Millisecond)
	}
	for i := range 16 {
		if claimed(i) != (i == c.chunk) {
			t.Errorf("chunk %d: claimed: %v", i, claimed(i))
		}
	}
	close(end)
	wg.Wait()
	sp.flights.Wait()
}

// TestFrameWithHoles makes what is missing of a frame in one go, also where
// some of it is there.
func TestFrameWithHoles(t *testing.T) {
	noLeaks(t)
	c := framed{uniform(16, 10_000, 0), 16}
	m, want := &maker{t: c.tiles}, whole(c.tiles)
	s := open(t, t.TempDir(), 0)
	sp := space(t, s, "k", c.tiles, m.fill) // one by one
	for _, i := range []int{4, 5, 9} {
		expect(t, sp, want, int64(i)*10_000, 10_000)
	}
	sp.flights.Wait()
	sp.Close()
	m.calls()
	sp = space(t, s, "k", c, m.fill)
	expect(t, sp, want, 11*10_000, 10)
	sp.flights.Wait()
	if calls := m.calls(); len(calls) != 1 || calls[0] != (run{0, 16}) {
		t.Errorf("%v", calls)
	}
	expect(t, sp, want, 0, 16*10_000)
	if calls := m.calls(); len(calls) != 0 {
		t.Errorf("made again: %v", calls)
	}
}

// TestFrameWithoutRoom reads a frame that can't be kept from its beginning to
// its end: it is made a few times, not once for each read, and no further than
// somebody is helped by.
func TestFrameWithoutRoom(t *testing.T) {
	noLeaks(t)
	const chunk, n = 256 << 10, 96 // 24 MiB, of which a flight leaves 8 in memory
	c := framed{uniform(n, chunk, 0), n}
	m, want := &maker{t: c.tiles}, whole(c.tiles)
	sp := space(t, open(t, t.TempDir(), 1), "k", c, m.fill)
	p := make([]byte, 128<<10)
	for off := int64(0); off < sp.Size(); off += int64(len(p)) {
		if _, err := sp.ReadAt(p, off); err != nil || !bytes.Equal(p, want[off:off+int64(len(p))]) {
			t.Fatalf("at %d: %v", off, err)
		}
	}
	sp.flights.Wait()
	puts := 0
	for _, made := range m.made {
		puts += made
	}
	calls := m.calls()
	// A quarter, two, three and all; and a flight goes on a bit where its reader is slow to come for more.
	if most := 3 * n; len(calls) > 4 || puts > most {
		t.Errorf("made by %d fills, %d chunks of %d; want 4 and %d at most", len(calls), puts, n, most)
	}
}
