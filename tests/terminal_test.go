package tests

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// A terminal is one that a program runs in, and what it says there.
type terminal struct {
	master *os.File
	said   chan string
	all    string
}

// onTerminal starts cmd in a terminal of its own, as a shell would that has no
// other jobs.
func onTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	raw, err := master.SyscallConn() // Fd would make it one that Close cannot close while it is read
	if err != nil {
		t.Fatal(err)
	}
	var n int
	cerr := raw.Control(func(fd uintptr) {
		if n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); err == nil {
			err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		}
	})
	if err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	c := &terminal{master: master, said: make(chan string)}
	go func() {
		defer close(c.said)
		for b := make([]byte, 4096); ; {
			n, err := master.Read(b)
			if err != nil { // it is closed; EIO: nobody has it open any more
				return
			}
			c.said <- string(b[:n])
		}
	}()
	return c
}

// expect waits until the program says what, and forgets what came before.
func (c *terminal) expect(t *testing.T, what string) {
	t.Helper()
	hung := time.After(patience)
	for !strings.Contains(c.all, what) {
		select {
		case s, ok := <-c.said:
			if c.all += s; !ok {
				t.Fatalf("it ended, and did not say %q: %q", what, c.all)
			}
		case <-hung:
			t.Fatalf("it does not say %q: %q", what, c.all)
		}
	}
	_, c.all, _ = strings.Cut(c.all, what)
}

// TestRunTyped resizes the terminal of a program, and types Ctrl-C: both are for
// the program, and nobody else.
func TestRunTyped(t *testing.T) {
	for _, runtime := range needContainers(t) {
		t.Run(runtime, func(t *testing.T) {
			u := newUser(t)
			ref := u.layoutOf(t, probeImage(t, ocispec.ImageConfig{})) + ":probe"
			cmd := u.command(t, "run", "-it", "--runtime", runtime, ref, "typed")
			c := onTerminal(t, cmd)
			c.expect(t, "ready")
			if runtime != "crun" { // which doesn't see to it, up to 1.8 at least
				if err := unix.IoctlSetWinsize(int(c.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 44, Col: 123}); err != nil {
					t.Fatal(err)
				}
				c.expect(t, "columns: 123 <nil>")
			}
			if _, err := c.master.Write([]byte{3}); err != nil {
				t.Fatal(err)
			}
			c.expect(t, "interrupted")
			for range c.said { // until it is closed
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			u.nothingLeft(t, u.home)
		})
	}
}

// TestRunHungUp closes the terminal of a program that heeds no SIGHUP. One that
// reads gets to the end of what is typed, and ends as it likes; one that does
// not is killed.
func TestRunHungUp(t *testing.T) {
	for _, runtime := range needContainers(t) {
		for _, verb := range []string{"reads", "deaf"} {
			t.Run(runtime+" "+verb, func(t *testing.T) {
				t.Parallel()
				u := newUser(t)
				ref := u.layoutOf(t, probeImage(t, ocispec.ImageConfig{})) + ":probe"
				cmd := u.command(t, "run", "-it", "--writable=kept", "--runtime", runtime, ref, verb, "/last")
				c := onTerminal(t, cmd)
				c.expect(t, "ready")
				u.awaitCrun(t, runtime)
				if err := c.master.Close(); err != nil {
					t.Fatal(err)
				}
				hung := time.AfterFunc(patience, func() {
					t.Error("the container doesn't end")
					cmd.Process.Kill()
				})
				cmd.Wait()
				hung.Stop()
				if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGHUP) {
					t.Errorf("exit %d", code)
				}
				u.nothingLeft(t, u.home)
				if runtime == "bwrap" || verb == "deaf" { // what reads in bwrap doesn't get to an end
					return
				}
				if b, err := os.ReadFile(u.home + "/kept/upper/last"); string(b) != "words" {
					t.Errorf("its last words are %q, %v", b, err)
				}
			})
		}
	}
}
