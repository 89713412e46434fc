package cache

import (
	"slices"
	"testing"
)

// TestPresent tells of what was read, and of nothing else.
func TestPresent(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fill := func(first, last int, put func(i int, p []byte) error) error {
		for i := first; i < last; i++ {
			if err := put(i, []byte{byte(i), byte(i)}); err != nil {
				return err
			}
		}
		return nil
	}
	sp, err := s.Space("k", pairs(300), fill)
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	want := []int{0, 127, 128, 299}
	for _, i := range want {
		if _, err := sp.ReadAt(make([]byte, 2), int64(2*i)); err != nil {
			t.Fatal(err)
		}
	}
	sp.flights.Wait() // a chunk is delivered before it is kept
	if n := s.Present("k"); n != int64(2*len(want)) {
		t.Errorf("%d bytes", n)
	}
	if n := s.Present("none"); n != 0 {
		t.Errorf("%d bytes of nothing", n)
	}
	if all, err := s.Entries(); len(all) != 1 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	var got []int
	sp.Present(func(i int) { got = append(got, i) })
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// pairs is a space of so many chunks of two bytes.
type pairs int

func (p pairs) Len() int                  { return int(p) }
func (p pairs) Bounds(i int) (s, e int64) { return int64(2 * i), int64(2*i + 2) }
func (p pairs) At(off int64) int          { return int(off / 2) }

// TestWritten waits for the disk, for which readers don't.
func TestWritten(t *testing.T) {
	dir, c := t.TempDir(), uniform(16, 16<<10, 0)
	s := open(t, dir, 0)
	for round := range 10 {
		key := "k" + itoa(round)
		sp := space(t, s, key, c, (&maker{t: c}).fill)
		sp.Written()
		expect(t, sp, whole(c), 0, sp.Size())
		sp.Written()
		if n := s.Present(key); n != sp.Size() {
			t.Fatalf("round %d: %d of %d bytes", round, n, sp.Size())
		}
		sp.Close()
	}
}
