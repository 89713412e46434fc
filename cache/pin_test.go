package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestTrimPassesPinnedBy evicts all but what is pinned, whoever pinned it, be
// the space open or not.
func TestTrimPassesPinnedBy(t *testing.T) {
	noLeaks(t)
	dir, c := t.TempDir(), uniform(16, 64<<10, 0)
	s, other := open(t, dir, 0), open(t, dir, 0)
	for _, k := range []string{"closed", "open", "loose"} {
		filled(t, s, dir, k, c, time.Hour)
	}
	space(t, s, "open", c, (&maker{t: c}).fill)
	if err := other.Pin(Pin{Name: "p", Items: []Item{{KindSpace, "closed"}, {KindSpace, "open"}, {KindSpace, "gone"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Trim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if a, b, n := present(t, s, "closed"), present(t, s, "open"), present(t, s, "loose"); a != 16 || b != 16 || n != -1 {
		t.Errorf("present: %d, %d and %d", a, b, n)
	}
	entries, err := s.Entries()
	if err != nil || len(entries) != 2 || !entries[0].Pinned || !entries[1].Pinned {
		t.Errorf("%+v, %v", entries, err)
	}
	if err := other.Unpin("p"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Trim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if a, b := present(t, s, "closed"), present(t, s, "open"); a != -1 || b != 0 {
		t.Errorf("unpinned: %d and %d", a, b)
	}
}

// TestLimitFullOfPinned keeps nothing more where pinned spaces take all that is
// allowed, and reads.
func TestLimitFullOfPinned(t *testing.T) {
	dir, c := t.TempDir(), uniform(32, 64<<10, 0)
	u := open(t, dir, 0)
	filled(t, u, dir, "pinned", c, time.Hour)
	if err := u.Pin(Pin{Name: "p", Items: []Item{{KindSpace, "pinned"}}}); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, 1<<20)
	sp := space(t, s, "k", c, (&maker{t: c}).fill)
	expect(t, sp, whole(c), 0, sp.Size())
	if n := present(t, s, "pinned"); n != 32 {
		t.Errorf("%d chunks present", n)
	}
	if err := s.Trouble(); err != nil {
		t.Errorf("a limit is no trouble: %v", err)
	}
}

func TestPins(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	if pins, err := s.Pins(); len(pins) != 0 || err != nil {
		t.Errorf("%v, %v", pins, err)
	}
	made := time.Now().UTC()
	for _, p := range []Pin{
		{Name: "b", Note: []byte("old")}, {Name: "b", Note: []byte("new"), Made: made},
		{Name: "a", Items: []Item{{KindObject, "o"}}}, {Name: "c"},
	} {
		if err := s.Pin(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(dir, "v1/pins/c"), filepath.Join(dir, "v1/pins/d")); err != nil { // then it is another one's
		t.Fatal(err)
	}
	pins, err := s.Pins()
	if err != nil || len(pins) != 2 || pins[0].Items[0] != (Item{KindObject, "o"}) || string(pins[1].Note) != "new" || !pins[1].Made.Equal(made) {
		t.Errorf("%+v, %v", pins, err)
	}
	for name, want := range map[string]error{"a": nil, "z": fs.ErrNotExist, "../x": fs.ErrInvalid} {
		if err := s.Unpin(name); !errors.Is(err, want) {
			t.Errorf("unpin %q: %v", name, err)
		}
	}
	for _, p := range []Pin{{Name: "a/b"}, {Name: "a", Items: []Item{{KindSpace, ".."}}}} {
		if err := s.Pin(p); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// TestUsed lists what a store has read or made, and not what it has only seen.
func TestUsed(t *testing.T) {
	dir, c := t.TempDir(), uniform(2, 1000, 0)
	s := open(t, dir, 0)
	filled(t, s, dir, "built", c, 0)
	s.Put("o", nil)
	if s = open(t, dir, 0); s.Used() != nil {
		t.Errorf("at first: %v", s.Used())
	}
	s.Entries()
	s.Peek("o")
	s.Get("absent")
	s.Put("put", nil)
	space(t, s, "space", c, nil)
	want := []Item{{KindObject, "put"}, {KindSpace, "space"}}
	if got := s.Used(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	s.Get("o")
	filled(t, s, dir, "other", c, 0)
	want = []Item{{KindObject, "o"}, {KindObject, "put"}, {KindSpace, "other"}, {KindSpace, "space"}}
	if got := s.Used(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// FuzzPin reads whatever lies where pins do.
func FuzzPin(f *testing.F) {
	f.Add([]byte(`{"name":"p","items":[{"kind":"space","key":"k"}]}`))
	f.Add([]byte(`{"name":"q"}`))
	f.Add([]byte(`{"items":[null]}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := open(t, t.TempDir(), 0)
		if err := s.putIn(s.pins, "p", b); err != nil {
			t.Fatal(err)
		}
		pins, err := s.Pins()
		if err != nil || len(pins) > 1 || len(pins) == 1 && pins[0].Name != "p" {
			t.Errorf("%+v, %v", pins, err)
		}
		if _, err := s.Entries(); err != nil {
			t.Error(err)
		}
	})
}
