package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A container is two processes of ours. The warden is the one that the user
// started: it has the terminal and gets the signals. The keeper (keeper.go) is
// the first process of its own pid and mount namespaces: it mounts the image
// there, serves it, and runs the runtime. So nothing that either does can
// outlive them: when the keeper ends, however it does, the kernel kills what it
// has started and drops what it has mounted. It ends with the program, or when
// the warden does, which it learns from the pipe between them (daemon.go), one
// further word on it being "started".
//
// The keeper is in a session of its own, so that Ctrl-C reaches the program
// once, by way of the warden.
type warden struct {
	u     *ui
	spec  runSpec
	stdin bool // the program reads it
}

// forwarded are the signals that are for the program.
func forwarded() []os.Signal {
	return []os.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGALRM, syscall.SIGCONT,
	}
}

// run makes the container and returns when it is gone. The error is an exited,
// unless the program never ran, or it worked.
func (w *warden) run(ctx context.Context) error {
	if err := w.makeDir(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded()...)
	defer signal.Stop(signals)
	defer keepTerminal()()

	cmd := w.keeper()
	orders, events, err := startTalking(cmd)
	if err != nil {
		return namespaceFailed(err)
	}
	defer events.Close()
	defer orders.Close()
	if err := w.instruct(cmd, orders); err != nil {
		orders.Close()
		cmd.Wait()
		return err
	}
	started := make(chan struct{})
	ended := make(chan struct{})
	go w.forward(ctx, cmd.Process, signals, started, ended, orders)
	fail := w.listen(events, started)
	cmd.Wait() // result goes by its state
	close(ended)
	w.u.progress.stop()
	if fail != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if fail != nil {
		return fail
	}
	return w.result(cmd.ProcessState, started)
}

func (w *warden) makeDir() error {
	err := os.Mkdir(w.spec.Dir, 0o700)
	if err == nil {
		err = os.Mkdir(filepath.Join(w.spec.Dir, "rootfs"), 0o755)
	}
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	return nil
}

// keepTerminal remembers how the terminal is, and returns what makes it so
// again: a runtime that is killed leaves it raw.
func keepTerminal() func() {
	in := int(os.Stdin.Fd())
	before, err := term.GetState(in)
	if err != nil {
		return func() {}
	}
	return func() { term.Restore(in, before) }
}

// keeper is the keeper's process, not started.
func (w *warden) keeper() *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "container")
	cmd.Args[0] = "ocifs"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if w.stdin {
		cmd.Stdin = os.Stdin
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.Args = append(cmd.Args, waitForIDs)
	}
	return cmd
}

// instruct makes the keeper root of its namespace, and tells it what to do.
func (w *warden) instruct(cmd *exec.Cmd, orders *os.File) error {
	if os.Geteuid() != 0 {
		if err := giveIDs(w.u, cmd.Process.Pid); err != nil {
			return err
		}
		if _, err := orders.Write([]byte{0}); err != nil {
			return fmt.Errorf("talking to the container: %w", err)
		}
	}
	if err := json.NewEncoder(orders).Encode(order{Run: &w.spec}); err != nil {
		return fmt.Errorf("talking to the container: %w", err)
	}
	return nil
}

// listen tells the user what the keeper says, until it says no more; started is
// closed when the program runs.
func (w *warden) listen(events io.Reader, started chan<- struct{}) (fail error) {
	for in := json.NewDecoder(events); ; {
		var e event
		if err := in.Decode(&e); err != nil {
			return fail
		}
		switch {
		case e.Step != nil:
			w.u.progress.step(*e.Step)
		case e.Warn != "":
			w.u.warn("%s", e.Warn)
		case e.Log != "":
			io.WriteString(w.u.err, e.Log)
		case e.Fail != nil:
			fail = e.Fail.problem()
		case e.Started:
			w.u.progress.stop()
			close(started)
		}
	}
}

// patienceOfUser is how many SIGINT and SIGTERM it takes to end a program that
// heeds none of them.
const patienceOfUser = 3

// forward passes signals on to the program, once it runs; before, they end the
// work on it.
func (w *warden) forward(ctx context.Context, keeper *os.Process, signals <-chan os.Signal, started, ended <-chan struct{}, orders io.Closer) {
	select {
	case <-started:
	case <-ended:
		return
	case <-ctx.Done():
		orders.Close()
		return
	}
	asked := 0
	for {
		select {
		case <-ended:
			return
		case s := <-signals:
			if s == syscall.SIGINT || s == syscall.SIGTERM {
				asked++
			}
			switch {
			case asked >= patienceOfUser:
				orders.Close()
			case asked == patienceOfUser-1 && s != syscall.SIGWINCH:
				w.u.note("the program goes on; one more signal ends the container")
				fallthrough
			default:
				keeper.Signal(s)
			}
		}
	}
}

// result is what became of the program.
func (w *warden) result(state *os.ProcessState, started <-chan struct{}) error {
	w.forget()
	status := state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return &problem{err: fmt.Errorf("the process that keeps the container has been ended: %v", status.Signal()), code: exitSignal + int(status.Signal())}
	}
	select {
	case <-started:
	default:
		return fmt.Errorf("the container ended without a word: %v", state)
	}
	if status.ExitStatus() == 0 {
		return nil
	}
	return exited(status.ExitStatus())
}

// forget has the runtime remove what it keeps of a container whose keeper could
// not: its cgroup.
func (w *warden) forget() {
	if _, err := os.Stat(filepath.Join(w.spec.Dir, "runtime", w.spec.Name)); err == nil {
		w.spec.Runtime.command(w.spec.Dir, os.Geteuid() != 0, "delete", "--force", w.spec.Name).Run()
	}
}

// namespaceFailed is what to do where namespaces cannot be made.
func namespaceFailed(err error) error {
	p := mountf("container: %w", err)
	switch {
	case os.Geteuid() == 0:
	case errors.Is(err, unix.ENOSPC):
		return p.with("allow user namespaces, as root: sysctl user.max_user_namespaces=10000")
	case errors.Is(err, os.ErrPermission):
		return p.with("allow user namespaces, as root: sysctl kernel.unprivileged_userns_clone=1", "or run ocifs as root")
	}
	return p
}
