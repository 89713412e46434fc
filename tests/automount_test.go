package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestAutomount mounts where autofs waits for it, as an automount unit of
// systemd has it done: by whoever is in its process group. Nobody else looks at
// the mountpoint while nothing is mounted there, which would make it wait, or
// mount anew what was just unmounted.
func TestAutomount(t *testing.T) {
	needRoot(t, "mount autofs")
	needFUSE(t)
	u := newUser(t)
	dir := filepath.Join(u.home, "auto")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	asked, kernel, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Close()
	options := fmt.Sprintf("fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", kernel.Fd(), unix.Getpgrp())
	err = unix.Mount("test", dir, "autofs", 0, options)
	kernel.Close()
	if err != nil {
		t.Skipf("no autofs here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	ref := u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", "hello\n")))}}) + ":t"
	for _, down := range []string{"ocifs", "umount"} {
		u.ok(t, "mount", ref, dir)
		pid := u.daemonOf(t, dir)
		if b, err := os.ReadFile(filepath.Join(dir, "f")); string(b) != "hello\n" {
			t.Errorf("%q, %v", b, err)
		}
		u.refused(t, exitMount, "mount", ref, dir)
		if down == "ocifs" {
			u.ok(t, "umount", dir)
		} else {
			output(t, "umount", dir)
		}
		waitFor(t, "the daemon to end", func() bool { return ended(pid) })
	}
	fd := int(asked.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Read(fd, make([]byte, 1024)); err != unix.EAGAIN {
		t.Errorf("somebody else looked at the mountpoint: %d bytes, %v", n, err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Error(err)
	}
	u.leftNothing(t)
}
