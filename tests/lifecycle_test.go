package tests

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	lt "ocifs.dev/ocifs/tests/layertest"

	"golang.org/x/sys/unix"
)

// layoutOf writes images as a layout of this user and returns its reference,
// to be followed by ":tag".
func (u *user) layoutOf(t testing.TB, images ...lt.Document) string {
	t.Helper()
	dir := filepath.Join(u.home, "layout")
	lt.WriteLayout(t, dir, images...)
	return "oci:" + dir
}

// A daemon in the background: mount returns when the image is there, and
// umount leaves no process, no record and no mount.
func TestBackground(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	ref := u.layoutOf(t, small("t", "hello"))
	dir := tempDir(t)
	r := u.run(t, "mount", ref+":t", dir)
	if r.code != exitOK {
		t.Fatal(r)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "f")); string(b) != "hello" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	pid := u.daemonOf(t, dir)
	u.ok(t, "umount", dir)
	waitFor(t, "the daemon to end", func() bool { return ended(pid) })
	u.leftNothing(t)
}

// ended reports whether a process is gone, or waits only for its parent, which
// here is whoever takes orphans in, to take notice.
func ended(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(b), ") ")
	return err != nil || strings.HasPrefix(state, "Z")
}

// daemonOf is the process that serves dir, as "ocifs mounts" tells it.
func (u *user) daemonOf(t testing.TB, dir string) int {
	t.Helper()
	for _, m := range u.mounts(t) {
		if m.Mountpoint == dir {
			return m.PID
		}
	}
	t.Fatalf("ocifs mounts doesn't know %s", dir)
	return 0
}

type mountRecord struct {
	Mountpoint string `json:"mountpoint"`
	PID        int    `json:"pid"`
	State      string `json:"state"`
}

// mounts is what "ocifs mounts --json" lists, but for what others mounted.
func (u *user) mounts(t testing.TB) []mountRecord {
	t.Helper()
	out := u.ok(t, "mounts", "--json")
	var list struct {
		Mounts []mountRecord `json:"mounts"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return slices.DeleteFunc(list.Mounts, func(m mountRecord) bool { return m.State == "unknown" })
}

// leftNothing checks that no mount is known and no file of one is left.
func (u *user) leftNothing(t testing.TB) {
	t.Helper()
	if list := u.mounts(t); len(list) != 0 {
		t.Errorf("mounts left: %v", list)
	}
	filepath.WalkDir(filepath.Join(u.home, "state"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("file left: %s", name)
		}
		return nil
	})
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// A killed daemon leaves a dead mount: umount takes it away, and the next
// mount has lost nothing.
func TestKilled(t *testing.T) {
	needFace(t, "fuse", "TestFaceKilled is of the other")
	u := newUser(t)
	ref := u.layoutOf(t, small("t", "hello"))
	m := u.mount(t, ref+":t")
	m.read(t, "f")
	m.kill(t)
	if _, err := os.Stat(m.path("never looked at")); !errors.Is(err, unix.ENOTCONN) {
		t.Errorf("a dead mount: %v, want ENOTCONN", err)
	}
	u.ok(t, "umount", m.dir)
	if mounted(t, m.dir) {
		t.Error("still mounted")
	}
	u.leftNothing(t)
	m = u.mount(t, ref+":t")
	if got := m.read(t, "f"); got != "hello" {
		t.Errorf("%q", got)
	}
	m.unmount(t, u)
}

// Killed in the middle of making an index, at any time, a daemon leaves
// nothing behind that the next one takes for whole.
func TestKilledWhileIndexing(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	content := text(20 << 20)
	ref := u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", content)))}})
	for i := range 8 {
		dir := tempDir(t)
		cmd := u.command(t, "mount", "--foreground", ref+":t", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i*20) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		if mounted(t, dir) {
			u.ok(t, "umount", dir)
		}
	}
	m := u.mount(t, ref+":t")
	if m.read(t, "f") != content {
		t.Error("the content is wrong")
	}
	m.unmount(t, u)
}

// SIGTERM unmounts; a mount in use is served until its last user is gone.
func TestTerminated(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	ref := u.layoutOf(t, small("t", "hello"))
	m := u.mount(t, ref+":t")
	m.daemon.Process.Signal(syscall.SIGTERM)
	m.wait(t)
	if mounted(t, m.dir) {
		t.Error("still mounted")
	}
	m = u.mount(t, ref+":t")
	f, err := os.Open(m.path("f"))
	if err != nil {
		t.Fatal(err)
	}
	m.daemon.Process.Signal(syscall.SIGTERM)
	waitFor(t, "the mount to go", func() bool { return !mounted(t, m.dir) })
	b := make([]byte, 5)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "hello" {
		t.Errorf("after SIGTERM a file in use reads %q, %v", b, err)
	}
	f.Close()
	m.wait(t)
	u.leftNothing(t)
}

// A mount in use is not unmounted, and says so.
func TestBusy(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	m := u.mount(t, u.layoutOf(t, small("t", "hello"))+":t")
	f, err := os.Open(m.path("f"))
	if err != nil {
		t.Fatal(err)
	}
	u.refused(t, exitMount, "umount", m.dir)
	f.Close()
	m.unmount(t, u)
}

// The same image on two places, and one place twice.
func TestTwoMounts(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	ref := u.layoutOf(t, small("t", "hello"))
	a, b := u.mount(t, ref+":t"), u.mount(t, ref+":t")
	var sa, sb unix.Stat_t
	if err := errors.Join(unix.Stat(a.path("f"), &sa), unix.Stat(b.path("f"), &sb)); err != nil {
		t.Fatal(err)
	}
	if sa.Ino != sb.Ino {
		t.Errorf("inode numbers of one file in two mounts: %d and %d", sa.Ino, sb.Ino)
	}
	a.unmount(t, u)
	if got := b.read(t, "f"); got != "hello" {
		t.Errorf("%q", got)
	}
	b.unmount(t, u)
	u.leftNothing(t)
}

// No image can be written to, by any call.
func TestReadOnly(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	layer := lt.GzipLayer(lt.Tar(lt.File("f", "hello"), lt.Dir("d")))
	m := u.mount(t, u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{layer}})+":t")
	f, n := m.path("f"), m.path("new")
	open := func(flags int) error {
		fd, err := unix.Open(f, flags, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	for what, err := range map[string]error{
		"open for writing":  open(unix.O_WRONLY),
		"open for both":     open(unix.O_RDWR),
		"open and truncate": open(unix.O_RDONLY | unix.O_TRUNC),
		"create":            func() error { _, err := unix.Open(n, unix.O_CREAT|unix.O_WRONLY, 0o600); return err }(),
		"mkdir":             unix.Mkdir(n, 0o700),
		"mknod":             unix.Mknod(n, unix.S_IFIFO, 0),
		"symlink":           unix.Symlink("f", n),
		"link":              unix.Link(f, n),
		"unlink":            unix.Unlink(f),
		"rmdir":             unix.Rmdir(m.path("d")),
		"rename":            unix.Rename(f, n),
		"chmod":             unix.Chmod(f, 0o777),
		"chown":             unix.Lchown(f, 1, 1),
		"truncate":          unix.Truncate(f, 0),
		"utimes":            unix.Utimes(f, make([]unix.Timeval, 2)),
		"setxattr":          unix.Setxattr(f, "user.x", []byte("1"), 0),
		"removexattr":       unix.Removexattr(f, "user.x"),
		"access(W_OK)":      unix.Access(f, unix.W_OK),
	} {
		if !errors.Is(err, unix.EROFS) {
			t.Errorf("%s: %v, want EROFS", what, err)
		}
	}
	if _, err := os.Stat(m.path(strings.Repeat("n", 256))); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("a name of 256 bytes: %v, want ENAMETOOLONG", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(m.dir, &st); err != nil || st.Blocks == 0 || st.Files == 0 || st.Bavail != 0 || st.Namelen != 255 {
		t.Errorf("statfs: %+v, %v", st, err)
	}
	m.unmount(t, u)
}

// A directory of many names lists each of them once, however it is read.
func TestManyNames(t *testing.T) {
	needFUSE(t)
	const n = 20_000
	e := []lt.Entry{lt.Dir("many")}
	for i := range n {
		e = append(e, lt.File(fmt.Sprintf("many/%05d", i), ""))
	}
	u := newUser(t)
	m := u.mount(t, u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(e...))}})+":t")
	d, err := os.Open(m.path("many"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 2 {
		seen := map[string]bool{}
		for {
			names, err := d.Readdirnames(77)
			for _, name := range names {
				if seen[name] {
					t.Fatalf("%s twice", name)
				}
				seen[name] = true
			}
			if err != nil {
				break
			}
		}
		if len(seen) != n {
			t.Errorf("%d names, want %d", len(seen), n)
		}
		if _, err := d.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
	}
	d.Close()
	m.unmount(t, u)
}
