package fs_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

// program is a source that holds this test binary under several guises.
func program(t *testing.T) *fake {
	self, err := selfBytes()
	if err != nil {
		t.Fatal(err)
	}
	return source(t, func(f *fake) {
		f.file("plain", string(self), mode(0o755))
		f.file("suid", string(self), mode(0o4755))
		f.file("sgid", string(self), mode(0o2755), owner(0, 77))
		f.file("capable", string(self), mode(0o755), xattr("security.capability", netBind))
		f.file("private", string(self), mode(0o700))
		f.file("script", "#!/bin/sh\necho script $1\n", mode(0o755))
	})
}

// verbHello says who it runs as and what it may.
func verbHello([]string) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, caps, _ := strings.Cut(string(status), "CapEff:\t")
	caps, _, _ = strings.Cut(caps, "\n")
	fmt.Printf("euid %d egid %d caps %s\n", os.Geteuid(), os.Getegid(), strings.TrimLeft(caps, "0"))
	return nil
}

// TestFusermountPath finds the program where PATH doesn't lead.
func TestFusermountPath(t *testing.T) {
	want, err := exec.LookPath("fusermount3")
	if err != nil {
		t.Skip("no fusermount3")
	}
	t.Setenv("PATH", t.TempDir())
	got, err := fs.Fusermount()
	if err != nil {
		t.Fatal(err)
	}
	a, erra := os.Stat(want)
	b, errb := os.Stat(got)
	if erra != nil || errb != nil || !os.SameFile(a, b) {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestExec(t *testing.T) {
	m := mount(t, program(t), fs.Options{})
	if got := output(t, childAt(t, m.path("plain"), "hello")); !strings.HasPrefix(got, "euid 0 egid 0") {
		t.Errorf("the program said %q", got)
	}
	if got := shell(t, `exec "$1/script" works`, m.dir); got != "script works" {
		t.Errorf("the script said %q", got)
	}
}

// TestPrivileges runs programs with setuid, setgid and capabilities as nobody,
// on mounts that honour them and on mounts that don't.
func TestPrivileges(t *testing.T) {
	for _, suid := range []bool{false, true} {
		m := mount(t, program(t), fs.Options{Suid: suid})
		want := map[string]string{
			"plain": "euid 65534 egid 65534 caps ", "suid": "euid 65534 egid 65534 caps ",
			"sgid": "euid 65534 egid 65534 caps ", "capable": "euid 65534 egid 65534 caps ",
		}
		if suid {
			want["sgid"] = "euid 65534 egid 77 caps "
			want["capable"] = "euid 65534 egid 65534 caps 400"
		}
		for name, say := range want {
			got := output(t, as(nobody, childAt(t, m.path(name), "hello")))
			if suid && name == "suid" {
				if !strings.HasPrefix(got, "euid 0 egid 65534 caps ") {
					t.Errorf("Suid %v: %s said %q", suid, name, got)
				}
			} else if got != say {
				t.Errorf("Suid %v: %s said %q, want %q", suid, name, got, say)
			}
		}
	}
}

func TestPermissions(t *testing.T) {
	src := source(t, func(f *fake) {
		f.file("public", "public")
		f.file("secret", "secret", mode(0o600))
		f.file("mine", "mine", mode(0o600), owner(nobody, nobody))
		f.file("closed/inside", "inside")
		f.dir("closed", mode(0o700))
		f.file("group", "group", mode(0o040), owner(0, nobody))
	})
	m := mount(t, src, fs.Options{})
	for name, allowed := range map[string]bool{
		"public": true, "secret": false, "mine": true, "closed/inside": false, "group": true,
	} {
		got, err := as(nobody, exec.Command("/bin/cat", m.path(name))).Output()
		if (err == nil) != allowed || allowed && !strings.HasSuffix(name, string(got)) {
			t.Errorf("nobody reads %s: %q, %v", name, got, err)
		}
		if got, err := os.ReadFile(m.path(name)); err != nil || !strings.HasSuffix(name, string(got)) {
			t.Errorf("root reads %s: %q, %v", name, got, err)
		}
	}
	if err := as(nobody, exec.Command("/bin/sh", "-c", `exec ls "$0"`, m.path("closed"))).Run(); err == nil {
		t.Error("nobody lists a directory that is closed to it")
	}
}

// TestDevices opens a device node, where devices are allowed.
func TestDevices(t *testing.T) {
	src := source(t, func(f *fake) { f.node("null", unix.S_IFCHR|0o666, device(1, 3)) })
	m := mount(t, src, fs.Options{})
	if fd, err := unix.Open(m.path("null"), unix.O_RDWR|unix.O_CLOEXEC, 0); err != unix.EACCES {
		t.Errorf("without Dev: %d, %v; want EACCES", fd, err)
	}
	m = mount(t, src, fs.Options{Dev: true})
	fd, err := unix.Open(m.path("null"), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal("with Dev:", err)
	}
	defer unix.Close(fd)
	if n, err := unix.Write(fd, []byte("away")); n != 4 || err != nil {
		t.Errorf("writing to it: %d, %v", n, err)
	}
}
