package main

import (
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is a service manager that listens.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@ocifs-test-" + rand.Text(), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// told waits until the manager is told what begins so, and is all of it.
func told(t *testing.T, c *net.UnixConn, prefix string) string {
	t.Helper()
	b := make([]byte, 4096)
	c.SetReadDeadline(time.Now().Add(patience))
	for {
		n, err := c.Read(b)
		if err != nil {
			t.Fatalf("waited in vain for %s: %v", prefix, err)
		}
		if strings.HasPrefix(string(b[:n]), prefix) {
			return string(b[:n])
		}
	}
}

// TestNotify has mount be a service of Type=notify.
func TestNotify(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	c := manager(t)
	w.env = append(w.env, "NOTIFY_SOCKET="+c.LocalAddr().String())
	cmd := w.command("mount", w.ref, w.mnt)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told(t, c, "STATUS=opening "+w.ref)
	told(t, c, "EXTEND_TIMEOUT_USEC=90000000\nSTATUS=reading layer ")
	told(t, c, "READY=1\nSTATUS="+w.ref+"@sha256:")
	if !w.mounted() {
		t.Error("ready, and not mounted")
	}
	cmd.Process.Signal(syscall.SIGTERM)
	told(t, c, "STOPPING=1\nSTATUS=unmounting")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	w.nothingLeft()
	w.fails(exitNotFound, "not found", "mount", w.in("layout")+":nope", w.mnt)
	if s := told(t, c, "STOPPING=1\nSTATUS="+"oci:"); !strings.Contains(s, "not found") {
		t.Error(s)
	}
	// A helper leaves, whoever listens.
	if r := w.asHelper(w.ref, w.mnt, "-o", "env.NOTIFY_SOCKET="+c.LocalAddr().String()); r != (result{}) {
		t.Errorf("%+v", r)
	}
	w.ok("umount", w.mnt)
}

// TestNotifyNobody has environments in which nobody listens.
func TestNotifyNobody(t *testing.T) {
	for _, name := range []string{"", "vsock:2:1", "relative"} {
		t.Setenv("NOTIFY_SOCKET", name)
		if newNotifier() != nil {
			t.Errorf("%q: somebody listens", name)
		}
	}
	t.Setenv("NOTIFY_SOCKET", "/nonexistent/socket")
	n := newNotifier()
	n.send("READY=1")
	if _, set := os.LookupEnv("NOTIFY_SOCKET"); n == nil || set {
		t.Errorf("%v, still in the environment: %v", n, set)
	}
}

// TestUnits asks systemd what it thinks of our units.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("system/*.*")
	if len(files) != 3 {
		t.Fatalf("%q", files)
	}
	dir := t.TempDir()
	args := []string{"verify"}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		// Neither the program nor its pages are installed here.
		unit := strings.ReplaceAll(string(b), "=ocifs ", "="+bin+" ")
		lines := slices.DeleteFunc(strings.Split(unit, "\n"), func(l string) bool { return strings.HasPrefix(l, "Documentation=") })
		name := filepath.Join(dir, strings.Replace(filepath.Base(f), "@.", "@srv-py.", 1))
		if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
	}
	if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
