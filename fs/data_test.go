package fs_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

// noise is n bytes that are like no others.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{'o', 'c', 'i'})
	r.Read(b)
	return string(b)
}

func TestRead(t *testing.T) {
	content := noise(5<<20 + 123)
	src := source(t, func(f *fake) {
		f.file("big", content)
		f.file("small", "hello")
		f.file("empty", "")
		f.file("behind", noise(9000)) // what must never be read for big
	})
	m := mount(t, src, fs.Options{})
	for name, want := range map[string]string{"big": content, "small": "hello", "empty": ""} {
		for _, when := range []string{"cold", "cached"} {
			if got, err := os.ReadFile(m.path(name)); err != nil || string(got) != want {
				t.Errorf("%s %s: %d bytes, %v; want %d", when, name, len(got), err, len(want))
			}
		}
	}
	f, err := os.Open(m.path("big"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := int64(len(content))
	for _, off := range []int64{0, 1, 4095, 4096, 131071, 1<<20 - 1, 1 << 20, size - 1, size, size + 1, 1 << 40} {
		buf := make([]byte, 10000)
		n, err := f.ReadAt(buf, off)
		want := content[min(off, size):min(off+10000, size)]
		if string(buf[:n]) != want || (len(want) < len(buf)) != (err == io.EOF) {
			t.Errorf("at %d: %d bytes, %v; want %d", off, n, err, len(want))
		}
	}
}

// aligned is a buffer that O_DIRECT accepts.
func aligned(n int) []byte {
	b := make([]byte, n+4096)
	return b[4096-uintptr(unsafe.Pointer(&b[0]))%4096:][:n]
}

func TestReadDirect(t *testing.T) {
	content := noise(3<<20 + 77)
	m := mount(t, source(t, func(f *fake) { f.file("f", content) }), fs.Options{})
	fd, err := unix.Open(m.path("f"), unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, c := range []struct{ off, n int }{{0, 4096}, {4096, 2 << 20}, {3 << 20, 4096}, {4 << 20, 4096}} {
		buf := aligned(c.n)
		n, err := unix.Pread(fd, buf, int64(c.off))
		want := content[min(c.off, len(content)):min(c.off+c.n, len(content))]
		if err != nil || string(buf[:n]) != want {
			t.Errorf("%d bytes at %d: %d, %v; want %d", c.n, c.off, n, err, len(want))
		}
	}
}

// TestReadParallel has many readers at random places, each byte compared.
func TestReadParallel(t *testing.T) {
	content := noise(8 << 20)
	m := mount(t, source(t, func(f *fake) { f.file("f", content) }), fs.Options{})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			f, err := os.Open(m.path("f"))
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			r := rand.New(rand.NewPCG(1, uint64(i)))
			buf := make([]byte, 64<<10)
			for range 50 {
				off := r.IntN(len(content) - len(buf))
				if _, err := f.ReadAt(buf, int64(off)); err != nil || string(buf) != content[off:off+len(buf)] {
					t.Errorf("at %d: %v, or other bytes", off, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestSparse(t *testing.T) {
	const size = 8 << 20
	y := strings.Repeat("y", 4096)
	src := source(t, func(f *fake) {
		f.sparse("s", size, span{1 << 20, y}, span{1<<20 + 4096, y}, span{4 << 20, "tail"})
		f.sparse("data first", 100, span{0, "0123456789"})
		f.file("dense", "0123456789")
	})
	m := mount(t, src, fs.Options{})
	want := make([]byte, size)
	copy(want[1<<20:], y+y)
	copy(want[4<<20:], "tail")
	if got, err := os.ReadFile(m.path("s")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("reading: %d bytes, %v, or other bytes", len(got), err)
	}
	type seek struct {
		off    int64
		whence int
		want   int64
		err    error
	}
	for name, seeks := range map[string][]seek{
		"s": {
			{0, unix.SEEK_DATA, 1 << 20, nil}, {0, unix.SEEK_HOLE, 0, nil},
			{1 << 20, unix.SEEK_DATA, 1 << 20, nil}, {1 << 20, unix.SEEK_HOLE, 1<<20 + 8192, nil},
			{1<<20 + 5000, unix.SEEK_DATA, 1<<20 + 5000, nil}, {1<<20 + 8192, unix.SEEK_DATA, 4 << 20, nil},
			{4<<20 + 1, unix.SEEK_HOLE, 4<<20 + 4, nil}, {4<<20 + 4, unix.SEEK_DATA, 0, unix.ENXIO},
			{size - 1, unix.SEEK_HOLE, size - 1, nil}, {size, unix.SEEK_HOLE, 0, unix.ENXIO}, {size, unix.SEEK_DATA, 0, unix.ENXIO},
		},
		"data first": {{0, unix.SEEK_DATA, 0, nil}, {0, unix.SEEK_HOLE, 10, nil}, {50, unix.SEEK_HOLE, 50, nil}},
		"dense":      {{3, unix.SEEK_DATA, 3, nil}, {3, unix.SEEK_HOLE, 10, nil}, {10, unix.SEEK_DATA, 0, unix.ENXIO}},
	} {
		f, err := os.Open(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range seeks {
			got, err := unix.Seek(int(f.Fd()), s.off, s.whence)
			if err != s.err || err == nil && got != s.want {
				t.Errorf("%s: lseek(%d, %d) = %d, %v; want %d, %v", name, s.off, s.whence, got, err, s.want, s.err)
			}
		}
		f.Close()
	}
}

// TestHole has no data in its layer at all.
func TestHole(t *testing.T) {
	m := mount(t, source(t, func(f *fake) { f.sparse("hole", 5000) }), fs.Options{})
	got, err := os.ReadFile(m.path("hole"))
	if err != nil || !bytes.Equal(got, make([]byte, 5000)) {
		t.Errorf("%d bytes, %v, or not zeros", len(got), err)
	}
	f, err := os.Open(m.path("hole"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if off, err := f.Seek(0, unix.SEEK_DATA); !errors.Is(err, unix.ENXIO) {
		t.Errorf("SEEK_DATA found data at %d, %v", off, err)
	}
	if off, err := f.Seek(1, unix.SEEK_HOLE); off != 1 || err != nil {
		t.Errorf("SEEK_HOLE: %d, %v; want 1", off, err)
	}
}

// TestMmap maps a file in another process, and compares what it sees there.
func TestMmap(t *testing.T) {
	content := noise(3<<20 + 5)
	m := mount(t, source(t, func(f *fake) { f.file("f", content) }), fs.Options{})
	sum := sha256.Sum256([]byte(content))
	if got := output(t, child(t, "mmap", m.path("f"))); got != hex.EncodeToString(sum[:]) {
		t.Errorf("mapped bytes have digest %s, want %x", got, sum)
	}
}

func verbMmap(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	for _, how := range []int{unix.MAP_PRIVATE, unix.MAP_SHARED} {
		b, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, how)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		if how == unix.MAP_SHARED {
			fmt.Printf("%x\n", sum)
		}
		if err := unix.Munmap(b); err != nil {
			return err
		}
	}
	return nil
}

// TestReadFails has reads fail in each way a source can fail, sees EIO, and
// sees the next read succeed.
func TestReadFails(t *testing.T) {
	content := noise(300 << 10)
	var src *fake
	for name, hook := range map[string]func() error{
		"error":     func() error { return errors.New("the registry is gone") },
		"not found": func() error { return os.ErrNotExist },
		"errno":     func() error { return syscall.EINTR },
		"end":       func() error { return io.EOF },
		"panic":     func() error { panic("a bug") },
	} {
		t.Run(name, func(t *testing.T) {
			src = source(t, func(f *fake) { f.file("dir/a\nb", content) })
			m := mount(t, src, fs.Options{})
			f, err := os.Open(m.path("dir/a\nb"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			src.before(hook)
			buf := make([]byte, 1000)
			for range 3 {
				if n, err := f.ReadAt(buf, 5); !errors.Is(err, unix.EIO) {
					t.Fatalf("%d bytes, %v; want EIO", n, err)
				}
			}
			src.before(nil)
			if got, err := os.ReadFile(m.path("dir/a\nb")); err != nil || string(got) != content {
				t.Errorf("after it recovered: %d bytes, %v, or other bytes", len(got), err)
			}
			if name == "panic" {
				return
			}
			lines := m.log.lines()
			if len(lines) != 1 || !strings.Contains(lines[0], `path="dir/a\nb"`) || !strings.Contains(lines[0], "layer=0") || !strings.Contains(lines[0], "offset=") {
				t.Errorf("logged %q, want one line with path, layer, offset", lines)
			}
			if s := m.Stats(); s.FailedReads < 3 {
				t.Errorf("%d failed reads counted", s.FailedReads)
			}
		})
	}
}

// TestInterrupt interrupts a reader while its read waits: the read goes on.
func TestInterrupt(t *testing.T) {
	src := source(t, func(f *fake) { f.file("f", "content") })
	m := mount(t, src, fs.Options{})
	reading, proceed := make(chan bool, 16), make(chan bool)
	src.before(func() error {
		reading <- true
		<-proceed
		return nil
	})
	cmd := child(t, "read", m.path("f"))
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-reading
	for range 3 {
		cmd.Process.Signal(syscall.SIGUSR1)
	}
	close(proceed)
	if err := cmd.Wait(); err != nil || out.String() != "content" {
		t.Errorf("interrupted reader: %v, read %q", err, out.String())
	}
}

// verbRead reads a file with one read(2), and doesn't shrug off EINTR.
func verbRead(args []string) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
	fd, err := unix.Open(args[0], unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	buf := make([]byte, 100)
	n, err := unix.Read(fd, buf)
	os.Stdout.Write(buf[:max(n, 0)])
	return err
}
