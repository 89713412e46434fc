package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A pty is a terminal for a program that gets none from its runtime, as bwrap's
// do not: what is typed at ours goes in, what the program says comes out.
type pty struct {
	master, slave *os.File
	drained       chan struct{} // closed when all that the program said is out
}

// newPTY makes the controlling terminal of cmd, as large as ours.
func newPTY(cmd *exec.Cmd) (*pty, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	p := &pty{master: master, drained: make(chan struct{})}
	if err == nil {
		p.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
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

// relay begins to pass bytes on, once the program has begun. The warden puts
// our terminal back in order.
func (p *pty) relay() {
	p.slave.Close()
	if in := int(os.Stdin.Fd()); term.IsTerminal(in) {
		term.MakeRaw(in)
	}
	go io.Copy(p.master, os.Stdin) // until this process ends
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
