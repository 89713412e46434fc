package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of that many bytes.
func smallDisk(t *testing.T, bytes string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+bytes); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	noLeaks(t)
	dir, c := smallDisk(t, "2M"), uniform(64, 64<<10, 0)
	m, want := &maker{t: c}, whole(c)
	s := open(t, dir, 0)
	sp := space(t, s, "k", c, m.fill)
	for range 3 {
		for off := int64(0); off < sp.Size(); off += 4096 {
			expect(t, sp, want, off, 4096)
		}
	}
	// A chunk that could not be kept is made once per pass, not once per read:
	// that is what memory is for.
	for i, n := range m.made {
		if n > 3 {
			t.Errorf("chunk %d made %d times", i, n)
		}
	}
	if err := s.Put("k", make([]byte, 3<<20)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("put: %v", err)
	}
	left(t, dir, "tmp", 0)
	if err := s.Verify(t.Context(), false, func(c Check) {
		if c.Err != nil {
			t.Errorf("%+v", c)
		}
	}); err != nil {
		t.Error(err)
	}
	if n := present(t, s, "k"); n < 20 {
		t.Errorf("%d chunks kept", n)
	}
	unlock, err := s.Lock(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// build lays down a space with a window behind each chunk.
func build(t *testing.T, s *Store, c tiles, window int) error {
	t.Helper()
	b := s.Build()
	defer b.Abort()
	for i := range c {
		start, _ := c.Bounds(i)
		if err := errors.Join(b.Chunk(i, start, content(c, i)), b.Window(bytes.Repeat([]byte{byte(i)}, window))); err != nil {
			t.Fatal(err)
		}
	}
	return b.Commit("k")
}

// A full disk doesn't stop a build; but of its data nothing is left there, so
// that there is room for what will be read, and for others.
func TestBuildOnFullDisk(t *testing.T) {
	noLeaks(t)
	dir, c := smallDisk(t, "2M"), uniform(64, 64<<10, 0)
	s := open(t, dir, 0)
	if err := build(t, s, c, 16<<10); err != nil { // 4 MiB of data, 1 MiB of windows
		t.Fatal(err)
	}
	if n := s.Short(); n != 4<<20 {
		t.Errorf("short of %d bytes", n)
	}
	if used := s.Usage(); used > 1<<20+64<<10 {
		t.Errorf("%d bytes are left on the disk", used)
	}
	left(t, dir, "tmp", 0)
	if n := present(t, s, "k"); n != 0 {
		t.Errorf("%d chunks kept", n)
	}
	m := &maker{t: c}
	sp := space(t, s, "k", c, m.fill)
	expect(t, sp, whole(c), 0, sp.Size())
	sp.flights.Wait()
	aux, err := sp.Aux()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 64*16<<10)
	if _, err := aux.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	for i := range c {
		if w := got[i*16<<10:][:16<<10]; !bytes.Equal(w, bytes.Repeat([]byte{byte(i)}, 16<<10)) {
			t.Fatalf("window %d is wrong", i)
		}
	}
}

// Where there isn't room for the windows either, nothing is left at all.
func TestBuildWithoutRoom(t *testing.T) {
	noLeaks(t)
	dir, c := smallDisk(t, "2M"), uniform(64, 64<<10, 0)
	s := open(t, dir, 0)
	if err := build(t, s, c, 64<<10); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("commit: %v", err)
	}
	if n := s.Short(); n != 4<<20 {
		t.Errorf("short of %d bytes", n)
	}
	left(t, dir, "tmp", 0)
	left(t, dir, "spaces", 0)
	if used := s.Usage(); used > 64<<10 {
		t.Errorf("%d bytes are left on the disk", used)
	}
	m := &maker{t: c}
	sp := space(t, s, "k", c, m.fill)
	expect(t, sp, whole(c), 0, sp.Size())
}

// There is no room for as much as a directory.
func TestNoInodes(t *testing.T) {
	dir := smallDisk(t, "1M,nr_inodes=7") // v1, five in it, and one for the root
	c := uniform(4, 1000, 0)
	s := open(t, dir, 0)
	m := &maker{t: c}
	sp := space(t, s, "k", c, m.fill)
	expect(t, sp, whole(c), 0, 4000)
	checkUnkept(t, s, unix.ENOSPC)
	if err := s.Trouble(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("trouble: %v", err)
	}
}

// checkUnkept checks what a store does that can't be written to.
func checkUnkept(t *testing.T, s *Store, why error) {
	t.Helper()
	b := s.Build()
	defer b.Abort()
	if err := errors.Join(b.Chunk(0, 0, []byte("x")), b.Window([]byte("y"))); err != nil {
		t.Error(err)
	}
	if err := b.Commit("b"); !errors.Is(err, why) {
		t.Errorf("commit: %v", err)
	}
	if err := s.Put("o", []byte("z")); !errors.Is(err, why) {
		t.Errorf("put: %v", err)
	}
	unlock, err := s.Lock(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestReadOnlyDisk(t *testing.T) {
	noLeaks(t)
	dir, c := smallDisk(t, "4M"), uniform(16, 64<<10, 0)
	m, want := &maker{t: c}, whole(c)
	s := open(t, dir, 1<<20)
	if err := s.Put("k", []byte("object")); err != nil {
		t.Fatal(err)
	}
	sp := space(t, s, "k", c, m.fill)
	expect(t, sp, want, 0, 400<<10)
	sp.Close() // a file open for writing keeps the disk writable
	s.Close()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 1<<20)
	m.calls()
	sp = space(t, s, "k", c, m.fill)
	for range 2 {
		expect(t, sp, want, 0, sp.Size())
	}
	for _, r := range m.calls() {
		if r.first < 7 {
			t.Errorf("filled %v, which is there", r)
		}
	}
	if b, err := s.Get("k"); err != nil || !bytes.Equal(b, []byte("object")) {
		t.Errorf("%q, %v", b, err)
	}
	other := space(t, s, "other", c, m.fill)
	expect(t, other, want, 0, other.Size())
	checkUnkept(t, s, unix.EROFS)
}

func TestVanishedStore(t *testing.T) {
	noLeaks(t)
	dir, c := filepath.Join(t.TempDir(), "cache"), uniform(4, 1000, 0)
	s := open(t, dir, 0)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	m := &maker{t: c}
	sp := space(t, s, "k", c, m.fill)
	expect(t, sp, whole(c), 0, 4000)
	checkUnkept(t, s, fs.ErrNotExist)
	if _, err := s.Entries(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// What a process on a full disk holds in memory is bounded.
func TestSpareIsBounded(t *testing.T) {
	var s spare
	of := &Space{}
	for i := range 100 {
		s.add(of, i, make([]byte, 1<<20))
		s.add(of, i, make([]byte, 1<<20))
	}
	s.add(of, 100, make([]byte, spareBytes))
	if s.bytes > spareBytes || int(s.count.Load()) != len(s.chunks) || len(s.order) != len(s.chunks) {
		t.Errorf("%d bytes, %d %d %d chunks", s.bytes, s.count.Load(), len(s.order), len(s.chunks))
	}
	if p := make([]byte, 1); !s.copy(of, 99, 0, p, 0) || s.copy(of, 1, 0, p, 0) || s.copy(&Space{}, 99, 0, p, 0) {
		t.Error("it doesn't hold the latest")
	}
	s.forget(of)
	if s.bytes != 0 || s.count.Load() != 0 || len(s.chunks)+len(s.order) != 0 {
		t.Errorf("%d bytes left of nothing", s.bytes)
	}
}

// A peer that hangs, whatever it holds, delays a read, no more.
func TestStuckPeer(t *testing.T) {
	noLeaks(t)
	dir, c := t.TempDir(), uniform(8, 1000, 0)
	hang := make(chan bool)
	peer := space(t, open(t, dir, 0), "k", c, func(int, int, func(int, []byte) error) error {
		<-hang
		return fs.ErrClosed
	})
	done := make(chan error)
	go func() { _, err := peer.ReadAt(make([]byte, 8000), 0); done <- err }()
	m := &maker{t: c}
	sp := space(t, open(t, dir, 0), "k", c, m.fill)
	for lockRange(sp.marks, claimBase, claimBase+1) == nil { // until the peer holds it
		unlockRange(sp.marks, claimBase, claimBase+1)
		time.Sleep(time.Millisecond)
	}
	sp.patience = 10 * time.Millisecond
	expect(t, sp, whole(c), 0, 8000)
	sp.flights.Wait()
	if n := present(t, sp.store, "k"); n != 8 {
		t.Errorf("%d chunks kept", n)
	}
	close(hang)
	if err := <-done; !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

// While another writes a chunk, or evicts it, it is served from memory.
func TestStuckWriter(t *testing.T) {
	dir, c := t.TempDir(), uniform(2, 1000, 0)
	m := &maker{t: c}
	s := open(t, dir, 0)
	sp := space(t, s, "k", c, m.fill)
	peer := space(t, s, "k", c, nil)
	if err := lockRange(peer.marks, storeBase+1, storeBase+2); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		expect(t, sp, whole(c), 0, 2000)
		sp.flights.Wait()
	}
	if n := m.made[0] + m.made[1]; n != 2 {
		t.Errorf("%d fills", n)
	}
	if n := present(t, s, "k"); n != 1 {
		t.Errorf("%d chunks kept", n)
	}
}
