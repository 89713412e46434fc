package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// endings are the signals that end a command in good order. One that was
// ignored when the process began stays so: nohup means it, and so does a
// shell without job control that runs a command in the background.
func endings() []os.Signal {
	signals := []os.Signal{syscall.SIGTERM}
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	return signals
}

// withSignals is a context that ends at the first SIGINT, SIGTERM or SIGHUP,
// with an interrupted as its cause. They are caught until the process ends: one
// that comes when all is done, and has been said, doesn't change how it ends.
func withSignals(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	c := make(chan os.Signal, 1)
	probeProcesses()
	signal.Notify(c, endings()...)
	go func() {
		s := <-c
		signal.Stop(c) // a second one ends the process, unless serve waits for it
		cancel(interrupted{s.(syscall.Signal)})
	}()
	return ctx
}

// probeProcesses has package os find out what it can do with processes, before
// it starts the first. It does that with a child that shares our memory, and
// its signal handlers: were a Ctrl-C to reach that child, its handler would
// run on a stack of ours, and that ends the process. So none may come.
func probeProcesses() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before) != nil {
		return
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Release()
	}
}

// endedBy is the signal by which a process ended that got it as we did: Ctrl-C
// goes to all processes of a terminal.
func endedBy(s *os.ProcessState) (interrupted, bool) {
	w, ok := s.Sys().(syscall.WaitStatus)
	if !ok || !w.Signaled() {
		return interrupted{}, false
	}
	switch w.Signal() {
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP:
		return interrupted{w.Signal()}, true
	}
	return interrupted{}, false
}
