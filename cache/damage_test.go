package cache

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damages is what may happen to the files of a space, in its directory.
var damages = map[string]func(dir string) error{
	"data: bit flipped": func(d string) error { return flip(d+"/data", 37<<10) },
	"data: cut":         func(d string) error { return os.Truncate(d+"/data", 9<<10) },
	"data: emptied":     func(d string) error { return os.Truncate(d+"/data", 0) },
	"data: deleted":     func(d string) error { return os.Remove(d + "/data") },
	"data: zeros":       func(d string) error { return replace(d+"/data", make([]byte, 1<<17)) },
	"data: short":       func(d string) error { return replace(d+"/data", make([]byte, 1<<10)) },
	"data: a directory": func(d string) error { return errors.Join(os.Remove(d+"/data"), os.Mkdir(d+"/data", 0o700)) },
	"data: a link": func(d string) error {
		return errors.Join(os.Rename(d+"/data", d+"/x"), os.Symlink("x", d+"/data"))
	},
	"data: read-only": func(d string) error { return os.Chmod(d+"/data", 0o400) },
	"marks: off":      func(d string) error { return flip(d+"/marks", 2*markSize+1) },
	"marks: len":      func(d string) error { return flip(d+"/marks", 2*markSize+9) },
	"marks: crc":      func(d string) error { return flip(d+"/marks", 2*markSize+13) },
	"marks: sum":      func(d string) error { return flip(d+"/marks", 2*markSize+17) },
	"marks: seq":      func(d string) error { return flip(d+"/marks", 2*markSize+20) },
	"marks: used":     func(d string) error { return flip(d+"/marks", 2*markSize+25) },
	"marks: header":   func(d string) error { return flip(d+"/marks", 3) },
	"marks: inode":    func(d string) error { return flip(d+"/marks", 9) },
	"marks: tiling":   func(d string) error { return flip(d+"/marks", 25) },
	"marks: cut":      func(d string) error { return os.Truncate(d+"/marks", 3*markSize+5) },
	"marks: emptied":  func(d string) error { return os.Truncate(d+"/marks", 0) },
	"marks: deleted":  func(d string) error { return os.Remove(d + "/marks") },
	"marks: copied":   func(d string) error { return again(d + "/marks") },
	"both copied":     func(d string) error { return errors.Join(again(d+"/data"), again(d+"/marks")) },
	"records swapped": func(d string) error {
		b, err := os.ReadFile(d + "/marks")
		copy(b[markSize:], b[5*markSize:6*markSize])
		return errors.Join(err, os.WriteFile(d+"/marks", b, 0o600))
	},
	"marks: ones":   func(d string) error { return replace(d+"/marks", []byte(strings.Repeat("\xff", 4096))) },
	"deleted":       func(d string) error { return os.RemoveAll(d) },
	"store deleted": func(d string) error { return os.RemoveAll(filepath.Dir(filepath.Dir(d))) },
}

func flip(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	b[0] ^= 1
	_, err2 := f.WriteAt(b, at)
	return errors.Join(err, err2)
}

// replace puts another file in place.
func replace(path string, b []byte) error {
	return errors.Join(os.WriteFile(path+"~", b, 0o600), os.Rename(path+"~", path))
}

// again puts a copy in place.
func again(path string) error {
	b, err := os.ReadFile(path)
	return errors.Join(err, replace(path, b))
}

// Whatever happened to the files, a process that opens the space reads the
// right bytes; those who had it open too.
func TestDamage(t *testing.T) {
	c := uniform(8, 16<<10, 5)
	want := whole(c)
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			m, dir := &maker{t: c}, t.TempDir()
			filled(t, open(t, dir, 0), dir, "k", c, 0)
			if err := damage(filepath.Join(dir, "v1/spaces/k")); err != nil {
				t.Fatal(err)
			}
			sp := space(t, open(t, dir, 0), "k", c, m.fill)
			expect(t, sp, want, 0, sp.Size())
			expect(t, sp, want, 0, sp.Size())
			if !sp.onDisk() {
				t.Error("nothing can be kept any more")
			}
		})
		t.Run("open, "+name, func(t *testing.T) {
			noLeaks(t)
			m, dir := &maker{t: c}, t.TempDir()
			s := open(t, dir, 0)
			filled(t, s, dir, "k", c, 0)
			fresh := space(t, s, "k", c, m.fill)   // has checked nothing
			checked := space(t, s, "k", c, m.fill) // has checked all
			expect(t, checked, want, 0, fresh.Size())
			if err := damage(filepath.Join(dir, "v1/spaces/k")); err != nil {
				t.Fatal(err)
			}
			if name != "data: bit flipped" { // noticed on first use only
				expect(t, checked, want, 0, fresh.Size())
			}
			expect(t, fresh, want, 0, fresh.Size())
			late := space(t, open(t, dir, 0), "k", c, m.fill)
			expect(t, late, want, 0, fresh.Size())
			// However they hang together now, they don't harm each other.
			for _, sp := range []*Space{checked, fresh, late} {
				if _, err := s.Trim(t.Context(), 1); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				if name != "data: bit flipped" {
					expect(t, checked, want, 0, sp.Size())
				}
				expect(t, sp, want, 0, sp.Size())
				expect(t, late, want, 0, sp.Size())
			}
		})
	}
}

// A process that died after writing data and before its mark left nothing.
func TestDeathBeforeMark(t *testing.T) {
	c := uniform(4, 1000, 0)
	m, dir := &maker{t: c}, t.TempDir()
	sp := space(t, open(t, dir, 0), "k", c, m.fill)
	sp.data.WriteAt([]byte("half written"), 10)
	expect(t, sp, whole(c), 0, 4000)
	if calls := m.calls(); len(calls) != 1 {
		t.Errorf("fills %v", calls)
	}
}

// A process that died between mark and punch left an absent chunk.
func TestDeathBeforePunch(t *testing.T) {
	c := uniform(4, 1000, 0)
	m, dir := &maker{t: c}, t.TempDir()
	sp := space(t, open(t, dir, 0), "k", c, m.fill)
	expect(t, sp, whole(c), 0, 4000)
	sp.flights.Wait()
	mk := readMark(sp.marks, 1)
	mk.seq++
	if err := writeMark(sp.marks, 1, mk); err != nil {
		t.Fatal(err)
	}
	m.calls()
	expect(t, sp, whole(c), 0, 4000)
	sp.flights.Wait()
	if calls := m.calls(); len(calls) != 1 || calls[0] != (run{1, 2}) {
		t.Errorf("fills %v", calls)
	}
	if got := readMark(sp.marks, 1).seq; got != mk.seq+1 {
		t.Errorf("seq %d after %d", got, mk.seq)
	}
}

func TestDamagedWindows(t *testing.T) {
	for name, x := range map[string]struct {
		at     int64
		opened bool
	}{"content": {20 << 10, true}, "sums": {100<<10 + 2, false}, "magic": {100<<10 + 4*7 + 1, false}, "size": {100<<10 + 4*7 + 9, false}} {
		c, dir := uniform(2, 1000, 0), t.TempDir()
		s := open(t, dir, 0)
		filled(t, s, dir, "k", c, 0)
		if err := flip(filepath.Join(dir, "v1/spaces/k/aux"), x.at); err != nil {
			t.Fatal(err)
		}
		sp := space(t, s, "k", c, nil)
		aux, err := sp.Aux()
		if !x.opened {
			if !errors.Is(err, ErrDamaged) || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if n, err := aux.ReadAt(make([]byte, 16<<10), 0); n != 16<<10 || err != nil {
			t.Errorf("%s: undamaged block: %d, %v", name, n, err)
		}
		if n, err := io.Copy(io.Discard, io.NewSectionReader(aux, 0, 100<<10)); n > 16<<10 || !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: read %d, %v", name, n, err)
		}
	}
}

func TestVerify(t *testing.T) {
	noLeaks(t)
	dir, c := t.TempDir(), uniform(8, 128<<10, 0)
	s := open(t, dir, 0)
	for _, k := range []string{"good", "bad", "windows"} {
		filled(t, s, dir, k, c, 0)
		if err := s.Put(k, []byte("some bytes")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"good", "bad"} {
		if err := s.Pin(Pin{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	in := func(p string) string { return filepath.Join(dir, "v1", p) }
	err := errors.Join(flip(in("objects/bad"), 2), flip(in("pins/bad"), 2), flip(in("spaces/bad/data"), 10), flip(in("spaces/bad/data"), 600<<10),
		flip(in("spaces/windows/aux"), 9))
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string]bool{"object bad": true, "space bad": true, "space windows": true, "pin bad": true}
	for pass, x := range []struct {
		repair bool
		wrong  map[string]bool
		seen   int
	}{{false, damaged, 8}, {true, damaged, 8}, {true, nil, 6}, {false, nil, 6}} { // the object and the pin are gone
		got, seen := map[string]bool{}, 0
		if err := s.Verify(t.Context(), x.repair, func(c Check) {
			seen++
			if c.Err != nil {
				got[string(c.Kind)+" "+c.Key] = errors.Is(c.Err, ErrDamaged) && c.Repaired == x.repair
			}
		}); err != nil {
			t.Fatal(err)
		}
		if seen != x.seen {
			t.Errorf("pass %d: %d entries", pass, seen)
		}
		if !maps.Equal(got, x.wrong) {
			t.Errorf("pass %d: found %v", pass, got)
		}
	}
	if n := present(t, s, "bad"); n != 6 {
		t.Errorf("%d chunks present, want 6", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Verify(ctx, true, func(Check) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestEntriesAndRemove(t *testing.T) {
	noLeaks(t)
	dir, c := t.TempDir(), uniform(8, 128<<10, 0)
	s := open(t, dir, 0)
	filled(t, s, dir, "b", c, 0)
	filled(t, s, dir, "a", c, 0)
	if err := s.Put("o", make([]byte, 10000)); err != nil {
		t.Fatal(err)
	}
	sp := space(t, s, "b", c, nil)
	all, err := s.Entries()
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	sum := int64(0)
	for i, want := range []Entry{{Kind: KindObject, Key: "o", Bytes: 12 << 10}, {Kind: KindSpace, Key: "a", Bytes: 996 << 10}, {Kind: KindSpace, Key: "b", InUse: true, Bytes: 996 << 10}} {
		got := all[i]
		sum += got.Bytes
		if got.Kind != want.Kind || got.Key != want.Key || got.InUse != want.InUse || got.Bytes < want.Bytes || got.Bytes > want.Bytes+64<<10 {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if got := s.Usage(); got != sum {
		t.Errorf("usage %d, entries %d", got, sum)
	}
	for _, x := range []struct {
		kind Kind
		key  string
		err  error
	}{{KindSpace, "b", ErrInUse}, {KindSpace, "a", nil}, {KindSpace, "a", fs.ErrNotExist}, {KindObject, "o", nil},
		{KindObject, "o", fs.ErrNotExist}, {KindObject, "../x", fs.ErrInvalid}, {"x", "o", fs.ErrInvalid}} {
		if err := s.Remove(x.kind, x.key); !errors.Is(err, x.err) {
			t.Errorf("remove %s %s: %v, want %v", x.kind, x.key, err, x.err)
		}
	}
	sp.Close()
	if err := s.Remove(KindSpace, "b"); err != nil {
		t.Error(err)
	}
	if n := s.Usage(); n != 0 {
		t.Errorf("%d bytes left", n)
	}
}

// A file that was cut is not written to: what lies between its end and what is
// written would read as zeros, to those who know it to be right.
func TestCutUnderReader(t *testing.T) {
	c := uniform(8, 16<<10, 0)
	want, dir := whole(c), t.TempDir()
	s := open(t, dir, 0)
	filled(t, s, dir, "k", c, 0)
	m := &maker{t: c}
	sp := space(t, s, "k", c, m.fill)
	expect(t, sp, want, 0, sp.Size())
	if err := os.Truncate(filepath.Join(dir, "v1/spaces/k/data"), 0); err != nil {
		t.Fatal(err)
	}
	expect(t, sp, want, c[6], 1)
	sp.flights.Wait()
	expect(t, sp, want, 0, sp.Size())
}

// A file that was deleted does not grow, where nobody would count it.
func TestDeletedUnderReader(t *testing.T) {
	c := uniform(8, 16<<10, 0)
	dir := t.TempDir()
	s := open(t, dir, 0)
	m := &maker{t: c}
	sp := space(t, s, "k", c, m.fill)
	if err := os.RemoveAll(filepath.Join(dir, "v1/spaces/k")); err != nil {
		t.Fatal(err)
	}
	expect(t, sp, whole(c), 0, sp.Size())
	sp.flights.Wait()
	if n := allocated(t, sp.data); n != 0 {
		t.Errorf("%d bytes in a deleted file", n)
	}
	expect(t, sp, whole(c), 0, sp.Size()) // from memory
	if calls := m.calls(); len(calls) != 1 {
		t.Errorf("fills %v", calls)
	}
}
