package tests

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// needFUSE skips tests that mount where nothing can be mounted.
func needFUSE(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no mounts here: %v", err)
	}
	f.Close()
	if os.Getuid() == 0 {
		return
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		t.Skip("no mounts here: not root, and fusermount3 (package fuse3) is absent")
	}
}

func needRoot(t testing.TB, what string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skipf("only root can %s", what)
	}
}

func needProgram(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not on PATH", name)
	}
	return path
}

// A mount is an image that a daemon of its own serves at dir.
type mount struct {
	dir    string
	daemon *exec.Cmd
	stderr *bytes.Buffer
	done   chan struct{} // closed when the daemon has ended
}

// mount runs "ocifs mount" in the foreground and waits until dir shows the
// image; options go before REF. The mount goes with the test.
func (u *user) mount(t testing.TB, ref string, options ...string) *mount {
	t.Helper()
	m, r := u.tryMount(t, ref, options...)
	if m == nil {
		t.Fatalf("mount %s: %v", ref, r)
	}
	return m
}

// tryMount is mount for images that may be refused: then there is a result
// instead of a mount.
func (u *user) tryMount(t testing.TB, ref string, options ...string) (*mount, result) {
	t.Helper()
	needFUSE(t)
	dir := tempDir(t)
	args := append([]string{"mount", "--foreground"}, options...)
	args = append(args, ref, dir)
	m := &mount{dir: dir, daemon: u.command(t, args...), stderr: &bytes.Buffer{}, done: make(chan struct{})}
	var stdout bytes.Buffer
	m.daemon.Stdout, m.daemon.Stderr = &stdout, m.stderr
	if err := m.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		m.daemon.Wait()
		close(m.done)
	}()
	t.Cleanup(func() { m.end(t, args) })
	giveUp := time.After(patience)
	for !mounted(t, dir) {
		select {
		case <-m.done:
			r := result{m.daemon.ProcessState.ExitCode(), stdout.String(), m.stderr.String()}
			mustNotPanic(t, args, r.stderr)
			return nil, r
		case <-giveUp:
			m.daemon.Process.Signal(syscall.SIGABRT)
			<-m.done
			t.Fatalf("ocifs %q neither mounts nor gives up:\n%s", args, m.stderr)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return m, result{}
}

// unmount unmounts dir as a user would and waits for the daemon, which must
// end well.
func (m *mount) unmount(t testing.TB, u *user) {
	t.Helper()
	u.ok(t, "umount", m.dir)
	m.wait(t)
	if code := m.daemon.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("the daemon ended with %d:\n%s", code, m.stderr)
	}
	if mounted(t, m.dir) {
		t.Errorf("%s is still mounted", m.dir)
	}
}

// wait waits for the daemon to end.
func (m *mount) wait(t testing.TB) {
	t.Helper()
	select {
	case <-m.done:
	case <-time.After(patience):
		m.daemon.Process.Signal(syscall.SIGABRT)
		<-m.done
		t.Errorf("the daemon didn't end:\n%s", m.stderr)
	}
}

// end ends what the test left running.
func (m *mount) end(t testing.TB, args []string) {
	if mounted(t, m.dir) {
		if os.Getuid() == 0 {
			unix.Unmount(m.dir, unix.MNT_DETACH)
		} else {
			exec.Command("fusermount3", "-u", "-z", m.dir).Run()
		}
	}
	m.daemon.Process.Signal(syscall.SIGTERM)
	m.wait(t)
	mustNotPanic(t, args, m.stderr.String())
}

// kill ends the daemon the hard way.
func (m *mount) kill(t testing.TB) {
	t.Helper()
	if err := m.daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-m.done
}

// path is a path inside the mount.
func (m *mount) path(name string) string { return filepath.Join(m.dir, name) }

// read reads a whole file of the mount.
func (m *mount) read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(m.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// mounted reports whether dir is a mount point, without touching what is
// mounted there: its daemon may be gone.
func mounted(t testing.TB, dir string) bool {
	t.Helper()
	list, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	return len(list) > 0
}

// mountsBelow lists the mount points at and below dir, the deepest first.
func mountsBelow(t testing.TB, dir string) []string {
	t.Helper()
	list, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, m := range list {
		if m.Mountpoint == dir || strings.HasPrefix(m.Mountpoint, dir+"/") {
			dirs = append([]string{m.Mountpoint}, dirs...)
		}
	}
	return dirs
}
