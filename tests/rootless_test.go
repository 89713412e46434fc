package tests

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// somebody is who the tests run as that need no root: an account that only
// their processes see, in a mount namespace of their own.
const somebody = 54321

// A somebody's command runs in a mount namespace in which there is that
// account, with or without subordinate ids, and a /dev/fuse for all, as udev
// makes it.
const becomeSomebody = `set -e
dir=$1; ids=$2; shift 2
mount --make-rprivate /
{ cat /etc/passwd; echo "ocifs-test:x:$ids:$ids::$dir:/bin/sh"; } >"$dir/passwd"
{ cat /etc/group; echo "ocifs-test:x:$ids:"; } >"$dir/group"
mount --bind "$dir/passwd" /etc/passwd
mount --bind "$dir/group" /etc/group
touch /etc/subuid /etc/subgid
mount --bind "$dir/subids" /etc/subuid
mount --bind "$dir/subids" /etc/subgid
test -e "$dir/fuse" || mknod "$dir/fuse" c 10 229
chmod 666 "$dir/fuse"
mount --bind "$dir/fuse" /dev/fuse
for fd in 0 1 2; do # a pipe of theirs would be their own
  if test -p /proc/self/fd/$fd; then chown "$ids:$ids" /proc/self/fd/$fd; fi
done
cd "$dir"
exec setpriv --reuid "$ids" --regid "$ids" --clear-groups "$@"`

// newSomebody makes a user that isn't root, with subids in /etc/subuid and
// /etc/subgid.
func newSomebody(t testing.TB, subids string) *user {
	t.Helper()
	needFUSE(t)
	needRoot(t, "become somebody else")
	needProgram(t, "setpriv")
	u := newUser(t)
	// Their binary must lie where they have a way to.
	b, err := os.ReadFile(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.WriteFile(filepath.Join(u.home, "ocifs"), b, 0o755), os.WriteFile(filepath.Join(u.home, "subids"), []byte(subids), 0o644),
		os.Chmod(u.home, 0o755), os.Chown(u.home, somebody, somebody),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if out, err := u.as(t, "unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "true").CombinedOutput(); err != nil {
		t.Skipf("no user namespaces here: %v: %s", err, out)
	}
	return u
}

// as is a command of somebody.
func (u *user) as(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	words := []string{"--mount", "sh", "-c", becomeSomebody, "sh", u.home, fmt.Sprint(somebody), name}
	cmd := exec.Command(needProgram(t, "unshare"), append(words, args...)...)
	cmd.Env, cmd.Dir = u.env, u.home
	return cmd
}

// TestRunRootless runs containers without root's rights: with other users in
// them and, where the user has no subordinate ids, without.
func TestRunRootless(t *testing.T) {
	runtimes := needContainers(t)
	for name, subids := range map[string]string{"many": "ocifs-test:200000:65536\n", "alone": ""} {
		t.Run(name, func(t *testing.T) {
			if subids != "" {
				needProgram(t, "newuidmap")
			}
			u := newSomebody(t, subids)
			config := ocispec.ImageConfig{Cmd: []string{"id"}}
			ref := u.layoutOf(t, probeImage(t, config)) + ":probe"
			for _, runtime := range runtimes {
				for _, c := range []struct {
					line  string
					code  int
					want  string
					alone bool // works without other users, too
				}{
					{"IMAGE", 0, "0 0 [] /\n", true},
					{"IMAGE cat /secret", 0, "for root\n", true},
					{"IMAGE write /secret x", 0, "", true},
					{"--read-only IMAGE write /secret x", 1, "error: open /secret: read-only file system\n", true},
					{"--network none IMAGE net", 0, "", true},
					{"-u alice IMAGE cat /hers", 0, "alice's\n", false},
					{"-u alice IMAGE cat /secret", 1, "error: open /secret: permission denied\n", false},
				} {
					if subids == "" && !c.alone {
						continue
					}
					words := append([]string{"run", "--quiet", "--runtime", runtime}, strings.Fields(strings.ReplaceAll(c.line, "IMAGE", ref))...)
					cmd := u.as(t, filepath.Join(u.home, "ocifs"), words...)
					var stdout, stderr bytes.Buffer
					cmd.Stdout, cmd.Stderr = &stdout, &stderr
					cmd.Run()
					if code := cmd.ProcessState.ExitCode(); code != c.code || stdout.String() != c.want || stderr.Len() > 0 {
						t.Errorf("%s, %s: exit %d, want %d\nstdout: %q, want %q\nstderr: %s", runtime, c.line, code, c.code, &stdout, c.want, &stderr)
					}
				}
			}
			if subids == "" {
				out, err := u.as(t, filepath.Join(u.home, "ocifs"), "run", ref).CombinedOutput()
				if err != nil || !strings.Contains(string(out), "no other users") {
					t.Errorf("%v: %s", err, out)
				}
				out, err = u.as(t, filepath.Join(u.home, "ocifs"), "run", "-u", "alice", ref).CombinedOutput()
				if err == nil || !strings.Contains(string(out), "usermod") || !strings.Contains(string(out), " ocifs-test\n") {
					t.Errorf("%v: %s", err, out)
				}
			}
			u.nothingLeft(t, u.home+"/state")
		})
	}
}

// TestBundleRootless makes a bundle for runc without root's rights, in which
// all files are the user's.
func TestBundleRootless(t *testing.T) {
	needContainers(t)
	needProgram(t, "fusermount3")
	runc := needProgram(t, "runc")
	u := newSomebody(t, "")
	ref := u.layoutOf(t, withMountpoints(probeImage(t, ocispec.ImageConfig{Cmd: []string{"cat", "/secret", "/hers"}}))) + ":probe"
	ocifs := filepath.Join(u.home, "ocifs")
	// One shell for all: the mount is in its namespace.
	out, err := u.as(t, "sh", "-c", `set -e
		"$0" bundle --quiet "$1" b
		stat -c %u b/rootfs/secret b/rootfs/hers
		"$2" --root "$PWD/runc" run --bundle b "b$$"
		"$0" umount b
		! "$0" bundle --writable "$1" c
		test ! -e c
		! grep "$PWD/b" /proc/self/mountinfo`, ocifs, ref, runc).CombinedOutput()
	for _, say := range []string{"54321\n54321\nfor root\n", "unmounted", "ocifs run has one"} {
		if !strings.Contains(string(out), say) || err != nil {
			t.Errorf("%v; want %q in:\n%s", err, say, out)
		}
	}
}
