package cache

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The layout, to the byte: what others wrote must be read for ever, or version
// must change.
func TestLayout(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	if err := s.Put("o", []byte("abc")); err != nil {
		t.Fatal(err)
	}
	b := s.Build()
	b.seq = 7
	b.Chunk(0, 0, []byte("xyz"))
	b.Chunk(1, 3, []byte{0, 0})
	b.Window([]byte("window"))
	if err := b.Commit("s"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"objects/o":     "616263 6f636966736f6231 d352c55eade781af2ca20499f1100112c5857a577ef8224159bf210ba56d83af",
		"spaces/s/data": "78797a 0000",
		"spaces/s/aux": "77696e646f77 89bcda7f" + // windows, sums
			"6f63696673617831 0600000000000000 a7764323 3bd2ad37", // trailer
	} {
		got, err := os.ReadFile(filepath.Join(dir, "v1", name))
		if err != nil {
			t.Fatal(err)
		}
		if g := hex.EncodeToString(got); g != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%s: %s", name, g)
		}
	}
	marks, err := os.ReadFile(filepath.Join(dir, "v1/spaces/s/marks"))
	if err != nil || len(marks) != 3*markSize || string(marks[:8]) != "ocifsmk1" {
		t.Fatal(len(marks), err)
	}
	clear(marks[8:24]) // inode numbers
	for i := 1; i < 3; i++ {
		clear(marks[i*markSize+markUsed:][:4])
	}
	want := "00000000000000000000000000000000 eb8f924a055821a4" + // inodes, tiling
		"0000000000000000 03000000 85682325 a2ad28eb 07000000 00000000 00000000" + // off, len, crc, sum, seq, used
		"0300000000000000 02000000 d27761f1 908379a0 07000000 00000000 00000000"
	if got := hex.EncodeToString(marks[8:]); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("marks: %s", got)
	}
}

// Whatever is in the marks file, no wrong byte is read, and none is after
// eviction went by it.
func FuzzMarks(f *testing.F) {
	c := tiles{100, 101, 5000, 9000}
	want := whole(c)
	good := make([]byte, 0, 4*markSize)
	for i := range c {
		start, end := c.Bounds(i)
		var b [markSize]byte
		mark{off: start, len: uint32(end - start), crc: sumOf(content(c, i)), seq: 7, used: 1}.put(b[:], i)
		good = append(good, b[:]...)
	}
	f.Add(good, true)
	f.Add(good, false)
	f.Add(good[:3*markSize-7], true)
	f.Add(bytes.Repeat([]byte{0xff}, 200), true)
	f.Add([]byte{}, true)
	dir := f.TempDir()
	s := open(f, dir, 0)
	f.Fuzz(func(t *testing.T, marks []byte, data bool) {
		m := &maker{t: c}
		sp := space(t, s, "k", c, m.fill)
		if data {
			sp.data.WriteAt(want, 0)
		}
		sp.marks.WriteAt(marks, markSize)
		expect(t, sp, want, 0, sp.Size())
		expect(t, sp, want, 0, sp.Size())
		sp.flights.Wait()
		s.Trim(t.Context(), 1)
		expect(t, sp, want, 0, sp.Size())
		sp.Close()
		if err := s.Remove(KindSpace, "k"); err != nil {
			t.Fatal(err)
		}
	})
}

// No aux file makes a reader panic, or give bytes whose sums are wrong.
func FuzzAux(f *testing.F) {
	var good bytes.Buffer
	w := newAuxWriter(&good)
	w.Write(bytes.Repeat([]byte("0123456789abcdef"), 2000))
	w.finish()
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:auxTrailer])
	f.Add([]byte(auxMagic))
	f.Add([]byte{})
	s := open(f, f.TempDir(), 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(filepath.Join("/proc/self/fd", itoa(s.temp.fd()), "aux"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := openAux(s.temp)
		if err != nil {
			return
		}
		defer a.f.Close()
		if a.size < 0 || a.size > int64(len(b)) {
			t.Fatalf("%d bytes in a file of %d", a.size, len(b))
		}
		p := make([]byte, a.size)
		if n, err := a.ReadAt(p, 0); n > 0 && !bytes.Equal(p[:n], b[:n]) || n < len(p) && err == nil {
			t.Fatalf("read %d, %v", n, err)
		}
	})
}
