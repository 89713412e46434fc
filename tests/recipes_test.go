package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestRecipes has programs of others use a mount as their root, as docs/recipes.md
// tells; those that are installed.
func TestRecipes(t *testing.T) {
	needFUSE(t)
	needRoot(t, "run programs in a root file system")
	u := newUser(t)
	image := withMountpoints(probeImage(t, ocispec.ImageConfig{}))
	image.Layers = append(image.Layers, lt.GzipLayer(lt.Tar(lt.File("etc/os-release", "ID=probe\n"), lt.Dir("usr"), lt.Dir("run"), lt.Dir("var"), lt.Dir("root"))))
	m := u.mount(t, u.layoutOf(t, image)+":probe")
	work := tempDir(t)
	for name, c := range map[string]struct {
		program string
		args    []string
	}{
		"bwrap":           {"bwrap", []string{"--ro-bind", m.dir, "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--unshare-pid", "/bin/probe", "cat", "/secret"}},
		"chroot":          {"chroot", []string{m.dir, "/bin/probe", "cat", "/secret"}},
		"nspawn":          {"systemd-nspawn", []string{"--quiet", "-D", m.dir, "--volatile=overlay", "--register=no", "--keep-unit", "/bin/probe", "cat", "/secret"}},
		"nspawn, as read": {"systemd-nspawn", []string{"--quiet", "-D", m.dir, "--read-only", "--register=no", "--keep-unit", "/bin/probe", "cat", "/secret"}},
		"podman": {"podman", []string{"--runtime", "runc", "--root", work + "/root", "--runroot", work + "/run", "--storage-driver", "vfs", "--tmpdir", work + "/tmp",
			"run", "--rm", "--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--log-driver", "none",
			"--rootfs", m.dir + ":O", "/bin/probe", "cat", "/secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(needProgram(t, c.program), c.args...)
			cmd.Env = append(u.env, "SYSTEMD_LOG_LEVEL=crit")
			if out, err := cmd.Output(); err != nil || string(out) != "for root\n" && string(out) != "for root\r\n" {
				t.Errorf("%v\n%v: %s", cmd, err, out)
			}
		})
	}
	t.Run("overlay", func(t *testing.T) {
		for _, d := range []string{"up", "work", "rw"} {
			if err := os.Mkdir(filepath.Join(work, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		options := "lowerdir=" + m.dir + ",upperdir=" + work + "/up,workdir=" + work + "/work"
		output(t, "mount", "-t", "overlay", "overlay", "-o", options, work+"/rw")
		defer output(t, "umount", work+"/rw")
		output(t, "chroot", work+"/rw", "/bin/probe", "write", "/secret", "x")
		if b, err := os.ReadFile(work + "/up/secret"); string(b) != "x" {
			t.Errorf("%q, %v", b, err)
		}
	})
	m.unmount(t, u)
}
