package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// errNamespace says that one may not enter a mount namespace.
var errNamespace = errors.New("cannot enter the mount namespace")

// inNamespaceOf calls f in the mount namespace of a record's daemon, which
// takes root. The error is f's, or errNamespace.
func inNamespaceOf(r *record, f func() error) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", r.PID))
	if err != nil {
		return fmt.Errorf("%w: %w", errNamespace, err)
	}
	defer ns.Close()
	if !r.running() { // the number was another's by now
		return nil
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here, as it fits nothing else
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS)
		}
		if err != nil {
			done <- fmt.Errorf("%w: %w", errNamespace, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// inOtherNamespace reports whether a process is known to be in another mount
// namespace than this one.
func inOtherNamespace(pid int) bool {
	ours, err := os.Readlink("/proc/thread-self/ns/mnt")
	if err != nil {
		return false
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	return err == nil && theirs != ours
}
