package tests

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// needFace skips a test that is of one face only, if mounts have the other.
func needFace(t testing.TB, face, why string) {
	t.Helper()
	needFUSE(t)
	if other := os.Getenv("OCIFS_FACE"); other != "" && other != face {
		t.Skipf("mounts are of the face %s here: %s", other, why)
	}
}

// needEROFS skips tests of the face that a kernel without EROFS, or with one of
// block devices only, doesn't have.
func needEROFS(t testing.TB) {
	t.Helper()
	needFUSE(t)
	needRoot(t, "mount EROFS")
	u := newUser(t)
	m, r := u.tryMount(t, u.layoutOf(t, small("t", "hello"))+":t", "--face=erofs")
	if m != nil {
		m.unmount(t, u)
		return
	}
	if r.code != exitUnsupported {
		t.Fatal(r)
	}
	t.Skip("no EROFS here: " + r.stderr)
}

// recorded waits until a mount has its record, which is made after it.
func (u *user) recorded(t testing.TB, m *mount) {
	t.Helper()
	waitFor(t, "a record", func() bool {
		return slices.ContainsFunc(u.mounts(t), func(r mountRecord) bool { return r.Mountpoint == m.dir })
	})
}

// mountedAs is what mount tables say of dir, nil if nothing is mounted there.
func mountedAs(t testing.TB, dir string) *mountinfo.Info {
	t.Helper()
	list, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// TestFaces mounts one image through both faces: each shows what is unpacked of
// it, and a file has one inode number in both.
func TestFaces(t *testing.T) {
	needEROFS(t)
	want, layout := fixture(t).want, fixture(t).layout
	u := newUser(t)
	ref := "oci:" + layout + ":p1"
	plain, kernel := u.mount(t, ref, "--face=fuse"), u.mount(t, ref, "--face=erofs")
	for m, want := range map[*mount][3]string{plain: {"fuse.ocifs", ref, "fuse"}, kernel: {"erofs", "ocifs:" + ref, "erofs"}} {
		if i := mountedAs(t, m.dir); i.FSType != want[0] || i.Source != want[1] {
			t.Errorf("%s of %s, want %s", i.FSType, i.Source, want)
		}
		u.recorded(t, m)
		if out := u.ok(t, "mounts", "--json", m.dir); !strings.Contains(out, `"face": "`+want[2]+`"`) {
			t.Errorf("it is not said to be %s:\n%s", want[2], out)
		}
	}
	readAtRandom(t, want, kernel.dir)
	lt.Compare(t, want, kernel.dir)
	lt.Compare(t, plain.dir, kernel.dir)
	err := filepath.WalkDir(plain.dir, func(name string, _ os.DirEntry, err error) error {
		rel, _ := filepath.Rel(plain.dir, name)
		var a, b unix.Stat_t
		if err := errors.Join(err, unix.Lstat(name, &a), unix.Lstat(kernel.path(rel), &b)); err != nil {
			return err
		}
		if a.Ino != b.Ino || a.Blksize != b.Blksize || a.Atim != b.Atim || a.Ctim != b.Ctim {
			t.Errorf("%s is %+v, and %+v", rel, a, b)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if out := u.ok(t, "stats", kernel.dir); !strings.Contains(out, " read ") {
		t.Errorf("stats says %s", out)
	}
	plain.unmount(t, u)
	kernel.unmount(t, u)
	u.leftNothing(t)
}

// TestFaceUnmounted takes mounts down in every way there is: each takes down all
// of it.
func TestFaceUnmounted(t *testing.T) {
	needEROFS(t)
	u := newUser(t)
	ref := u.layoutOf(t, small("t", "hello")) + ":t"
	for what, how := range map[string]func(m *mount){
		"ocifs umount":      func(m *mount) { u.ok(t, "umount", m.dir) },
		"ocifs umount -a":   func(m *mount) { u.ok(t, "umount", "-a") },
		"umount2":           func(m *mount) { unix.Unmount(m.dir, 0) },
		"umount2, detached": func(m *mount) { unix.Unmount(m.dir, unix.MNT_DETACH) },
		"SIGTERM":           func(m *mount) { m.daemon.Process.Signal(syscall.SIGTERM) },
		"SIGINT":            func(m *mount) { m.daemon.Process.Signal(syscall.SIGINT) },
	} {
		t.Run(what, func(t *testing.T) {
			m := u.mount(t, ref, "--face=erofs")
			if got := m.read(t, "f"); got != "hello" {
				t.Errorf("%q", got)
			}
			how(m)
			m.wait(t)
			if code := m.daemon.ProcessState.ExitCode(); code != exitOK {
				t.Errorf("the daemon ended with %d:\n%s", code, m.stderr)
			}
			if mounted(t, m.dir) {
				t.Error("it is still mounted")
			}
			u.leftNothing(t)
		})
	}
}

// TestFaceInUse takes away a mount whose files are open: not without being told
// to, and then it is served until the last one is closed.
func TestFaceInUse(t *testing.T) {
	needEROFS(t)
	u := newUser(t)
	m := u.mount(t, u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", text(3<<20))))}})+":t", "--face=erofs")
	f, err := os.Open(m.path("f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	u.refused(t, exitMount, "umount", m.dir)
	u.ok(t, "umount", "--lazy", m.dir)
	if mounted(t, m.dir) {
		t.Error("still mounted")
	}
	if b, err := io.ReadAll(f); err != nil || string(b) != text(3<<20) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	select {
	case <-m.done:
		t.Error("the daemon has ended before its last user")
	default:
	}
	f.Close()
	m.wait(t)
	u.leftNothing(t)
}

// TestFaceKilled kills the daemon: what the kernel has it shows, reads fail and
// don't hang, and a new mount takes the place of the old one.
func TestFaceKilled(t *testing.T) {
	needEROFS(t)
	u := newUser(t)
	ref := u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", "hello"), lt.File("g", text(1<<20)), lt.Symlink("l", "f")))}}) + ":t"
	m := u.mount(t, ref, "--face=erofs")
	m.read(t, "f")
	m.kill(t)
	if target, err := os.Readlink(m.path("l")); target != "f" || err != nil {
		t.Errorf("%q, %v", target, err)
	}
	if _, err := os.ReadFile(m.path("g")); !errors.Is(err, unix.EIO) {
		t.Errorf("a file that nobody has read: %v, want EIO", err)
	}
	if said := u.refused(t, exitMount, "mount", "--face=erofs", ref, m.dir); !strings.Contains(said, "ocifs umount") {
		t.Errorf("mount says %s", said)
	}
	u.ok(t, "umount", m.dir)
	if mounted(t, m.dir) {
		t.Error("still mounted")
	}
	u.leftNothing(t)
	m = u.mount(t, ref, "--face=erofs")
	if m.read(t, "g") != text(1<<20) {
		t.Error("it reads wrong")
	}
	m.unmount(t, u)
}

// TestFaceFails has the registry fail while a file is read: that is an EIO, of
// what is missing only, and nobody remembers it.
func TestFaceFails(t *testing.T) {
	needEROFS(t)
	image := lt.Image{Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("a", text(2<<20)), lt.File("b", "bee"), lt.File("c", text(2<<20))))}}
	reg := registrytest.Start(t, registrytest.Options{})
	reg.Push("app", "t", registrytest.Layer{Blob: image.Layers[0].Blob, MediaType: image.Layers[0].MediaType, DiffID: image.Layers[0].DiffID})
	u := newUser(t)
	m := u.mount(t, reg.Host+"/app:t")
	m.read(t, "b")
	m.unmount(t, u)
	u.forget(t)
	m = u.mount(t, reg.Host+"/app:t", "--face=erofs")
	if m.read(t, "b") != "bee" {
		t.Error("it reads wrong")
	}
	reg.Use(registrytest.On(registrytest.Blob, registrytest.Status(http.StatusNotFound)))
	for range 2 {
		if b, err := os.ReadFile(m.path("c")); !errors.Is(err, unix.EIO) {
			t.Errorf("%d bytes, %v, want EIO", len(b), err)
		}
	}
	if m.read(t, "b") != "bee" {
		t.Error("what was there is there no more")
	}
	reg.Heal()
	for name, want := range map[string]string{"a": text(2 << 20), "c": text(2 << 20)} {
		if m.read(t, name) != want {
			t.Errorf("%s reads wrong when all is well again", name)
		}
	}
	m.unmount(t, u)
	if said := m.stderr.String(); strings.Count(said, "read failed") != 1 || !strings.Contains(said, " path=c ") {
		t.Errorf("it says %s", said)
	}
}

// TestFaceAuto lets ocifs choose.
func TestFaceAuto(t *testing.T) {
	needEROFS(t)
	u := newUser(t)
	odd := lt.File("f", "hello", lt.Xattr("system.posix_acl_access", "no list"))
	ref := u.layoutOf(t, small("t", "hello"), lt.Image{Tag: "odd", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(odd))}})
	for what, c := range map[string]struct {
		typ, why string
		args     []string
	}{
		"plainly":        {"erofs", "", []string{ref + ":t"}},
		"an odd image":   {"fuse.ocifs", "posix_acl_access", []string{ref + ":odd"}},
		"a trace":        {"erofs", "", []string{"--record-trace=" + filepath.Join(u.home, "trace"), ref + ":t"}},
		"no disk":        {"fuse.ocifs", "/dev/shm/", []string{"--cache-dir=/dev/shm/" + filepath.Base(u.home), ref + ":t"}},
		"fuse, asked so": {"fuse.ocifs", "", []string{"--face=fuse", ref + ":t"}},
	} {
		t.Run(what, func(t *testing.T) {
			if what == "no disk" {
				t.Cleanup(func() { os.RemoveAll("/dev/shm/" + filepath.Base(u.home)) })
			}
			args := append([]string{"--face=auto"}, c.args...)
			m := u.mount(t, args[len(args)-1], args[:len(args)-1]...)
			if i := mountedAs(t, m.dir); i.FSType != c.typ {
				t.Errorf("it is mounted as %s, want %s", i.FSType, c.typ)
			}
			if m.read(t, "f") != "hello" {
				t.Error("it reads wrong")
			}
			u.recorded(t, m)
			if out := u.ok(t, "mounts", "-v", m.dir); strings.Contains(out, "no erofs") != (c.why != "") || !strings.Contains(out, c.why) {
				t.Errorf("it isn't said why, %q:\n%s", c.why, out)
			}
			m.unmount(t, u)
			if m.stderr.Len() > 0 {
				t.Errorf("it says %s", m.stderr)
			}
		})
	}
	dir := tempDir(t)
	if said := u.refused(t, exitUnsupported, "mount", "--face=erofs", ref+":odd", dir); !strings.Contains(said, "posix_acl_access") {
		t.Errorf("it says %s", said)
	}
	u.refused(t, exitUsage, "mount", "--face=two", ref+":t", dir)
	u.leftNothing(t)
}

// TestFaceUsers has another user look around: what permissions let them see, and
// no more.
func TestFaceUsers(t *testing.T) {
	needEROFS(t)
	setpriv := needProgram(t, "setpriv")
	u := newUser(t)
	layer := lt.GzipLayer(lt.Tar(lt.File("open", "hello"), lt.File("secret", "s", lt.Mode(0o600)), lt.File("theirs", "t", lt.Mode(0o600), lt.Owner(65534, 65534))))
	m := u.mount(t, u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{layer}})+":t", "--face=erofs")
	for d := m.dir; d != os.TempDir() && len(d) > 1; d = filepath.Dir(d) {
		if d != m.dir {
			os.Chmod(d, 0o755)
		}
	}
	for name, want := range map[string]string{"open": "hello", "theirs": "t", "secret": ""} {
		out, err := exec.Command(setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "cat", m.path(name)).Output()
		if string(out) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	m.unmount(t, u)
}
