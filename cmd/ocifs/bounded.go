package main

import (
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// A starter starts a runtime.
type starter struct {
	// bound is the set of capabilities that root can have in the container, one
	// bit per number; 0: that is the runtime's affair. bwrap leaves the bounding
	// set as it finds it, so it has to find the right one.
	bound uint64
}

// start starts cmd, and holds the calling goroutine to its thread, for good: the
// thread has the bounding set, too, and when it ends, bwrap thinks that its
// parent has, and ends as well. So the goroutine is to wait for cmd.
func (s starter) start(cmd *exec.Cmd) error {
	if s.bound == 0 {
		return cmd.Start()
	}
	runtime.LockOSThread() // never unlocked: it ends with the goroutine
	if err := inheritAll(); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	for c := range uintptr(64) {
		if s.bound>>c&1 == 1 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if err == unix.EINVAL {
			break // the kernel has no more
		}
		if err != nil {
			return fmt.Errorf("capabilities: %w", err)
		}
	}
	return cmd.Start()
}

// inheritAll makes what this thread may do inheritable: root has, in a program
// that it starts, what is that or in the bounding set. bwrap needs more than it
// is to leave, and makes nothing inheritable of that.
func inheritAll() error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // of 32 each
	if err := unix.Capget(&h, &sets[0]); err != nil {
		return err
	}
	for i := range sets {
		sets[i].Inheritable = sets[i].Permitted
	}
	return unix.Capset(&h, &sets[0])
}
