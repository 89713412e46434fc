package cache

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These tests run the test binary again, as other daemons on the same cache.

// TestMain plays the part that the environment gives it, or runs the tests.
func TestMain(m *testing.M) {
	if part := os.Getenv("CACHE_TEST_PART"); part != "" {
		err := parts[part](os.Getenv("CACHE_TEST_DIR"))
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var parts = map[string]func(dir string) error{"reader": partReader, "storm": partStorm, "builder": partBuilder, "holder": partHolder}

// A part is another process at work.
type part struct {
	*exec.Cmd
	out bytes.Buffer
	in  io.WriteCloser
}

// play starts a part; it ends when its standard input is closed.
func play(t *testing.T, name, dir string) *part {
	t.Helper()
	p := &part{Cmd: exec.Command(os.Args[0])}
	p.Env = append(os.Environ(), "CACHE_TEST_PART="+name, "CACHE_TEST_DIR="+dir)
	p.Stdout, p.Stderr = &p.out, &p.out
	var err error
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	return p
}

// until waits until standard input is closed.
func until() <-chan bool {
	done := make(chan bool)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(done)
	}()
	return done
}

var (
	partTiles = map[string]tiles{"uniform": uniform(64, 64<<10, 100), "small": irregular(500, 11), "built": uniform(32, 64<<10, 0)}
	partLimit = int64(6 << 20) // of about 14 MiB
)

// partReader reads the whole space once, from several goroutines, and prints
// which chunks it made.
func partReader(dir string) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	c := partTiles["uniform"]
	m := &maker{t: c, delay: time.Millisecond}
	sp, err := s.Space("k", c, m.fill)
	if err != nil {
		return err
	}
	defer sp.Close()
	want := whole(c)
	<-until()
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for g := range 4 {
		wg.Go(func() { errs <- readAround(sp, want, uint64(g)) })
	}
	wg.Wait()
	for range 4 {
		if err := <-errs; err != nil {
			return err
		}
	}
	for i, n := range m.made {
		fmt.Println("made", i, n)
	}
	return nil
}

// readAround reads all of a space in pieces, from some place on.
func readAround(sp *Space, want []byte, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, uint64(os.Getpid())))
	p := make([]byte, 100<<10)
	start := r.Int64N(sp.Size())
	for done := int64(0); done < sp.Size(); {
		off := (start + done) % sp.Size()
		n, err := sp.ReadAt(p[:1+r.IntN(len(p)-1)], off)
		if n == 0 || !bytes.Equal(p[:n], want[off:off+int64(n)]) {
			return fmt.Errorf("%s: read at %d: %d, %v, or wrong bytes", sp.key, off, n, err)
		}
		done += int64(n)
	}
	return nil
}

// partStorm reads and checks for as long as it may live, in a store that is
// too small.
func partStorm(dir string) error {
	s, err := Open(dir, Options{Limit: partLimit})
	if err != nil {
		return err
	}
	defer s.Close()
	done, errs := until(), make(chan error)
	for key, c := range partTiles {
		sp, err := s.Space(key, c, (&maker{t: c}).fill)
		if err != nil {
			return err
		}
		defer sp.Close()
		want := whole(c)
		for g := range 2 {
			go func() {
				for seed := uint64(g); ; seed++ {
					if err := readAround(sp, want, seed); err != nil {
						errs <- err
					}
				}
			}()
		}
	}
	select {
	case err := <-errs:
		return err
	case <-done:
		os.Exit(0) // as a killed one would: nothing is closed
	}
	return nil
}

// partBuilder builds the same space over and over.
func partBuilder(dir string) error {
	s, err := Open(dir, Options{Limit: partLimit})
	if err != nil {
		return err
	}
	for done, c := until(), partTiles["built"]; ; {
		b := s.Build()
		for i := range c {
			start, _ := c.Bounds(i)
			if err := b.Chunk(i, start, content(c, i)); err != nil {
				return err
			}
			b.Window(make([]byte, 1000))
		}
		if err := b.Commit("built"); err != nil {
			return err
		}
		select {
		case <-done:
			return nil
		default:
		}
	}
}

// partHolder holds what a process can leave behind.
func partHolder(dir string) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	if b := s.Build(); b.why != nil {
		return b.why
	}
	if _, _, err := s.tempFile(); err != nil {
		return err
	}
	if err := s.Put("ready", nil); err != nil {
		return err
	}
	<-until()
	return nil
}

func TestOneFillAcrossProcesses(t *testing.T) {
	dir := t.TempDir()
	var readers []*part
	for range 3 {
		readers = append(readers, play(t, "reader", dir))
	}
	for _, p := range readers {
		p.in.Close()
	}
	made := map[string]int{}
	for _, p := range readers {
		if err := p.Wait(); err != nil {
			t.Errorf("%v: %s", err, &p.out)
		}
		for line := range strings.Lines(p.out.String()) {
			made[strings.TrimSpace(line)]++
		}
	}
	for i := range partTiles["uniform"] {
		if n := made[fmt.Sprintf("made %d 1", i)]; n != 1 {
			t.Errorf("chunk %d made by %d processes", i, n)
		}
	}
}

// Several processes read, fill, evict and build in the same store while some
// are killed. Each checks every byte.
func TestStorm(t *testing.T) {
	dir := t.TempDir()
	storm(t, dir, open(t, dir, 0).Usage)
	aftermath(t, dir)
}

// All that, and what they take is what the file system says: Usage, while it
// walks through the store, counts what has gone and what has come in its place.
func TestStormKeepsLimit(t *testing.T) {
	dir := smallDisk(t, "64M")
	most := storm(t, dir, func() int64 { return onDisk(t, dir) })
	// A chunk per process is much here; and when a builder has replaced a space,
	// those who have the old one open still hold all of it.
	_, replaced := partTiles["built"].Bounds(partTiles["built"].Len() - 1)
	if most > partLimit+partLimit/20+4*64<<10+replaced {
		t.Errorf("%d bytes on disk, limit %d", most, partLimit)
	}
	aftermath(t, dir)
}

// onDisk is what is in use of the file system that is mounted on dir.
func onDisk(t *testing.T, dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Error(err)
	}
	return int64(st.Blocks-st.Bfree) * int64(st.Bsize)
}

func storm(t *testing.T, dir string, used func() int64) (most int64) {
	names := []string{"storm", "storm", "storm", "builder"}
	all := make([]*part, len(names))
	for i, n := range names {
		all[i] = play(t, n, dir)
	}
	r := rand.New(rand.NewPCG(1, 1))
	kills := 0
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
		for pause := 5 + r.IntN(60); pause > 0; pause -= 5 {
			time.Sleep(5 * time.Millisecond)
			most = max(most, used())
		}
		i := r.IntN(len(all))
		all[i].Process.Kill()
		all[i].Wait()
		kills++
		if out := all[i].out.String(); out != "" {
			t.Fatal(out)
		}
		all[i] = play(t, names[i], dir)
	}
	for _, p := range all {
		p.in.Close()
	}
	for _, p := range all {
		if err := p.Wait(); err != nil {
			t.Errorf("%v: %s", err, &p.out)
		}
	}
	t.Logf("%d kills, at most %.1f %% of the limit", kills, float64(most)*100/float64(partLimit))
	return most
}

// aftermath checks that a store is in order, with nobody there any more.
func aftermath(t *testing.T, dir string) {
	t.Helper()
	s := open(t, dir, 0)
	left(t, dir, "tmp", 0)
	left(t, dir, "locks", 0)
	if err := s.Verify(t.Context(), false, func(c Check) {
		if c.Err != nil || c.InUse {
			t.Errorf("%+v", c)
		}
	}); err != nil {
		t.Error(err)
	}
	for key, c := range partTiles {
		sp := space(t, s, key, c, (&maker{t: c}).fill)
		expect(t, sp, whole(c), 0, sp.Size())
	}
}

func TestLeftoversAreRemoved(t *testing.T) {
	dir := t.TempDir()
	holder := play(t, "holder", dir)
	for {
		if _, err := os.Stat(filepath.Join(dir, "v1/objects/ready")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	open(t, dir, 0)
	left(t, dir, "tmp", 2) // while it lives
	holder.Process.Kill()
	holder.Wait()
	open(t, dir, 0)
	left(t, dir, "tmp", 0)
}
