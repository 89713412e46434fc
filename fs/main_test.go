package fs_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A test that mounts in its own process must not do there what a FUSE server
// cannot survive: page faults on a mapped file, exec, polling. Such things,
// and deaths, happen in a child: this test binary again, with a verb.
const verbVariable = "OCIFS_FS_TEST_VERB"

// verbs are what a child can be told to do. They return what goes wrong.
var verbs = map[string]func(args []string) error{
	"hello":  verbHello,
	"mmap":   verbMmap,
	"read":   verbRead,
	"serve":  verbServe,
	"attach": verbAttach,
	"visit":  verbVisit,
}

func TestMain(m *testing.M) {
	verb, ok := os.LookupEnv(verbVariable)
	if !ok {
		os.Exit(m.Run())
	}
	f := verbs[verb]
	if f == nil {
		fmt.Fprintln(os.Stderr, "no such verb:", verb)
		os.Exit(2)
	}
	if err := f(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is a command that runs this binary with a verb.
func child(t testing.TB, verb string, args ...string) *exec.Cmd {
	t.Helper()
	return childAt(t, testBinary(t), verb, args...)
}

// childAt is child for a copy of this binary.
func childAt(t testing.TB, binary, verb string, args ...string) *exec.Cmd {
	t.Helper()
	// By way of a shell: Go's own fork holds on to a processor until the
	// child has executed, which must not wait for a server in this process.
	cmd := exec.Command("/bin/sh", append([]string{"-c", `exec "$0" "$@"`, binary}, args...)...)
	cmd.Env = append(os.Environ(), verbVariable+"="+verb)
	return cmd
}

// output runs cmd and returns what it prints.
func output(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.Bytes())
	}
	return strings.TrimSuffix(string(out), "\n")
}

// shell runs a script and returns what it prints.
func shell(t testing.TB, script string, args ...string) string {
	t.Helper()
	return output(t, exec.Command("/bin/sh", append([]string{"-ec", script, "sh"}, args...)...))
}

// testBinary is this binary, where every user can execute it.
func testBinary(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// selfBytes is this binary's content, read once.
var selfBytes = sync.OnceValues(func() ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(self)
})

// publicDir is a temporary directory that other users can enter.
func publicDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && len(d) > 1; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// as runs cmd as another user, without supplementary groups.
func as(id uint32, cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	return cmd
}

const nobody = 65534
