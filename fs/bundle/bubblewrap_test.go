package bundle

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// has says whether words stand in line one after the other.
func has(line []string, words ...string) bool {
	for i := range line {
		if len(line)-i >= len(words) && slices.Equal(line[i:i+len(words)], words) {
			return true
		}
	}
	return false
}

func TestBubblewrap(t *testing.T) {
	img := open(t, config(ocispec.ImageConfig{Cmd: []string{"sh", "-c", "x"}, Env: []string{"A=b=c"}, WorkingDir: "/w"}))
	root, here := t.TempDir(), t.TempDir()
	s := configuration(t, img, Options{ReadOnly: true, Hostname: "me", Network: NetworkNone, Mounts: []specs.Mount{
		{Destination: "/data", Type: "bind", Source: here, Options: []string{"rbind", "ro"}},
		{Destination: "/t", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=1m", "mode=1777"}},
	}})
	line, err := Bubblewrap(s, root)
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]string{
		{"--bind", root, "/"}, {"--proc", "/proc"}, {"--dev", "/dev"}, {"--unshare-net"}, {"--unshare-pid"}, {"--hostname", "me"},
		{"--ro-bind", here, "/data"}, {"--perms", "1777"}, {"--size", "1048576"}, {"--tmpfs", "/t"}, {"--remount-ro", "/"},
		{"--ro-bind", "/proc/sys", "/proc/sys"}, {"--setenv", "A", "b=c"}, {"--cap-drop", "ALL"}, {"--cap-add", "CAP_CHOWN"}, {"--chdir", "/w", "--", "sh", "-c", "x"},
	} {
		if !has(line, words...) {
			t.Errorf("%q is not in %q", words, line)
		}
	}
	if has(line, "--cap-add", "CAP_MKNOD") {
		t.Errorf("%q", line)
	}
	if got := CapabilityMask(s.Process.Capabilities.Bounding); got != 0xa00425fb {
		t.Errorf("bounding set %x", got)
	}
	for _, masked := range []string{"/proc/kcore", "/proc/keys", "/sys/firmware"} { // those this kernel has
		if i := slices.Index(line, masked); i >= 0 && (i < slices.Index(line, "/proc") || i < slices.Index(line, "/sys")) {
			t.Errorf("%s is masked before it is mounted: %q", masked, line)
		}
	}
	for _, d := range []string{"w", "t", "data", "proc", "dev", "sys"} {
		if fi, err := os.Lstat(filepath.Join(root, d)); err != nil || !fi.IsDir() {
			t.Errorf("mountpoint %s: %v", d, err)
		}
	}
	s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Type: "nfs"})
	if _, err := Bubblewrap(s, root); err == nil {
		t.Error("a mount that bwrap doesn't know")
	}
	if img.Manifest().Config.Config.WorkingDir != "/w" || s.Mounts[0].Destination != "/proc" {
		t.Error("the configuration has been changed")
	}
}

// TestMountpointsStayInside makes mountpoints where links of the image lead out
// of it, if one is not careful.
func TestMountpointsStayInside(t *testing.T) {
	outside := t.TempDir()
	root := filepath.Join(t.TempDir(), "root")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "real/etc"), 0o755),
		os.Symlink("/real/etc", filepath.Join(root, "etc")),
		os.Symlink(outside, filepath.Join(root, "out")),
		os.Symlink("../../../../../../.."+outside, filepath.Join(root, "up")),
		os.Symlink("/proc/self/root", filepath.Join(root, "magic")),
		os.Symlink("loop", filepath.Join(root, "loop")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := openPlace(root)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for name, want := range map[string]string{"/etc/new/dir": "/real/etc/new/dir", "/": "/", "/a/b": "/a/b"} {
		if got, err := p.make(name, false); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := p.make("/etc/hosts", true); got != "/real/etc/hosts" || err != nil {
		t.Errorf("a file: %q, %v", got, err)
	}
	for _, name := range []string{"/out", "/out/new", "/up/new", "/loop/x", "/magic/x", "/etc/hosts/x"} {
		if got, err := p.make(name, false); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Errorf("outside there is %v", left)
	}
}

func TestEscape(t *testing.T) {
	if got := escape(`/a,b:c\d`); got != `/a\,b\:c\\d` {
		t.Error(got)
	}
}

func TestNamespace(t *testing.T) {
	ids, _, err := Namespace()
	if err != nil || ids < 1 {
		t.Errorf("%d ids, %v", ids, err)
	}
	if b, err := os.ReadFile("/proc/self/uid_map"); err == nil && strings.Join(strings.Fields(string(b)), " ") == "0 0 4294967295" {
		if _, inside, _ := Namespace(); inside {
			t.Error("inside of what?")
		}
	}
}
