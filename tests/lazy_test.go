package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// forget has a cache evict all decoded bytes, and keep what it learned of the
// layers.
func (u *user) forget(t testing.TB) {
	t.Helper()
	var keep, data int64
	for _, name := range cacheFiles(t, u) {
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) == "data" {
			data += 512 * st.Blocks
		} else {
			keep += 512 * st.Blocks
		}
	}
	store, err := cache.Open(u.cache, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	const slack = 128 << 10 // directories, and less than a chunk
	freed, err := store.Trim(t.Context(), keep+slack)
	if err != nil {
		t.Fatal(err)
	}
	if data == 0 || freed < data-slack {
		t.Fatalf("of %d decoded bytes, %d were evicted", data, freed)
	}
}

// TestLazy reads a few bytes of an image that was indexed before, of which
// nothing is in the cache: that costs one request for the piece they lie in,
// whatever the size of the layer, if the format can be entered in the middle.
func TestLazy(t *testing.T) {
	needFUSE(t)
	layer := lt.Tar(lt.File("first", text(9<<20)), lt.File("wanted", text(1000)), lt.File("last", text(9<<20)))
	for _, p := range packings {
		t.Run(p.name, func(t *testing.T) {
			image := lt.Image{Layers: []lt.Layer{p.pack(layer)}}
			reg := registrytest.Start(t, registrytest.Options{})
			reg.Push("app", "t", registrytest.Layer{Blob: image.Layers[0].Blob, MediaType: image.Layers[0].MediaType, DiffID: image.Layers[0].DiffID})
			u := newUser(t)
			m := u.mount(t, reg.Host+"/app:t")
			m.unmount(t, u)
			u.forget(t)
			m = u.mount(t, reg.Host+"/app:t")
			reg.Reset()
			if m.read(t, "wanted") != text(1000) {
				t.Error("it reads wrong")
			}
			n, blob := reg.Bytes(), int64(len(image.Layers[0].Blob))
			t.Logf("%d of %d bytes, in %d requests", n, blob, reg.Count())
			// The file lies in one chunk or two; what is fetched ends at most a
			// chunk after them, and begins at the point before.
			most := blob * 4 * index.ChunkSize / int64(len(layer))
			switch p.name {
			case "zstd":
				most = blob // one frame: there is no way in but its beginning
			case "zstd, 7 frames":
				most = blob / 3
			}
			if reg.Count() != 1 || n > most {
				t.Errorf("%d requests for %d bytes; want 1 for at most %d", reg.Count(), n, most)
			}
			reg.Reset()
			if m.read(t, "first") != text(9<<20) || m.read(t, "last") != text(9<<20) {
				t.Error("the rest reads wrong")
			}
			// However many reads the kernel has under way when it reads ahead: a
			// frame is decoded once, from its beginning into the next one, where
			// its last chunk ends. The only one has come already.
			most = blob * 3 / 2
			switch p.name {
			case "zstd":
				most = 0
			case "zstd, 7 frames":
				most = blob * 2
			}
			if n := reg.Bytes(); n > most {
				t.Errorf("%d bytes came for a layer of %d", n, blob)
			}
			m.unmount(t, u)
		})
	}
}

// TestOnePass lets several daemons mount an image that is new to all of them,
// with one cache: each layer comes once.
func TestOnePass(t *testing.T) {
	needFUSE(t)
	reg := served(t, registrytest.Options{})
	u := newUser(t)
	var wg sync.WaitGroup
	mounts := make([]*mount, 5)
	for i := range mounts {
		wg.Go(func() { mounts[i], _ = u.tryMount(t, reg.Host+"/app:p1") })
	}
	wg.Wait()
	for i, m := range mounts {
		if m == nil {
			t.Fatalf("mount %d failed", i)
		}
		lt.Compare(t, fixture(t).want, m.dir)
		m.unmount(t, u)
	}
	base := packings[1].pack(archives()[0])
	times := 0
	for _, r := range reg.Requests(registrytest.Blob) {
		if r.Bytes == int64(len(base.Blob)) {
			times++
		}
	}
	if times != 1 {
		t.Errorf("the base layer came %d times", times)
	}
}

// TestBomb mounts 256 MiB of nothing: what a daemon needs is bounded.
func TestBomb(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	zeros := strings.Repeat("\x00", 64<<20)
	var e []lt.Entry
	for i := range 4 {
		e = append(e, lt.File(fmt.Sprint(i), zeros))
	}
	ref := u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(e...))}})
	m := u.mount(t, ref+":t")
	if got := m.read(t, "3"); got != zeros {
		t.Error("zeros aren't zeros")
	}
	if peak := peakMemory(t, m.daemon.Process.Pid); peak > 150<<20 {
		t.Errorf("the daemon took %d MiB", peak>>20)
	}
	m.unmount(t, u)
}

// peakMemory is the most resident memory a process ever had, in bytes.
func peakMemory(t testing.TB, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
