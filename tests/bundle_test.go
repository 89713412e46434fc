package tests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// withMountpoints is the image with the directories that a read-only root must
// have.
func withMountpoints(m lt.Image) lt.Image {
	m.Layers = append(m.Layers, lt.GzipLayer(lt.Tar(lt.Dir("proc"), lt.Dir("dev"), lt.Dir("sys"))))
	return m
}

// runBundle runs the bundle at dir with runc.
func (u *user) runBundle(t testing.TB, dir string) (string, error) {
	t.Helper()
	cmd := exec.Command(needProgram(t, "runc"), "--root", filepath.Join(u.home, "runc"), "run", "--bundle", dir, filepath.Base(u.home))
	cmd.Env = u.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestBundle makes bundles, has runc run them, and takes them down by the name
// of the bundle, of its root, and all at once.
func TestBundle(t *testing.T) {
	needContainers(t)
	u := newUser(t)
	plain := withMountpoints(probeImage(t, ocispec.ImageConfig{User: "alice", Cmd: []string{"write", "/data/new", "x"}}))
	bare := probeImage(t, ocispec.ImageConfig{Cmd: []string{"id"}})
	bare.Tag = "bare"
	layout := u.layoutOf(t, plain, bare)
	for _, c := range []struct {
		name  string
		args  []string // IMAGE and DIR come before ARGS
		image string
		words []string
		say   string
		down  string
	}{
		{"read-only", nil, ":probe", nil, "error: open /data/new: read-only file system\n", ""},
		{"arguments", nil, ":probe", []string{"cat", "/hers"}, "alice's\n", "rootfs"},
		{"in memory", []string{"--writable"}, ":probe", nil, "", ""},
		{"in a directory", []string{"--writable=kept"}, ":probe", nil, "", "rootfs"},
		{"kept", []string{"--writable=kept"}, ":probe", []string{"cat", "/data/new"}, "x", "--all"},
		{"nothing to mount on", nil, ":bare", nil, "0 0 [] /\n", ""},
	} {
		dir := filepath.Join(u.home, c.name)
		u.ok(t, append(append(append([]string{"bundle"}, c.args...), layout+c.image, dir), c.words...)...)
		if got, _ := u.runBundle(t, dir); got != c.say {
			t.Errorf("%s: %q, want %q", c.name, got, c.say)
		}
		if list := u.mounts(t); len(list) != 1 || list[0].State != "ok" || list[0].Mountpoint != filepath.Join(dir, "rootfs") {
			t.Errorf("%s: %+v", c.name, list)
		}
		switch c.down {
		case "--all":
			u.ok(t, "umount", "--all")
		default:
			u.ok(t, "umount", filepath.Join(dir, c.down))
		}
		if left := mountsBelow(t, u.home); len(left) > 0 {
			t.Errorf("%s: still mounted: %q", c.name, left)
		}
		u.leftNothing(t)
	}
	u.refused(t, exitFailure, "bundle", layout+":probe", filepath.Join(u.home, "kept")) // it has one
}

// TestBundleConfig goes through what config.json has from the image.
func TestBundleConfig(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	image := withMountpoints(probeImage(t, ocispec.ImageConfig{
		User: "alice", Env: []string{"A=1"}, Cmd: []string{"id"}, WorkingDir: "/data",
		Labels: map[string]string{"l": "m"}, StopSignal: "SIGQUIT", Volumes: map[string]struct{}{"/data": {}},
	}))
	dir := filepath.Join(u.home, "b")
	u.ok(t, "bundle", "-u", "0", u.layoutOf(t, image)+":probe", dir)
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	var got struct {
		Process struct {
			Args []string
			Cwd  string
			User struct{ UID int }
		}
		Root        struct{ Readonly bool }
		Annotations map[string]string
	}
	if err == nil {
		err = json.Unmarshal(b, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got.Process.Cwd != "/data" || strings.Join(got.Process.Args, " ") != "probe id" || got.Process.User.UID != 0 || !got.Root.Readonly {
		t.Errorf("%+v", got)
	}
	if got.Annotations["l"] != "m" || got.Annotations["org.opencontainers.image.stopSignal"] != "SIGQUIT" {
		t.Errorf("%+v", got.Annotations)
	}
	u.ok(t, "umount", dir)
}

// TestBundleFails leaves nothing of a bundle that could not be made, and what
// was there before.
func TestBundleFails(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	ref := u.layoutOf(t, probeImage(t, ocispec.ImageConfig{})) + ":probe"
	dir := filepath.Join(u.home, "b")
	u.refused(t, exitNotFound, "bundle", "-u", "mallory", ref, dir)
	u.refused(t, exitNotFound, "bundle", ref+"x", dir)
	u.refused(t, exitNotFound, "bundle", ref, filepath.Join(u.home, "no/such"))
	u.refused(t, exitUsage, "bundle", ref)
	if _, err := os.Lstat(dir); err == nil {
		t.Errorf("%s is left", dir)
	}
	if err := os.MkdirAll(filepath.Join(dir, "rootfs", "mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	u.refused(t, exitNotFound, "bundle", "-u", "mallory", ref, dir)
	if left, _ := filepath.Glob(dir + "/*/*"); len(left) != 1 {
		t.Errorf("of what was there, there is %q", left)
	}
	u.leftNothing(t)
}

// TestBundleKilled takes down what a killed daemon left, and what one leaves
// that is told to end.
func TestBundleKilled(t *testing.T) {
	needFUSE(t)
	needRoot(t, "mount an overlay")
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		u := newUser(t)
		dir := filepath.Join(u.home, "b")
		u.ok(t, "bundle", "--writable", u.layoutOf(t, probeImage(t, ocispec.ImageConfig{Cmd: []string{"id"}}))+":probe", dir)
		pid := u.daemonOf(t, filepath.Join(dir, "rootfs"))
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the daemon to end", func() bool { return ended(pid) })
		if s == syscall.SIGKILL {
			u.ok(t, "umount", dir)
		}
		if left := mountsBelow(t, u.home); len(left) > 0 {
			t.Errorf("%v: still mounted: %q", s, left)
		}
		u.leftNothing(t)
	}
}
