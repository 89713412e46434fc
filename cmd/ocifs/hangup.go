package main

import (
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// hangUpGrace is how long a program has to end whose terminal is gone.
const hangUpGrace = 5 * grace

// hungUp returns a channel that is closed when our terminal is gone. That is
// more than a SIGHUP, which anybody can send, and which not everybody gets.
func hungUp() <-chan struct{} {
	gone := make(chan struct{})
	for fd := range 3 {
		if term.IsTerminal(fd) {
			go func() {
				awaitHangUp(fd)
				close(gone)
			}()
			break
		}
	}
	return gone
}

// awaitHangUp returns when the terminal is gone. The kernel says so when the
// other side of a pseudo-terminal is closed; of other terminals one has to ask.
func awaitHangUp(fd int) {
	p := []unix.PollFd{{Fd: int32(fd)}} // for POLLHUP and POLLERR one need not ask
	for {
		if n, err := unix.Poll(p, 10_000); n > 0 && err == nil { // milliseconds
			return
		}
	}
}

// hangUp ends a container whose terminal is gone, and returns its exit code.
//
// Of the container's own terminal, the other side is with runc and crun: when
// they end, the kernel hangs it up, too, so that a program which reads gets to
// the end, whether it heeds SIGHUP or not. With bwrap it is here, but bwrap
// itself would end of that at once, and the program with it: it gets a SIGHUP.
// Who doesn't end of that is killed, by the end of this process at last.
func (k *keeper) hangUp(cmd *exec.Cmd, ended <-chan error) int {
	program := childOf(cmd.Process.Pid)
	if k.Runtime.bundles() {
		cmd.Process.Kill()
		<-ended
		awaitEnd(program)
	} else {
		k.pass(cmd.Process, syscall.SIGHUP)
		select {
		case <-ended:
		case <-time.After(hangUpGrace):
			cmd.Process.Kill()
			<-ended
		}
	}
	k.remove()
	return exitSignal + int(syscall.SIGHUP)
}

// awaitEnd waits until a process has ended, 0 being none, or its time is up.
// Nobody else waits for it.
func awaitEnd(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for end := time.Now().Add(hangUpGrace); ; {
		n, err := unix.Poll(p, int(max(0, time.Until(end).Milliseconds())))
		if n > 0 || err != nil && err != unix.EINTR || time.Now().After(end) {
			return
		}
	}
}
