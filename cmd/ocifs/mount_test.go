package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestMountBackground mounts as most people do, and looks at all that is said
// and left.
func TestMountBackground(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	out := w.ok("mount", w.ref, w.mnt)
	form := regexp.MustCompile(`^mounted oci:\S+/layout:t@sha256:[0-9a-f]{12} \(linux/\w+, 2 layers, \S+ \w+; lazy 0/2\) on ` +
		regexp.QuoteMeta(w.mnt) + `  pid \d+\n$`)
	if !form.MatchString(out) {
		t.Errorf("%q does not match %s", out, form)
	}
	if b, err := os.ReadFile(filepath.Join(w.mnt, "etc/motd")); string(b) != "hello\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	pids := w.processes()
	if len(pids) != 1 {
		t.Fatalf("processes %v, want one", pids)
	}
	w.isDaemon(pids[0])
	table := w.ok("mounts", w.mnt)
	if !strings.HasPrefix(table, "ID ") || !strings.Contains(table, w.mnt) || !strings.HasSuffix(table, " ok\n") {
		t.Errorf("%s", table)
	}
	if out := w.ok("umount", w.mnt); out != "unmounted "+w.mnt+" (6 B read)\n" {
		t.Errorf("%q", out)
	}
	w.nothingLeft()
	if out := w.ok("mount", w.ref, w.mnt); !strings.Contains(out, "lazy 2/2") {
		t.Errorf("the second time: %q", out)
	}
	w.ok("umount", w.mnt)
	w.nothingLeft()
}

// isDaemon holds that a process keeps nothing of its parent's: session,
// directory, streams.
func (w *world) isDaemon(pid int) {
	w.t.Helper()
	if sid, err := unix.Getsid(pid); sid != pid || err != nil {
		w.t.Errorf("session %d, %v", sid, err)
	}
	links := map[string]string{"cwd": "/", "fd/0": os.DevNull, "fd/1": os.DevNull, "fd/2": os.DevNull}
	for name, want := range links {
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, name)); got != want || err != nil {
			w.t.Errorf("%s is %s, %v", name, got, err)
		}
	}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(comm) != "ocifs\n" || err != nil {
		w.t.Errorf("it is called %q, %v", comm, err)
	}
}

// TestMountInheritsNothing gives mount a descriptor, as a shell with a lock
// does: the daemon must not have it.
func TestMountInheritsNothing(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	r, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := w.command("mount", "-q", w.ref, w.mnt)
	cmd.ExtraFiles = []*os.File{nil, nil, wr, wr}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	wr.Close()
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the pipe is still open: %v", err)
	}
	w.ok("umount", w.mnt)
}

// TestMountJSON compares what mount says with what mounts says.
func TestMountJSON(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	var m record
	if err := json.Unmarshal([]byte(w.ok("mount", "--json", w.ref, w.mnt)), &m); err != nil {
		t.Fatal(err)
	}
	if m.Schema != "ocifs.dev/mount/v1" || m.Mountpoint != w.mnt || m.Ref != w.ref || m.PID == 0 || len(m.Layers) != 2 || m.CacheDir != w.in("cache") {
		t.Errorf("%+v", m)
	}
	var list struct {
		Schema string
		Mounts []liveMount
	}
	if err := json.Unmarshal([]byte(w.ok("ps", "--json", w.mnt)), &list); err != nil {
		t.Fatal(err)
	}
	if list.Schema != "ocifs.dev/mounts/v1" || len(list.Mounts) != 1 || list.Mounts[0].ID != m.ID || list.Mounts[0].State != stateOK {
		t.Errorf("%+v", list)
	}
	// To another state directory it is foreign: little is known, and no more said.
	out := w.ok("mounts", "--json", "--state-dir", w.in("other"), w.mnt)
	var foreign struct{ Mounts []map[string]any }
	if err := json.Unmarshal([]byte(out), &foreign); err != nil || len(foreign.Mounts) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	if keys := slices.Sorted(maps.Keys(foreign.Mounts[0])); !slices.Equal(keys, []string{"device", "mountpoint", "ref", "schema", "state"}) {
		t.Errorf("of a foreign mount it tells %q", keys)
	}
	w.ok("umount", m.ID)
	w.nothingLeft()
}

// TestMountForeground ends a mount in the foreground in each way.
func TestMountForeground(t *testing.T) {
	needFUSE(t)
	for name, end := range map[string]func(w *world, p *os.Process){
		"interrupt": func(_ *world, p *os.Process) { p.Signal(os.Interrupt) },
		"terminate": func(_ *world, p *os.Process) { p.Signal(syscall.SIGTERM) },
		"hangup":    func(_ *world, p *os.Process) { p.Signal(syscall.SIGHUP) },
		"umount":    func(w *world, _ *os.Process) { w.ok("umount", w.mnt) },
		"nohup": func(w *world, p *os.Process) {
			p.Signal(syscall.SIGHUP)
			time.Sleep(50 * time.Millisecond)
			w.ok("umount", w.mnt) // it is there
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cmd := w.command("mount", "-f", w.ref, w.mnt)
			if name == "nohup" {
				cmd.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
				cmd.Path = "/bin/sh"
			}
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			line := make([]byte, 8)
			if _, err := io.ReadFull(out, line); string(line) != "mounted " || err != nil {
				t.Errorf("%q, %v", line, err)
			}
			end(w, cmd.Process)
			io.Copy(io.Discard, out)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			w.nothingLeft()
		})
	}
}

// TestMountInUse ends a mount whose files are open: it is served on, until
// they are closed or a second signal comes.
func TestMountInUse(t *testing.T) {
	needFUSE(t)
	for name, second := range map[string]bool{"close": false, "second signal": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ok("mount", w.ref, w.mnt)
			f, err := os.Open(filepath.Join(w.mnt, "etc/motd"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			pid := w.processes()[0]
			syscall.Kill(pid, syscall.SIGTERM)
			w.eventually("the mount to go", func() bool { return !w.mounted() })
			if out := w.ok("mounts", w.mnt); !strings.HasSuffix(out, " detached\n") {
				t.Errorf("%s", out)
			}
			if b, err := io.ReadAll(f); string(b) != "hello\n" || err != nil {
				t.Errorf("detached, it reads %q, %v", b, err)
			}
			w.eventually("a note", func() bool {
				return strings.Contains(w.run("umount", w.mnt).errors, "is detached already")
			})
			if second {
				syscall.Kill(pid, syscall.SIGTERM)
			} else {
				f.Close()
			}
			w.nothingLeft()
		})
	}
}

// TestUmountInUse refuses to unmount what is in use, and detaches it with -l.
func TestUmountInUse(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	w.ok("mount", w.ref, w.mnt)
	f, err := os.Open(filepath.Join(w.mnt, "etc/motd"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w.fails(exitMount, "ocifs umount -l", "umount", w.mnt)
	if r := w.run("umount", "-l", w.mnt); r.code != exitOK || !strings.Contains(r.errors, "goes on until") {
		t.Errorf("%+v", r)
	}
	if w.mounted() {
		t.Error("still mounted")
	}
	f.Close()
	w.nothingLeft()
	w.fails(exitNotFound, "is not mounted", "umount", w.mnt)
}

// TestKilled finds, shows and removes what a killed daemon leaves, whether
// somebody has unmounted it since or not.
func TestKilled(t *testing.T) {
	needFUSE(t)
	for name, unmounted := range map[string]bool{"mount left": false, "record left": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ok("mount", w.ref, w.mnt)
			syscall.Kill(w.processes()[0], syscall.SIGKILL)
			w.eventually("the daemon to end", func() bool { return len(w.processes()) == 0 })
			if unmounted {
				if err := fs.Unmount(w.mnt, false); err != nil {
					t.Fatal(err)
				}
			} else {
				w.fails(exitMount, "hint: remove it: ocifs umount", "mount", w.ref, w.mnt)
			}
			if out := w.ok("mounts", w.mnt); !strings.HasSuffix(out, " dead\n") {
				t.Errorf("%s", out)
			}
			w.ok("umount", w.mnt)
			w.nothingLeft()
		})
	}
}

// TestUmountForms names mounts in all ways there are.
func TestUmountForms(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	if err := os.Symlink("mnt", w.in("link")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"umount", "mnt"}, {"unmount", "./mnt/"}, {"umount", "link"}, {"umount", "--all"}, {"umount", "-a", "-l"}, {"umount", w.in("x/../mnt")},
	} {
		w.ok("mount", w.ref, "link")
		w.ok(args...)
		w.nothingLeft()
	}
	w.fails(exitNotFound, "not mounted", "umount", "mnt")
	w.fails(exitNotFound, "not by ocifs", "umount", "/proc")
	w.fails(exitNotFound, "not mounted", "umount", "nowhere", "nowhere-else")
	if r := w.run("umount", "--all"); r.code != exitOK || r.errors != "ocifs: nothing is mounted\n" {
		t.Errorf("%+v", r)
	}
	w.ok("mount", w.ref, "mnt")
	w.fails(exitMount, "is mounted there already", "mount", w.ref, "mnt")
	w.fails(exitMount, "is mounted there already", "mount", w.ref, "link")
	w.fails(exitNotFound, "nowhere is not mounted", "umount", "nowhere", "mnt") // and goes on
	w.nothingLeft()
}

// stalled is a world whose image is in a registry that never delivers the
// layers to their end, with a mount of it under way.
func stalled(t *testing.T) (w *world, reached func()) {
	needFUSE(t)
	w = newWorld(t)
	reg := registrytest.Start(t, registrytest.Options{})
	if err := reg.PushLayout("x", "t", w.in("layout")); err != nil {
		t.Fatal(err)
	}
	reg.Use(registrytest.On(registrytest.Blob, registrytest.After(1, registrytest.Stall(50)))) // the first is the configuration
	w.ref = reg.Host + "/x:t"
	return w, func() {
		w.eventually("a layer to be asked for", func() bool { return reg.Count(registrytest.Blob) > 1 })
	}
}

// TestMountInterrupted interrupts a mount that waits for its layers: who asked
// for it, and the daemon, undo it at once.
func TestMountInterrupted(t *testing.T) {
	for _, flag := range []string{"--json", "--foreground"} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(flag+" "+sig.String(), func(t *testing.T) {
				w, reached := stalled(t)
				cmd := w.command("mount", flag, w.ref, w.mnt)
				var errs strings.Builder
				cmd.Stderr = &errs
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				reached()
				cmd.Process.Signal(sig)
				cmd.Wait()
				if code := cmd.ProcessState.ExitCode(); code != 128+int(sig) {
					t.Errorf("exit code %d", code)
				}
				if strings.Count(errs.String(), "\n") != 1 || strings.Contains(errs.String(), "error") {
					t.Errorf("it says %q", errs.String())
				}
				w.nothingLeft()
			})
		}
	}
}

// TestMountAbandoned kills who asked for a mount, or the daemon, before it is
// live: the other one ends, too.
func TestMountAbandoned(t *testing.T) {
	for _, who := range []string{"parent", "daemon"} {
		t.Run(who, func(t *testing.T) {
			w, reached := stalled(t)
			cmd := w.command("mount", w.ref, w.mnt)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			reached()
			for _, pid := range w.processes() {
				if (pid == cmd.Process.Pid) == (who == "parent") {
					syscall.Kill(pid, syscall.SIGKILL)
				}
			}
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); who == "daemon" && code != exitFailure {
				t.Errorf("exit code %d", code)
			}
			w.nothingLeft()
		})
	}
}

// TestMountWrong has what the daemon, not its parent, finds wrong: it is told
// as if there were no daemon.
func TestMountWrong(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	w.fails(exitNotFound, "the layout has t\n", "mount", "oci:layout:u", "mnt")
	w.fails(exitNotFound, "ocifs: hint: choose one with --platform linux/", "mount", "--platform", "plan9/mips", w.ref, "mnt")
	w.fails(exitFailure, "ocifs: error: log file: open ", "mount", "--log-file", "/nonexistent/log", w.ref, "mnt")
	w.fails(exitMount, "does not exist\nocifs: hint: make it: mkdir -p nowhere", "mount", w.ref, "nowhere")
	w.fails(exitMount, "holds the cache", "mount", "--cache-dir", "mnt/cache", w.ref, "mnt")
	w.fails(exitUsage, "--log-level is debug", "mount", "-o", "log-level=loud", w.ref, "mnt")
	w.fails(exitMount, "does not exist", "mount", "-o", "rw,quiet", w.ref, "nowhere") // no warning before it
	w.nothingLeft()
	r := w.run("mount", "-o", "rw,nofail", w.ref, "mnt", "--log-file", "log", "--log-level", "info")
	if r.code != exitOK || r.errors != "ocifs: warning: images are read-only: -o rw is ignored\n" {
		t.Errorf("%+v", r)
	}
	w.ok("umount", "mnt")
	w.nothingLeft()
	if b, err := os.ReadFile(w.in("log")); err != nil || !strings.Contains(string(b), "msg=unmounted") {
		t.Errorf("the log: %q, %v", b, err)
	}
}

// TestDaemonAlone refuses to be started by anybody but mount.
func TestDaemonAlone(t *testing.T) {
	w := newWorld(t)
	w.fails(exitUsage, "ocifs mount -f", "daemon", w.ref, w.mnt)
	w.nothingLeft()
}

// TestRegistryErrors tells what to do about a registry that won't.
func TestRegistryErrors(t *testing.T) {
	w := newWorld(t)
	reg := registrytest.Start(t, registrytest.Options{Auth: registrytest.Auth{Mode: registrytest.Basic, Username: "u", Password: "right"}})
	if err := reg.PushLayout("x", "t", w.in("layout")); err != nil {
		t.Fatal(err)
	}
	ref := reg.Host + "/x:t"
	w.fails(exitAuth, "docker login", "inspect", ref)
	w.fails(exitAuth, "docker login", "inspect", "--creds", "u:wrong", ref)
	w.fails(exitNotFound, "check the name and the tag", "inspect", "--creds", "u:right", reg.Host+"/x:other")
	w.fails(exitUsage, "no password", "inspect", "--creds", "u", ref)
	w.fails(exitUsage, "--no-creds excludes", "inspect", "--creds", "u:right", "--no-creds", ref)
	w.fails(exitFailure, "podman login", "inspect", "--authfile", "nowhere", ref)
	if err := os.WriteFile(w.in("broken.json"), []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(exitUsage, "broken.json", "inspect", "--authfile", "broken.json", ref)
	w.ok("inspect", "--creds", "u:right", ref)
	reg.Close()
	w.fails(exitUnreachable, "check the registry's name and port", "inspect", "--retry", "1", ref)
}

// TestMountInterruptedEarly sends Ctrl-C to a mount in the background and to its
// daemon, at any moment of their beginning: it is the one word there is to say,
// or the mount is there.
func TestMountInterruptedEarly(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	for i := range 40 {
		cmd := w.command("mount", w.ref, w.mnt)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(10+i) * time.Millisecond)
		syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		cmd.Wait()
		switch code := cmd.ProcessState.ExitCode(); {
		case code == exitOK:
			w.run("umount", w.mnt) // unless the signal has just done it
		case code == -1 && cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGINT: // before main
		case code != exitSignal+int(syscall.SIGINT) || errs.String() != "ocifs: interrupted\n":
			t.Errorf("exit code %d, %q, %q", code, out.String(), errs.String())
		}
		w.eventually(fmt.Sprintf("nothing to be mounted: %v, %q, %q", cmd.ProcessState, out.String(), errs.String()), func() bool { return !w.mounted() })
	}
	w.nothingLeft()
}
