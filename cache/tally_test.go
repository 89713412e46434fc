package cache

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTally counts to the byte what was there, what was not, and what became of
// it.
func TestTally(t *testing.T) {
	dir, c := t.TempDir(), uniform(8, 1000, 0)
	s := open(t, dir, 0)
	m := &maker{t: c}
	sp := space(t, s, "k", c, m.fill)
	want := whole(c)
	check := func(what string, w Tally) {
		t.Helper()
		sp.flights.Wait()
		if got := s.Tally(); got != w {
			t.Errorf("%s: %+v, want %+v", what, got, w)
		}
	}
	expect(t, sp, want, 1500, 1000) // parts of chunks 1 and 2
	check("nothing there", Tally{MissBytes: 1000, Fills: 1})
	expect(t, sp, want, 500, 2700) // of 0, and of 3
	check("the middle is there", Tally{HitBytes: 2000, MissBytes: 1700, Fills: 3})
	expect(t, sp, want, 1000, 10)
	check("there", Tally{HitBytes: 2010, MissBytes: 1700, Fills: 3})

	m.fail = errors.New("no luck")
	if _, err := sp.ReadAt(make([]byte, 100), 7900); !errors.Is(err, m.fail) {
		t.Error(err)
	}
	check("failed", Tally{HitBytes: 2010, MissBytes: 1800, Fills: 4, Failed: 1})

	if err := s.Unfilled(); !errors.Is(err, m.fail) {
		t.Errorf("unfilled: %v", err)
	}
	m.fail = nil
	if err := flip(filepath.Join(dir, "v1/spaces/k/data"), 1003); err != nil {
		t.Fatal(err)
	}
	sp.checked[1].Store(0) // as if another process asked
	expect(t, sp, want, 1000, 1000)
	check("damaged", Tally{HitBytes: 2010, MissBytes: 2800, Fills: 5, Failed: 1, Damaged: 1})

	if err := s.Unfilled(); err != nil {
		t.Errorf("unfilled: %v", err)
	}
	if _, err := s.Trim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	check("evicted", Tally{HitBytes: 2010, MissBytes: 2800, Fills: 5, Failed: 1, Damaged: 1, Evicted: 4000})
}

// TestTallyEvicted counts what goes of closed spaces, by parts and whole.
func TestTallyEvicted(t *testing.T) {
	dir, c := t.TempDir(), uniform(16, 64<<10, 0)
	s := open(t, dir, 0)
	filled(t, s, dir, "k", c, time.Hour)
	if _, err := s.Trim(t.Context(), s.Usage()-256<<10); err != nil {
		t.Fatal(err)
	}
	if n := s.Tally().Evicted; n != int64(16-present(t, s, "k"))*64<<10 || n == 0 {
		t.Errorf("%d bytes", n)
	}
	if _, err := s.Trim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if n := s.Tally().Evicted; n != 1<<20 {
		t.Errorf("%d bytes", n)
	}
}

// TestTrouble tells why nothing can be kept, until it can.
func TestTrouble(t *testing.T) {
	dir, c := smallDisk(t, "1M"), uniform(64, 64<<10, 0)
	s := open(t, dir, 0)
	sp := space(t, s, "k", c, (&maker{t: c}).fill)
	expect(t, sp, whole(c), 0, 128<<10)
	sp.flights.Wait()
	if err := s.Trouble(); err != nil {
		t.Errorf("at first: %v", err)
	}
	expect(t, sp, whole(c), 0, sp.Size())
	sp.flights.Wait()
	if err := s.Trouble(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("full: %v", err)
	}
	if n := s.Tally().Unkept; n < 2<<20 || n%(64<<10) != 0 {
		t.Errorf("%d bytes unkept", n)
	}
	if _, err := s.Trim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	expect(t, sp, whole(c), 0, 1)
	sp.flights.Wait()
	if err := s.Trouble(); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "v1/spaces/k/data")); err != nil {
		t.Fatal(err)
	}
	expect(t, sp, whole(c), 1<<20, 1)
	sp.flights.Wait()
	if err := s.Trouble(); !errors.Is(err, errUnsound) {
		t.Errorf("deleted: %v", err)
	}
}
