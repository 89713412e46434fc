package cache

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tiles is a tiling by the ends of the chunks.
type tiles []int64

func (t tiles) Len() int { return len(t) }
func (t tiles) At(off int64) int {
	return sort.Search(len(t), func(i int) bool { return t[i] > off })
}
func (t tiles) Bounds(i int) (start, end int64) {
	if i > 0 {
		start = t[i-1]
	}
	return start, t[i]
}

// uniform is n chunks of size bytes, the last one shorter by cut.
func uniform(n int, size, cut int64) tiles {
	t := make(tiles, n)
	for i := range t {
		t[i] = int64(i+1) * size
	}
	t[n-1] -= cut
	return t
}

// irregular is n chunks of 1 byte to 3 pages, and a few larger ones.
func irregular(n int, seed uint64) tiles {
	r := rand.New(rand.NewPCG(seed, 1))
	t := make(tiles, n)
	end := int64(0)
	for i := range t {
		switch r.IntN(20) {
		case 0:
			end += 1
		case 1:
			end += r.Int64N(200 << 10)
		default:
			end += r.Int64N(12 << 10)
		}
		end++
		t[i] = end
	}
	return t
}

// content is what every space in these tests holds: 8-byte words that depend
// on their place, but for each seventh chunk, which is all zeros.
func content(t tiles, i int) []byte {
	start, end := t.Bounds(i)
	p := make([]byte, end-start)
	if i%7 == 3 {
		return p
	}
	var w [8]byte
	for at := start / 8 * 8; at < end; at += 8 {
		binary.LittleEndian.PutUint64(w[:], (uint64(at)+1)*0x9E3779B97F4A7C15)
		lo := max(at, start)
		copy(p[lo-start:], w[lo-at:])
	}
	return p
}

// whole is the content of the whole space.
func whole(t tiles) []byte {
	var b bytes.Buffer
	for i := range t {
		b.Write(content(t, i))
	}
	return b.Bytes()
}

// A maker fills a space and counts.
type maker struct {
	t     tiles
	mu    sync.Mutex
	runs  []run       // the calls
	made  map[int]int // chunks put
	delay time.Duration
	fail  error // instead of filling
}

func (m *maker) fill(first, last int, put func(int, []byte) error) error {
	m.mu.Lock()
	m.runs = append(m.runs, run{first, last})
	fail := m.fail
	m.mu.Unlock()
	time.Sleep(m.delay)
	if fail != nil {
		return fail
	}
	for i := first; i < last; i++ {
		m.mu.Lock()
		if m.made == nil {
			m.made = make(map[int]int)
		}
		m.made[i]++
		m.mu.Unlock()
		if err := put(i, content(m.t, i)); err != nil {
			return err
		}
	}
	return nil
}

// calls gives the calls so far, and forgets them.
func (m *maker) calls() []run {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.runs
	m.runs, m.made = nil, nil
	return r
}

func open(t testing.TB, dir string, limit int64) *Store {
	t.Helper()
	s, err := Open(dir, Options{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func space(t testing.TB, s *Store, key string, c Chunks, fill Fill) *Space {
	t.Helper()
	sp, err := s.Space(key, c, fill)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sp.Close() })
	return sp
}

// expect reads [off, off+n) and compares.
func expect(t testing.TB, sp *Space, want []byte, off, n int64) {
	t.Helper()
	p := make([]byte, n)
	if _, err := sp.ReadAt(p, off); err != nil {
		t.Fatalf("read %d bytes at %d: %v", n, off, err)
	}
	if !bytes.Equal(p, want[off:off+n]) {
		t.Fatalf("read %d bytes at %d: wrong bytes", n, off)
	}
}

// noLeaks fails the test if it leaves goroutines or descriptors behind. Call
// it first.
func noLeaks(t *testing.T) {
	t.Helper()
	if r, w, err := os.Pipe(); err == nil { // or the first poll opens some
		r.Close()
		w.Close()
	}
	goroutines, fds := runtime.NumGoroutine(), openFiles(t)
	t.Cleanup(func() {
		for range 100 {
			if runtime.NumGoroutine() <= goroutines {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%d goroutines, %d before", n, goroutines)
		}
		if n := openFiles(t); n > fds {
			t.Errorf("%d open files, %d before", n, fds)
		}
	})
}

func openFiles(t *testing.T) int {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(fds)
}

func allocated(t testing.TB, f *os.File) int64 {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func itoa(n int) string { return strconv.Itoa(n) }
