package main

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ocifs.dev/ocifs/fs"
)

func TestWatchdogEvery(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"30000000", "", 30 * time.Second}, {"30000000", "7", 30 * time.Second}, {"30000000", "8", 0},
		{"0", "", 0}, {"-1", "", 0}, {"x", "7", 0}, {"18446744073709551615", "", 0}, {"99999999999999", "", 0},
	} {
		env := map[string]string{"WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid}
		if got := watchdogEvery(func(k string) string { return env[k] }, 7); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// heard is what is told a service manager.
func heard(t *testing.T) (*notifier, *net.UnixConn) {
	t.Helper()
	addr := net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	c, err := net.ListenUnixgram("unixgram", &addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &notifier{addr: addr}, c
}

// TestWatch tells the service manager as often as the mount answers, and not once
// more.
func TestWatch(t *testing.T) {
	n, c := heard(t)
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int64
	hung := errors.New("hung")
	told := make(chan error, 100)
	probe := func(context.Context) error {
		switch k := asked.Add(1); {
		case k == 20:
			cancel()
		case k%2 == 0:
			return hung
		}
		return nil
	}
	n.watch(ctx, 2*time.Millisecond, probe, func(err error) { told <- err })
	for range 10 { // of 20, the last one of which came too late
		b := make([]byte, 100)
		c.SetReadDeadline(time.Now().Add(time.Minute))
		if k, err := c.Read(b); string(b[:k]) != "WATCHDOG=1\n" || err != nil {
			t.Fatalf("%q, %v", b[:k], err)
		}
	}
	n.send("END=1") // comes behind all that was sent before
	b := make([]byte, 100)
	if k, err := c.Read(b); string(b[:k]) != "END=1\n" || err != nil {
		t.Errorf("more: %q, %v", b[:k], err)
	}
	if len(told) != 9 || <-told != hung {
		t.Errorf("told of %d", len(told))
	}
}

// TestProbe asks mounts that are served, dead, hung, and not there.
func TestProbe(t *testing.T) {
	needRoot(t)
	needFUSE(t)
	w := newWorld(t)
	w.ok("mount", w.ref, w.mnt)
	r := w.recordOf(w.mnt)
	if out := w.ok("probe", w.mnt, r.Device); out != "" {
		t.Errorf("%q", out)
	}
	w.ok("probe", w.mnt, "0:0") // which would be another one
	w.ok("probe", w.in("nowhere"), r.Device)
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.eventually("its death", func() bool { return !r.running() })
	w.fails(exitMount, "ocifs: error: "+w.mnt+": ", "probe", w.mnt, r.Device) // ENOTCONN, or ECONNABORTED just now
	w.ok("umount", w.mnt)

	conn, err := fs.Attach(w.mnt, fs.Options{}) // which nobody serves
	if err != nil {
		t.Fatal(err)
	}
	table, err := fs.ReadTable()
	if err != nil || table.At(w.mnt) == nil {
		t.Fatal(err)
	}
	device := fs.Device(table.At(w.mnt))
	p := &prober{wait: 100 * time.Millisecond, command: func(ctx context.Context) *exec.Cmd {
		return w.command("probe", w.mnt, device)
	}}
	for range 2 { // the second time, the same process is waited for
		if err := p.probe(t.Context()); err != errNoAnswer {
			t.Errorf("hung: %v", err)
		}
	}
	if err := conn.UnmountLazy(); err != nil {
		t.Error(err)
	}
	conn.Close()
	<-p.asking // it ends with the mount
	p = &prober{wait: time.Minute, command: func(ctx context.Context) *exec.Cmd { return exec.Command(w.in("nothing")) }}
	if err := p.probe(t.Context()); err != nil {
		t.Errorf("nobody to ask: %v", err)
	}
}

// TestWatchdog has a mount answer its service manager's watchdog, until it ends.
func TestWatchdog(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	n, c := heard(t)
	w.env = append(w.env, "NOTIFY_SOCKET="+n.addr.Name, "WATCHDOG_USEC=400000")
	cmd := w.command("mount", w.ref, w.mnt)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for ready, b := 0, make([]byte, 1000); ready < 3; {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		k, err := c.Read(b)
		if err != nil {
			t.Fatalf("%v after %q", err, said)
		}
		if said += string(b[:k]); strings.HasPrefix(string(b[:k]), "WATCHDOG=1") {
			ready++
		}
	}
	if i := strings.Index(said, "READY=1"); i < 0 || i > strings.Index(said, "WATCHDOG=1") {
		t.Errorf("%q", said)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	w.nothingLeft()
}
