package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A pty is a terminal for a program that gets none from its runtime, as bwrap's
// do not: what is typed at ours goes in, what the program says comes out.
type pty struct {
	master, slave *os.File
	drained       chan struct{} // closed when all that the program said is out
}

// newPTY makes the controlling terminal of cmd, as large as ours, which user may
// open anew. It is one of a devpts of its own, for which dir is needed until it
// is there: terminals of the machine's have owners that a user namespace may
// not know.
func newPTY(cmd *exec.Cmd, dir string, user specs.User) (_ *pty, err error) {
	dir = filepath.Join(dir, "pts")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	defer os.Remove(dir)
	if err := unix.Mount("devpts", dir, "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0600,mode=0620"); err != nil {
		return nil, mountf("terminal: devpts: %w", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	p := &pty{drained: make(chan struct{})}
	if p.master, err = os.OpenFile(filepath.Join(dir, "ptmx"), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	err = unix.IoctlSetPointerInt(int(p.master.Fd()), unix.TIOCSPTLCK, 0)
	if err == nil {
		p.slave, err = os.OpenFile(filepath.Join(dir, "0"), os.O_RDWR|unix.O_NOCTTY, 0) // the first
	}
	if err == nil {
		err = p.slave.Chown(int(user.UID), int(user.GID))
	}
	if err != nil {
		p.master.Close()
		return nil, fmt.Errorf("terminal: %w", err)
	}
	p.resize()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true // of its descriptor 0
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.slave, p.slave, p.slave
	return p, nil
}

// resize makes the terminal as large as ours.
func (p *pty) resize() {
	for fd := range 3 {
		if size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil {
			unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, size)
			return
		}
	}
}

// relay begins to pass bytes on, once the runtime, a process, has begun. The
// warden puts our terminal back in order.
func (p *pty) relay(runtime int) {
	p.slave.Close()
	if in := int(os.Stdin.Fd()); term.IsTerminal(in) {
		term.MakeRaw(in)
	}
	go io.Copy(typed{p.master, runtime}, os.Stdin) // until this process ends
	go func() {
		defer close(p.drained)
		io.Copy(os.Stdout, p.master) // until the last user of the slave is gone: EIO
	}()
}

// end waits for the program's last words. It has ended, and all it started.
func (p *pty) end() {
	<-p.drained
	p.master.Close()
}
