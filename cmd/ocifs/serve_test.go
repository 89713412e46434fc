package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestForegroundInUse ends a mount in the foreground whose files are open, with
// two signals: that is no good end.
func TestForegroundInUse(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	cmd := w.command("mount", "-f", w.ref, w.mnt)
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.eventually("a record", func() bool { left, _ := os.ReadDir(w.in("state")); return len(left) == 1 })
	f, err := os.Open(filepath.Join(w.mnt, "etc/motd"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Process.Signal(syscall.SIGTERM)
	w.eventually("the mount to go", func() bool { return !w.mounted() })
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitSignal+int(syscall.SIGTERM) {
		t.Errorf("exit code %d; it says %q", code, errs.String())
	}
	w.nothingLeft()
}

// TestMountUnheard has no place to say that it has mounted: it must not have.
func TestMountUnheard(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	for _, flag := range []string{"--json", "--foreground"} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		defer full.Close()
		cmd := w.command("mount", flag, w.ref, w.mnt)
		var errs strings.Builder
		cmd.Stdout, cmd.Stderr = full, &errs
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitFailure {
			t.Errorf("%s: exit code %d", flag, code)
		}
		if s := errs.String(); !strings.HasPrefix(s, "ocifs: error: standard output: ") || !strings.Contains(s, "hint: it is not mounted") || strings.Contains(s, "cache") {
			t.Errorf("%s: it says %q", flag, s)
		}
		w.nothingLeft()
	}
}

// TestMountOverFiles hides what is in the mountpoint, and warns of it.
func TestMountOverFiles(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	name := filepath.Join(w.mnt, "mine")
	if err := os.WriteFile(name, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.run("mount", w.ref, w.mnt); r.code != exitOK || r.errors != "ocifs: warning: mountpoint "+w.mnt+" is not empty: what is in it is hidden until it is unmounted\n" {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is not hidden: %v", err)
	}
	w.ok("umount", w.mnt)
	if b, err := os.ReadFile(name); string(b) != "kept" || err != nil {
		t.Errorf("afterwards: %q, %v", b, err)
	}
}

// TestQuit asks the process of a mount what it is doing: it says so, and goes
// on.
func TestQuit(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	w.ok("mount", "--log-file", "log", "-o", "log_level=error", w.ref, w.mnt)
	w.eventually("stacks in the log", func() bool { // its parent may have gone before it has got so far
		syscall.Kill(w.processes()[0], syscall.SIGQUIT)
		b, _ := os.ReadFile(w.in("log"))
		return strings.Contains(string(b), "untilUnmounted")
	})
	if b, err := os.ReadFile(filepath.Join(w.mnt, "etc/motd")); string(b) != "hello\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	w.ok("umount", w.mnt)
	w.nothingLeft()
}
