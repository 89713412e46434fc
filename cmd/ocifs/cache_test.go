package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestMountOnFullDisk mounts with a cache that has no room for the layer: it
// says which disk is full, and what for, leaves the room it took, and reads.
func TestMountOnFullDisk(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	content := prose(6<<20, 1)
	lt.WriteLayout(t, w.in("layout"), lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", content)))}})
	cache := w.in("cache")
	if err := os.Mkdir(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("small", cache, "tmpfs", 0, "mode=0700,size=4m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(cache, 0)
	r := w.run("mount", w.ref, w.mnt)
	if r.code != exitOK || !strings.HasPrefix(r.errors, "ocifs: warning: the disk of the cache "+cache+" is full: 6.0 MiB of layers are not kept") || strings.Count(r.errors, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(cache, &st); err != nil || st.Bfree*uint64(st.Bsize) < 3<<20 {
		t.Errorf("%d blocks of %d left, %v", st.Bfree, st.Bsize, err)
	}
	w.ok("umount", w.mnt)
	if out := w.ok("mount", w.ref, w.mnt); !strings.Contains(out, "lazy 1/1") {
		t.Errorf("the second time: %s", out)
	}
	if b, err := os.ReadFile(filepath.Join(w.mnt, "f")); string(b) != content || err != nil {
		t.Errorf("%d bytes, %v, or others", len(b), err)
	}
	w.ok("umount", w.mnt)
	w.nothingLeft()
}

// TestKilledWhileBuilding leaves a layer half decoded in the cache, which the
// next one to open it removes.
func TestKilledWhileBuilding(t *testing.T) {
	w, reached := stalled(t)
	cmd := w.command("mount", "-f", w.ref, w.mnt)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reached()
	w.eventually("something half made", func() bool { left, _ := os.ReadDir(w.in("cache/v1/tmp")); return len(left) > 0 })
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	w.ok("ls", "oci:"+w.in("layout")+":t")
	if left, err := os.ReadDir(w.in("cache/v1/tmp")); len(left) != 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
	w.nothingLeft()
}
