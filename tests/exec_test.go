package tests

import (
	"bufio"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// rootfs makes an image of Debian packages, and has the MD5 sums of files that
// their makers stated.
func rootfs(t testing.TB) (image lt.Image, sums map[string]string) {
	t.Helper()
	dir := tempDir(t)
	sums = map[string]string{}
	image.Tag = "debian"
	for i, deb := range debs(t, dir, "bash", "coreutils", "base-files") {
		pack := packings[i%len(packings)].pack
		image.Layers = append(image.Layers, pack(output(t, "dpkg-deb", "--fsys-tarfile", deb)))
		control := filepath.Join(dir, fmt.Sprint(i))
		output(t, "dpkg-deb", "--control", deb, control)
		b, _ := os.ReadFile(filepath.Join(control, "md5sums")) // some packages have none
		for lines := bufio.NewScanner(strings.NewReader(string(b))); lines.Scan(); {
			sum, name, _ := strings.Cut(lines.Text(), "  ")
			sums[name] = sum
		}
	}
	return image, sums
}

// debs downloads packages into dir, and all that a machine without any would
// need for them.
func debs(t testing.TB, dir string, names ...string) []string {
	t.Helper()
	none := filepath.Join(dir, "status")
	if err := os.WriteFile(none, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	download := exec.Command(needProgram(t, "apt-get"), append([]string{"install", "-qq", "--download-only", "--no-install-recommends",
		"-o", "Dir::State::status=" + none, "-o", "Dir::Cache::archives=" + dir, "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="}, names...)...)
	if out, err := download.CombinedOutput(); err != nil {
		t.Skipf("no Debian packages to make an image of: %v: %v\n%s", download, err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) < len(names) {
		t.Fatalf("%d packages for %q, %v", len(files), names, err)
	}
	return files
}

func output(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	return out
}

// TestRootfs mounts a root file system, has its makers' checksums checked,
// and runs its programs in three ways.
func TestRootfs(t *testing.T) {
	needFUSE(t)
	needRoot(t, "run programs in a root file system")
	u := newUser(t)
	image, sums := rootfs(t)
	ref := u.layoutOf(t, image)
	m := u.mount(t, ref+":debian")
	if len(sums) < 100 {
		t.Errorf("only %d checksums", len(sums))
	}
	for name, want := range sums {
		b, err := os.ReadFile(m.path(name))
		if err != nil {
			t.Error(err)
		} else if got := fmt.Sprintf("%x", md5.Sum(b)); got != want {
			t.Errorf("%s: MD5 %s; its package says %s", name, got, want)
		}
	}
	t.Run("umoci", func(t *testing.T) {
		want := filepath.Join(tempDir(t), "want")
		lt.Unpack(t, strings.TrimPrefix(ref, "oci:"), "debian", want)
		lt.Compare(t, want, m.dir, lt.RootAttrs)
	})
	const script = "set -e; ls -d /usr/lib | wc -l; echo $BASH_VERSION | cut -d. -f1; sha256sum </bin/bash | wc -c"
	check := func(t *testing.T, cmd *exec.Cmd) {
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "1\n5\n68\n" {
			t.Errorf("%v: %v\n%s", cmd, err, out)
		}
	}
	t.Run("chroot", func(t *testing.T) {
		check(t, exec.Command(needProgram(t, "chroot"), m.dir, "/bin/bash", "-c", script))
	})
	t.Run("bwrap", func(t *testing.T) {
		check(t, exec.Command(needProgram(t, "bwrap"), "--ro-bind", m.dir, "/", "--proc", "/proc", "--dev", "/dev",
			"--unshare-pid", "/bin/bash", "-c", script))
	})
	t.Run("runc", func(t *testing.T) { check(t, runc(t, m.dir, script)) })
	m.unmount(t, u)
}

// runc is a container with its root on dir.
func runc(t *testing.T, dir, script string) *exec.Cmd {
	program := needProgram(t, "runc")
	bundle := tempDir(t)
	spec := exec.Command(program, "spec")
	spec.Dir = bundle
	if out, err := spec.CombinedOutput(); err != nil {
		t.Fatalf("runc spec: %v\n%s", err, out)
	}
	name := filepath.Join(bundle, "config.json")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	config["root"] = map[string]any{"path": dir, "readonly": true}
	process := config["process"].(map[string]any)
	process["terminal"], process["args"] = false, []string{"/bin/bash", "-c", script}
	if b, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--root", filepath.Join(bundle, "state"), "run", filepath.Base(bundle))
	cmd.Dir = bundle
	return cmd
}
