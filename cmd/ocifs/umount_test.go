package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

// needRoot skips tests whose mounts only root can make.
func needRoot(t *testing.T) {
	t.Helper()
	needFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
}

// cover mounts something on a directory of a world.
func (w *world) cover(dir string) (uncover func()) {
	w.t.Helper()
	if err := unix.Mount("cover", dir, "tmpfs", 0, "size=64k"); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if err := unix.Unmount(dir, 0); err != nil {
			w.t.Error(err)
		}
	}
}

// TestUmountCovered has something mounted on a mount, or on a directory above:
// it can't be unmounted, and is not said to be.
func TestUmountCovered(t *testing.T) {
	needRoot(t)
	for _, where := range []string{"mnt", "."} {
		t.Run(where, func(t *testing.T) {
			w := newWorld(t)
			w.ok("mount", w.ref, w.mnt)
			id := w.recordOf(w.mnt).ID
			uncover := w.cover(w.in(where))
			if where == "." { // it hides the records, too
				if err := os.Mkdir(w.mnt, 0o755); err != nil {
					t.Fatal(err)
				}
				w.fails(exitMount, "covered by another mount: cover (tmpfs) on "+w.home+"\nocifs: hint: unmount that first", "umount", w.mnt)
			} else {
				for _, target := range [][]string{{w.mnt}, {id}, {"-l", w.mnt}, {"--all"}} {
					w.fails(exitMount, "covered by another mount: cover (tmpfs) on "+w.mnt+"\nocifs: hint: unmount that first", append([]string{"umount"}, target...)...)
				}
				if out := w.ok("mounts", id); !strings.HasSuffix(out, " covered\n") {
					t.Errorf("%s", out)
				}
				w.fails(exitMount, "mounted there already (cover, tmpfs)", "mount", w.ref, w.mnt)
			}
			uncover()
			if out := w.ok("umount", id); !strings.HasPrefix(out, "unmounted "+w.mnt) {
				t.Errorf("%q", out)
			}
			w.nothingLeft()
		})
	}
}

// TestTerminatedCovered ends the daemon of a mount that is covered: it can't
// unmount, and must not leave a dead mount; it goes on until it can.
func TestTerminatedCovered(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	w.ok("mount", "--log-file", "log", w.ref, w.mnt)
	uncover := w.cover(w.mnt)
	syscall.Kill(w.processes()[0], syscall.SIGTERM)
	w.eventually("a line in the log", func() bool {
		b, _ := os.ReadFile(w.in("log"))
		return strings.Contains(string(b), "hides it")
	})
	uncover()
	if b, err := os.ReadFile(filepath.Join(w.mnt, "etc/motd")); string(b) != "hello\n" || err != nil {
		t.Errorf("after SIGTERM it reads %q, %v", b, err)
	}
	w.ok("umount", w.mnt)
	w.nothingLeft()
}

// recordOf is the record of the mount at a path.
func (w *world) recordOf(path string) record {
	w.t.Helper()
	records, err := stateDir(w.in("state")).records()
	if err != nil {
		w.t.Fatal(err)
	}
	if r := lastAt(records, path); r != nil {
		return *r
	}
	w.t.Fatalf("no record of %s", path)
	return record{}
}

// mountElsewhere mounts in a mount namespace of its own.
func (w *world) mountElsewhere() record {
	w.t.Helper()
	cmd := w.command("mount", w.ref, w.mnt)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
	if w.mounted() {
		w.t.Fatal("it is mounted here, too")
	}
	return w.recordOf(w.mnt)
}

// TestUmountElsewhere has a mount in another mount namespace: by its path,
// which may be another's here, it is not unmounted, and not said to be; by its
// ID it is.
func TestUmountElsewhere(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	for _, args := range [][]string{{"umount", "ID"}, {"umount", "-l", "ID"}, {"umount", "--all"}} {
		r := w.mountElsewhere()
		if out := w.ok("mounts"); !strings.Contains(out, " elsewhere\n") {
			t.Errorf("%s", out)
		}
		w.fails(exitMount, fmt.Sprintf("another mount namespace, that of process %d\nocifs: hint: unmount it there: nsenter -t %d -m umount %s\n", r.PID, r.PID, w.mnt), "umount", w.mnt)
		if !r.running() {
			t.Fatal("the daemon has ended")
		}
		if last := len(args) - 1; args[last] == "ID" {
			args[last] = r.ID
		}
		if out := w.ok(args...); out != "unmounted "+w.mnt+", in another mount namespace\n" {
			t.Errorf("%q: %q", args, out)
		}
		w.nothingLeft()
	}
}

// TestUmountElsewhereInUse refuses to unmount what is in use, there as here.
func TestUmountElsewhereInUse(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	r := w.mountElsewhere()
	f, err := os.Open(fmt.Sprintf("/proc/%d/root%s/etc/motd", r.PID, w.mnt))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w.fails(exitMount, "is in use", "umount", r.ID)
	f.Close()
	w.ok("umount", r.ID)
	w.nothingLeft()
}

// TestUmountBound has a mount bound to a second place: to unmount one leaves
// the other, and says so.
func TestUmountBound(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	w.ok("mount", w.ref, w.mnt)
	second := w.in("second")
	if err := os.Mkdir(second, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(w.mnt, second, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if r := w.run("umount", w.mnt); r.code != exitOK || !strings.HasPrefix(r.out, "unmounted "+w.mnt) || !strings.Contains(r.errors, "still mounted elsewhere") {
		t.Errorf("%+v", r)
	}
	if table, err := fs.ReadTable(); err != nil || table.At(second) == nil {
		t.Fatalf("the second is gone, too; %v", err)
	}
	w.ok("umount", second)
	w.nothingLeft()
}

// TestUmountOuter names what is mounted in a mount, and so keeps it.
func TestUmountOuter(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	w.ok("mount", w.ref, w.mnt)
	inner := filepath.Join(w.mnt, "odd")
	uncover := w.cover(inner)
	w.fails(exitMount, w.mnt+" is in use: "+inner+" is mounted in it\nocifs: hint: unmount that first: umount "+inner+"\n", "umount", w.mnt)
	uncover()
	w.ok("umount", w.mnt)
	w.nothingLeft()
}
