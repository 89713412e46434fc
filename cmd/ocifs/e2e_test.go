package main

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

	"github.com/moby/sys/mountinfo"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// binary builds ocifs, once, for the tests that run it.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ocifs-cmd-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	name := filepath.Join(dir, "ocifs")
	out, err := exec.Command("go", "build", "-ldflags", "-X main.version=v1.2.3-test", "-o", name, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return name, nil
})

var builtIn string // the directory of binary, for TestMain to remove

func TestMain(m *testing.M) {
	// What is begun under nohup, or in a script's background, ignores these, and
	// so does all that it begins: not here, where they are tested.
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	code := m.Run()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// patience ends what hangs.
const patience = time.Minute

// A world is a user with a home, an image there, and an empty mountpoint.
type world struct {
	t    *testing.T
	home string
	ref  string // of the image
	mnt  string
	env  []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, home: realDir(t)}
	w.mnt = w.in("mnt")
	if err := os.Mkdir(w.mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	lt.WriteLayout(t, w.in("layout"), testImage())
	w.ref = "oci:" + w.in("layout") + ":t"
	w.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "TZ=UTC",
		"OCIFS_CACHE_DIR=" + w.in("cache"), "OCIFS_STATE_DIR=" + w.in("state"),
	}
	t.Cleanup(w.clean)
	return w
}

func (w *world) in(name string) string { return filepath.Join(w.home, name) }

// testImage has two layers with something of everything.
func testImage() lt.Image {
	at := lt.ModTime(time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC))
	base := lt.Tar(
		lt.Dir("etc", at), lt.File("etc/motd", "hello\n", at, lt.Mode(0o640), lt.Owner(5, 70)), lt.File("etc/.hidden", "h", at),
		lt.Symlink("etc/issue", "motd", at), lt.Symlink("etc/abs", "/etc/motd", at), lt.Symlink("etc/loop", "loop", at),
		lt.Dir("odd", at), lt.File("odd/new\nline", "n", at), lt.File("odd/\xff", "bytes", at), lt.File("odd/\x1b[31mred", "r", at),
		lt.Dir("dev", at), lt.Char("dev/null", 1, 3, at, lt.Mode(0o666)), lt.Fifo("dev/pipe", at),
	)
	top := lt.Tar(
		lt.Dir("usr", at), lt.Dir("usr/bin", at), lt.File("usr/bin/su", strings.Repeat("s", 3000), at, lt.Mode(0o4755)),
		lt.Hardlink("usr/bin/sudo", "usr/bin/su"), lt.File("usr/bin/ping", "p", at, lt.Xattr("security.capability", "\x01\x00\x00\x02"), lt.Xattr("user.note", "hi there")),
	)
	return lt.Image{
		Tag: "t", Layers: []lt.Layer{lt.GzipLayer(base), lt.ZstdLayer(top)},
		Config: ocispec.Image{
			Config: ocispec.ImageConfig{Cmd: []string{"/bin/sh", "-c", "echo \x1b"}, Env: []string{"A=1", "B=2"}},
			History: []ocispec.History{
				{CreatedBy: "ADD base /"}, {CreatedBy: "ENV A=1", EmptyLayer: true}, {CreatedBy: "RUN install\n  ping"},
			},
		},
	}
}

// clean takes down what a test left, so that one failure is one failure.
func (w *world) clean() {
	list, err := mountinfo.GetMounts(mountinfo.PrefixFilter(w.home))
	if err != nil {
		w.t.Error(err)
	}
	for _, m := range list {
		w.t.Errorf("%s is still mounted", m.Mountpoint)
		if unix.Unmount(m.Mountpoint, unix.MNT_DETACH) != nil {
			exec.Command("fusermount3", "-uz", m.Mountpoint).Run()
		}
	}
	for _, pid := range w.processes() {
		w.t.Errorf("process %d is still there", pid)
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// processes are the ocifs processes of this world, by their environment.
func (w *world) processes() []int {
	var pids []int
	procs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, p := range procs {
		env, err := os.ReadFile(p)
		if err != nil || !bytes.Contains(env, []byte("OCIFS_STATE_DIR="+w.in("state"))) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(p, "/proc/%d/", &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// A result is what a run came to.
type result struct {
	code        int
	out, errors string
}

func (w *world) command(args ...string) *exec.Cmd {
	w.t.Helper()
	name, err := binary()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = w.home, w.env
	return cmd
}

// run runs ocifs to its end. That the pipes to it end, too, says that no
// daemon has kept them.
func (w *world) run(args ...string) result {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd := w.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	timer := time.AfterFunc(patience, func() { cmd.Process.Signal(syscall.SIGABRT) })
	defer timer.Stop()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	if strings.Contains(errs.String(), "goroutine ") {
		w.t.Fatalf("ocifs %q crashed or hung:\n%s", args, errs.String())
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// ok is run for what must work and say nothing on stderr.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	if r.code != exitOK || r.errors != "" {
		w.t.Fatalf("ocifs %q: %+v", args, r)
	}
	return r.out
}

// fails is run for what must fail with a code and these words on stderr.
func (w *world) fails(code int, words string, args ...string) {
	w.t.Helper()
	r := w.run(args...)
	if r.code != code || !strings.Contains(r.errors, words) || !strings.HasPrefix(r.errors, "ocifs: ") {
		w.t.Errorf("ocifs %q: %+v\nwant exit code %d and …%s…", args, r, code, words)
	}
}

// mounted says whether anything is mounted at the mountpoint.
func (w *world) mounted() bool {
	table, err := fs.ReadTable()
	if err != nil {
		w.t.Fatal(err)
	}
	return table.At(w.mnt) != nil
}

// nothingLeft holds that no mount, process or record is left.
func (w *world) nothingLeft() {
	w.t.Helper()
	w.eventually("the last process to end", func() bool { return len(w.processes()) == 0 })
	if w.mounted() {
		w.t.Error("still mounted")
	}
	if left, _ := os.ReadDir(w.in("state")); len(left) != 0 {
		w.t.Errorf("left in the state directory: %v", left)
	}
}

func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// needFUSE skips tests that mount where nothing can be mounted.
func needFUSE(t *testing.T) {
	t.Helper()
	if err := checkFUSE(); err != nil {
		t.Skipf("no mounts here: %v", err)
	}
}
