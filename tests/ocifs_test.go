package tests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Exit codes of the binary, as its help lists them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitAuth        = 4
	exitUnreachable = 5
	exitIntegrity   = 6
	exitMount       = 7
	exitUnsupported = 8
)

// patience bounds how long anything here may take: it ends tests that hang,
// and says nothing of how fast things are.
const patience = 2 * time.Minute

// What all tests share lies in one directory, which TestMain removes.
var shared struct {
	dir    sync.Once
	path   string
	build  sync.Once
	binary string
}

// scratch is that directory.
func scratch(t testing.TB) string {
	t.Helper()
	shared.dir.Do(func() {
		dir, err := os.MkdirTemp("", "ocifs-tests-")
		if err != nil {
			t.Fatal(err)
		}
		shared.path = dir
	})
	return shared.path
}

// binary is ocifs: the one that $OCIFS_BINARY names, or built here, once.
func binary(t testing.TB) string {
	t.Helper()
	if name := os.Getenv("OCIFS_BINARY"); name != "" {
		return name
	}
	shared.build.Do(func() {
		name := filepath.Join(scratch(t), "ocifs")
		cmd := exec.Command("go", "build", "-trimpath", "-o", name, module+"/cmd/ocifs")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		shared.binary = name
	})
	if shared.binary == "" {
		t.Fatal("ocifs was not built")
	}
	return shared.binary
}

func TestMain(m *testing.M) {
	// What is begun under nohup, or in a script's background, ignores these, and
	// so does all that it begins: not here, where they are tested.
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	code := m.Run()
	if shared.path != "" {
		os.RemoveAll(shared.path)
	}
	os.Exit(code)
}

// A user is somebody who runs ocifs: a home and a cache of their own.
type user struct {
	home  string
	cache string
	env   []string
}

// newUser makes a user whose files go when the test ends. Of what flags can be
// given in the environment, they have only the face of mounts, so that the same
// tests can be run through either.
func newUser(t testing.TB) *user {
	t.Helper()
	home := tempDir(t)
	u := &user{home: home, cache: filepath.Join(home, "cache")}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case name == "OCIFS_FACE":
			u.env = append(u.env, kv)
		case name == "HOME", strings.HasPrefix(name, "XDG_"), strings.HasPrefix(name, "OCIFS_"),
			strings.HasPrefix(name, "DOCKER_"), strings.HasSuffix(strings.ToLower(name), "_proxy"),
			name == "REGISTRY_AUTH_FILE":
		default:
			u.env = append(u.env, kv)
		}
	}
	u.env = append(u.env, "HOME="+home, "XDG_CACHE_HOME="+home+"/xdg-cache",
		"XDG_CONFIG_HOME="+home+"/config", "XDG_RUNTIME_DIR="+home,
		"OCIFS_CACHE_DIR="+u.cache, "OCIFS_STATE_DIR="+home+"/state")
	return u
}

// tempDir is t.TempDir for directories with mounts below them: it is removed
// only after everything else of the test is over, and never across a mount.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ocifs-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, m := range mountsBelow(t, dir) {
			t.Errorf("%s is still mounted", m)
			unix.Unmount(m, unix.MNT_DETACH)
		}
		removeAll(t, dir)
	})
	return dir
}

// removeAll removes dir, also directories without write permission, which
// unpacked images may hold.
func removeAll(t testing.TB, dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(name, 0o700)
		}
		return nil
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// A result is what a run of the binary came to.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
}

// command is a run of the binary that has not started.
func (u *user) command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	cmd.Env = u.env
	cmd.Dir = u.home
	return cmd
}

// run runs the binary to its end.
func (u *user) run(t testing.TB, args ...string) result {
	t.Helper()
	cmd := u.command(t, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	timer := time.AfterFunc(patience, func() { cmd.Process.Signal(syscall.SIGABRT) })
	defer timer.Stop()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	mustNotPanic(t, args, r.stderr)
	return r
}

// mustNotPanic fails the test for what no input may bring about.
func mustNotPanic(t testing.TB, args []string, stderr string) {
	t.Helper()
	for _, word := range []string{"panic:", "goroutine ", "SIGSEGV", "fatal error:"} {
		if strings.Contains(stderr, word) {
			t.Fatalf("ocifs %q crashed:\n%s", args, stderr)
		}
	}
}

// ok is run for runs that must succeed; it returns what they print.
func (u *user) ok(t testing.TB, args ...string) string {
	t.Helper()
	r := u.run(t, args...)
	if r.code != exitOK {
		t.Fatalf("ocifs %q: %v", args, r)
	}
	return r.stdout
}

// refused is run for runs that must fail with this exit code and one clear
// line (a second one may be a hint).
func (u *user) refused(t testing.TB, code int, args ...string) string {
	t.Helper()
	r := u.run(t, args...)
	if r.code != code {
		t.Errorf("ocifs %q: exit code %d, want %d", args, r.code, code)
	}
	clearLine(t, args, r.stderr)
	return r.stderr
}

// clearLine checks the form of an error: "ocifs: what: why", and a hint at most.
func clearLine(t testing.TB, args []string, stderr string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	errs := 0
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l, "ocifs: error: "):
			errs++
		case strings.HasPrefix(l, "ocifs: "):
		default:
			t.Errorf("ocifs %q says what is not from it: %q", args, l)
		}
		for _, r := range l {
			if r < ' ' || r == 0x7f || r == '\ufffd' {
				t.Errorf("ocifs %q prints control bytes: %q", args, l)
				break
			}
		}
	}
	if errs != 1 {
		t.Errorf("ocifs %q: %d error lines, want 1:\n%s", args, errs, stderr)
	}
}
