package tests

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

var probe struct {
	build sync.Once
	body  string
}

// probeImage is an image that has tests/probe as its program, and nothing else
// that a container needs.
func probeImage(t testing.TB, config ocispec.ImageConfig) lt.Image {
	t.Helper()
	probe.build.Do(func() {
		name := filepath.Join(scratch(t), "probe")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", name, module+"/tests/probe")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		probe.body = string(b)
	})
	if probe.body == "" {
		t.Fatal("probe was not built")
	}
	if config.Entrypoint == nil {
		config.Entrypoint = []string{"probe"}
	}
	return lt.Image{Tag: "probe", Config: ocispec.Image{Config: config}, Layers: []lt.Layer{
		lt.GzipLayer(lt.Tar(lt.File("bin/probe", probe.body, lt.Mode(0o755)))),
		lt.GzipLayer(lt.Tar(
			lt.File("etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:100::/home/alice:/bin/sh\n"),
			lt.File("etc/group", "root:x:0:\nusers:x:100:\nwheel:x:10:alice\n"),
			lt.File("secret", "for root\n", lt.Mode(0o600)), lt.File("hers", "alice's\n", lt.Mode(0o600), lt.Owner(1000, 100)),
			lt.Dir("data", lt.Owner(1000, 100)), lt.File("data/seed", "seed\n"), lt.Dir("tmp", lt.Mode(0o1777)),
		)),
	}}
}

// needContainers skips tests that make containers where there can be none, and
// returns the runtimes there are.
func needContainers(t testing.TB) []string {
	t.Helper()
	needFUSE(t)
	needRoot(t, "make containers here")
	var found []string
	for _, name := range []string{"runc", "crun", "bwrap"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Logf("without %s, which is not on PATH", name)
		} else {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		t.Skip("no runtime: runc, crun, bwrap")
	}
	return found
}

// nothingLeft checks that a container has left no mount, no file, and no
// process with the mark in its command line.
func (u *user) nothingLeft(t testing.TB, mark string) {
	t.Helper()
	waitFor(t, "the last process to end", func() bool { return len(processes(t, mark)) == 0 })
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(table), u.home) {
		t.Errorf("mounts are left: %v\n%s", err, table)
	}
	waitFor(t, "the container's directory to go", func() bool {
		left, _ := os.ReadDir(filepath.Join(u.home, "state"))
		return len(left) == 0
	})
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/" + mark); len(left) > 0 {
		t.Errorf("cgroups are left: %q", left)
	}
}

// processes lists those that have the mark in their command line.
func processes(t testing.TB, mark string) (pids []int) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(mark)) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestRun runs the same programs with each runtime: they see the same, and
// their exit code is ocifs's.
func TestRun(t *testing.T) {
	for _, runtime := range needContainers(t) {
		t.Run(runtime, func(t *testing.T) {
			u := newUser(t)
			config := ocispec.ImageConfig{User: "alice", Env: []string{"A=image", "B=image"}, WorkingDir: "/data", Cmd: []string{"id"}}
			ref := u.layoutOf(t, probeImage(t, config)) + ":probe"
			volume := tempDir(t)
			if err := os.WriteFile(filepath.Join(volume, "f"), []byte("of the host\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(volume, 0o755); err != nil {
				t.Fatal(err)
			}
			groups := "[10]"
			if runtime == "bwrap" {
				groups = "[65534]" // it is, but in bwrap's user namespace it has no number
			}
			for _, c := range []struct {
				line string
				code int
				want string
			}{
				{"IMAGE", 0, "1000 100 " + groups + " /data\n"},
				{"-u 0 -w /tmp IMAGE id", 0, "0 0 [] /tmp\n"},
				{"-u 4711:4712 IMAGE id", 0, "4711 4712 [] /data\n"},
				{"--rm IMAGE exit 42", 42, ""},
				{"IMAGE env A", 0, "image\n"},
				{"-e A=x=y IMAGE env A", 0, "x=y\n"},
				{"IMAGE env HOME", 0, "/home/alice\n"},
				{"IMAGE log line", 0, "line\n"},
				{"IMAGE cat /hers", 0, "alice's\n"},
				{"IMAGE cat /secret", 1, "error: open /secret: permission denied\n"},
				{"--user root IMAGE cat /secret", 0, "for root\n"},
				{"IMAGE write /data/new x", 0, ""},
				{"IMAGE cat /data/new", 1, "error: open /data/new: no such file or directory\n"},
				{"--read-only IMAGE write /data/new x", 1, "error: open /data/new: read-only file system\n"},
				{"--read-only --tmpfs /tmp:size=1m IMAGE write /tmp/new x", 0, ""},
				{"-v VOLUME:/v:ro IMAGE cat /v/f", 0, "of the host\n"},
				{"-v VOLUME:/v:ro -u 0 IMAGE write /v/f x", 1, "error: open /v/f: read-only file system\n"},
				{"-v VOLUME:/v -u 0 IMAGE write /v/new x", 0, ""},
				{"--network=none IMAGE net", 0, ""},
				{"--hostname me IMAGE host", 0, "me\n"},
				{"--entrypoint /bin/probe IMAGE env B", 0, "image\n"},
				{"-i IMAGE cat", 0, "what comes in"},
				{"IMAGE cat", 0, ""},
			} {
				words := strings.Fields(strings.NewReplacer("IMAGE", ref, "VOLUME", volume).Replace(c.line))
				cmd := u.command(t, append([]string{"run", "--runtime", runtime}, words...)...)
				cmd.Stdin = strings.NewReader("what comes in")
				var stdout, stderr bytes.Buffer
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				cmd.Run()
				if code := cmd.ProcessState.ExitCode(); code != c.code || stdout.String() != c.want || stderr.Len() != 0 {
					t.Errorf("%s: exit %d, want %d\nstdout: %q, want %q\nstderr: %s", c.line, code, c.code, stdout.String(), c.want, &stderr)
				}
			}
			if b, err := os.ReadFile(filepath.Join(volume, "new")); string(b) != "x" {
				t.Errorf("written to a volume: %q, %v", b, err)
			}
			u.nothingLeft(t, u.home)
		})
	}
}

// TestRunWritable keeps what containers write, in a directory.
func TestRunWritable(t *testing.T) {
	needContainers(t)
	u := newUser(t)
	ref := u.layoutOf(t, probeImage(t, ocispec.ImageConfig{})) + ":probe"
	u.ok(t, "run", "--writable=kept", ref, "write", "/data/seed", "new")
	if got := u.ok(t, "run", "--writable=kept", ref, "cat", "/data/seed"); got != "new" {
		t.Errorf("in the next container: %q", got)
	}
	if b, err := os.ReadFile(filepath.Join(u.home, "kept/upper/data/seed")); string(b) != "new" {
		t.Errorf("in the directory: %q, %v", b, err)
	}
	if got := u.ok(t, "run", ref, "cat", "/data/seed"); got != "seed\n" {
		t.Errorf("in the image: %q", got)
	}
	u.nothingLeft(t, u.home)
}

// TestRunWritableAlone refuses a directory that something else writes to, for
// as long as that does.
func TestRunWritableAlone(t *testing.T) {
	needContainers(t)
	u := newUser(t)
	ref := u.layoutOf(t, probeImage(t, ocispec.ImageConfig{})) + ":probe"
	refused := func() {
		t.Helper()
		for _, dir := range []string{"kept", "./kept/../alias"} {
			for _, args := range [][]string{{"run", "--writable=" + dir, ref, "id"}, {"bundle", "--writable=" + dir, ref, filepath.Join(u.home, "other")}} {
				if said := u.refused(t, exitMount, args...); !strings.Contains(said, "in use by another") {
					t.Errorf("%q: %s", args, said)
				}
			}
		}
	}
	if err := os.Symlink("kept", filepath.Join(u.home, "alias")); err != nil {
		t.Fatal(err)
	}
	c := u.start(t, "--writable=kept", ref, "wait")
	refused()
	c.cmd.Process.Signal(syscall.SIGTERM)
	if code := c.end(t); code != 0 {
		t.Errorf("exit %d\n%s", code, c.stderr)
	}
	dir := filepath.Join(u.home, "b")
	u.ok(t, "bundle", "--writable=kept", ref, dir, "id")
	refused()
	u.ok(t, "umount", dir)
	u.ok(t, "run", "--writable=kept", ref, "id")
	u.nothingLeft(t, u.home)
}

// TestRunVolumes writes to the image's volumes, where the rest is read-only,
// and finds there what the image has.
func TestRunVolumes(t *testing.T) {
	needContainers(t)
	u := newUser(t)
	config := ocispec.ImageConfig{Volumes: map[string]struct{}{"/data": {}}}
	ref := u.layoutOf(t, probeImage(t, config)) + ":probe"
	u.ok(t, "run", "--read-only", ref, "write", "/data/new", "x")
	if r := u.run(t, "run", "--read-only", ref, "write", "/new", "x"); r.code != 1 {
		t.Error(r)
	}
	if needProgram(t, "runc"); u.ok(t, "run", "--runtime=runc", "--read-only", ref, "cat", "/data/seed") != "seed\n" {
		t.Error("the volume doesn't begin with what the image has")
	}
}

// A container is a run of "ocifs run" that goes on.
type container struct {
	cmd    *exec.Cmd
	stdout *bytes.Buffer
	stderr *bytes.Buffer
	done   chan struct{}
}

// start starts a container, and returns when its program says "ready".
func (u *user) start(t testing.TB, args ...string) *container {
	t.Helper()
	c := &container{cmd: u.command(t, append([]string{"run"}, args...)...), stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, done: make(chan struct{})}
	c.cmd.Stderr = c.stderr
	pipe, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		<-c.done
	})
	ready := make([]byte, len("ready\n"))
	_, err = io.ReadFull(pipe, ready)
	go func() {
		defer close(c.done)
		io.Copy(c.stdout, pipe)
		c.cmd.Wait()
	}()
	if err != nil {
		<-c.done
		t.Fatalf("ocifs run %q: %v\n%s", args, err, c.stderr)
	}
	return c
}

// end waits for the container to end, and returns its exit code, -1 if it was
// killed.
func (c *container) end(t testing.TB) int {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.cmd.Process.Kill()
		t.Fatal("the container doesn't end")
	}
	return c.cmd.ProcessState.ExitCode()
}

// awaitCrun waits until crun takes signals, if that is the runtime: in the first
// moments of a program, one that is to be passed on ends crun 1.8 itself.
func (u *user) awaitCrun(t testing.TB, runtime string) {
	t.Helper()
	for end := time.Now().Add(patience); runtime == "crun" && !u.crunListens(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("crun takes no signals")
		}
	}
}

// crunListens reports whether this user's crun has blocked signals, to read
// them from a descriptor.
func (u *user) crunListens() bool {
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		line, _ := os.ReadFile(p)
		program, words, _ := strings.Cut(string(line), "\x00")
		if filepath.Base(program) != "crun" || !strings.Contains(words, u.home) {
			continue
		}
		status, _ := os.ReadFile(filepath.Join(filepath.Dir(p), "status"))
		return strings.Contains(string(status), "SigBlk:") && !strings.Contains(string(status), "SigBlk:\t0000000000000000\n")
	}
	return false
}

// TestRunSignals passes signals on, once each, and ends a program that heeds
// none.
func TestRunSignals(t *testing.T) {
	for _, runtime := range needContainers(t) {
		u := newUser(t)
		ref := u.layoutOf(t, probeImage(t, ocispec.ImageConfig{})) + ":probe"
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1} {
			c := u.start(t, "--runtime", runtime, ref, "wait")
			u.awaitCrun(t, runtime)
			c.cmd.Process.Signal(s)
			if code := c.end(t); code != 0 || c.stdout.String() != s.String()+"\n" {
				t.Errorf("%s, %v: exit %d, stdout %q\n%s", runtime, s, code, c.stdout, c.stderr)
			}
		}
		c := u.start(t, "--runtime", runtime, "--name", "deaf-"+filepath.Base(u.home), ref, "deaf")
		for gone := false; !gone; { // the third one ends it; signals that wait are one
			c.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-c.done:
				gone = true
			case <-time.After(50 * time.Millisecond):
			}
		}
		if code := c.end(t); code != 128+int(syscall.SIGKILL) {
			t.Errorf("%s: a deaf program: exit %d\n%s", runtime, code, c.stderr)
		}
		u.nothingLeft(t, u.home)
	}
}

// TestRunKilled kills, one after another, each process between the user and the
// program. Nothing outlives it.
func TestRunKilled(t *testing.T) {
	for _, runtime := range needContainers(t) {
		u := newUser(t)
		ref := u.layoutOf(t, probeImage(t, ocispec.ImageConfig{})) + ":probe"
		for generation, who := range []string{"warden", "keeper", "runtime", "program"} {
			mark := fmt.Sprintf("%s-%s-%s", who, runtime, filepath.Base(u.home))
			c := u.start(t, "--runtime", runtime, "--name", mark, ref, "deaf", mark)
			pid := c.cmd.Process.Pid
			for range generation {
				pid = childOf(t, pid)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if code := c.end(t); code != -1 && code != 128+int(syscall.SIGKILL) {
				t.Errorf("%s, %s: exit %d\n%s", runtime, who, code, c.stderr)
			}
			u.nothingLeft(t, mark)
		}
	}
}

// TestRunKilledEarly ends a container that has not begun, while the image is
// being fetched.
func TestRunKilledEarly(t *testing.T) {
	runtime := needContainers(t)[0]
	for s, code := range map[syscall.Signal]int{syscall.SIGKILL: -1, syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		reg := registrytest.Start(t, registrytest.Options{})
		layer := lt.GzipLayer(lt.Tar(lt.File("f", "")))
		reg.Push("app", "t", registrytest.Layer{Blob: layer.Blob, MediaType: layer.MediaType, DiffID: layer.DiffID})
		reg.Use(registrytest.On(registrytest.Blob, registrytest.Stall(0)))
		u := newUser(t)
		cmd := u.command(t, "run", "--runtime", runtime, reg.Host+"/app:t", "x")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "a request", func() bool { return len(reg.Requests(registrytest.Blob)) > 0 })
		cmd.Process.Signal(s)
		cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%v: exit %d, want %d", s, got, code)
		}
		u.nothingLeft(t, u.home+"/state")
	}
}

// childOf is a child of a process, the youngest.
func childOf(t testing.TB, pid int) int {
	t.Helper()
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	youngest := 0
	for _, name := range lists {
		b, _ := os.ReadFile(name)
		for _, f := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				youngest = max(youngest, n)
			}
		}
	}
	if youngest == 0 {
		t.Fatalf("process %d has no children", pid)
	}
	return youngest
}

// TestRunTerminal gives the program a terminal as large as ours.
func TestRunTerminal(t *testing.T) {
	script := needProgram(t, "script")
	for _, runtime := range needContainers(t) {
		u := newUser(t)
		ref := u.layoutOf(t, probeImage(t, ocispec.ImageConfig{})) + ":probe"
		cmd := exec.Command(script, "-qec", fmt.Sprintf("stty rows 33 cols 99; exec %s run -it -u alice --runtime %s %s tty", binary(t), runtime, ref), "/dev/null")
		cmd.Env, cmd.Dir = u.env, u.home
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), "99 33 true") || err != nil {
			t.Errorf("%s: %v\n%s", runtime, err, out)
		}
		u.nothingLeft(t, u.home)
	}
}

func TestRunRefused(t *testing.T) {
	runtimes := needContainers(t)
	u := newUser(t)
	layout := u.layoutOf(t, probeImage(t, ocispec.ImageConfig{Entrypoint: []string{}}),
		lt.Artifact{Tag: "artifact", Type: "application/x-something", Blobs: []lt.Blob{{MediaType: "text/plain", Body: []byte("x")}}})
	ref := layout + ":probe"
	for _, c := range []struct {
		code int
		say  string
		line string
	}{
		{exitUsage, "IMAGE is missing", ""},
		{exitUsage, "names none", "IMAGE"},
		{exitUsage, "no flag", "--no-such-flag IMAGE probe"},
		{exitUsage, "runc, crun or bwrap", "--runtime docker IMAGE probe"},
		{exitUsage, "no terminal", "-t IMAGE probe"},
		{exitUsage, "nothing of a container is kept", "--rm=false IMAGE probe"},
		{exitUsage, "exclude", "--read-only --writable IMAGE probe"},
		{exitUsage, "host or none", "--network bridge IMAGE probe"},
		{exitUsage, "names here", "-v name:/x IMAGE probe"},
		{exitUsage, "absolute", "-v ./x:x IMAGE probe"},
		{exitUsage, "neither ro nor rw", "-v /tmp:/x:Z IMAGE probe"},
		{exitUsage, "absolute", "-w x IMAGE probe"},
		{exitUsage, "--name", "--name a/b IMAGE probe"},
		{exitUnsupported, "application/x-something", layout + ":artifact x"},
		{exitNotFound, "does not exist", "-v /no/such:/x IMAGE probe"},
		{exitNotFound, "no such user", "-u mallory IMAGE probe"},
		{exitNotFound, "no such user", "-u alice:mallory IMAGE probe"},
		{127, "not in the image", "IMAGE nosuch --help"},
		{126, "not executable", "IMAGE /etc/passwd"},
		{exitFailure, "not installed", "--runtime /no/such/runc IMAGE probe"},
	} {
		words := strings.Fields(strings.ReplaceAll(c.line, "IMAGE", ref))
		if c.code == exitUsage || c.code == exitFailure {
			words = append([]string{"run"}, words...)
		} else {
			words = append([]string{"run", "--runtime", runtimes[0]}, words...)
		}
		if said := u.refused(t, c.code, words...); !strings.Contains(said, c.say) {
			t.Errorf("%q: %s", c.line, said)
		}
	}
	u.nothingLeft(t, u.home)
}
