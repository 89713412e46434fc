package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/fs/bundle"
)

func containerCommand() *cli.Command {
	return &cli.Command{
		Name:   "container",
		Hidden: true,
		Usage:  "keep a container; only ocifs run starts it",
		Action: func(cc *cli.Context) error {
			if cc.Args().First() == waitForIDs {
				return becomeRoot()
			}
			return keep(cc.Context)
		},
	}
}

// waitForIDs is the argument of a keeper that has no ids yet.
const waitForIDs = "wait"

// becomeRoot waits for the byte that says that this process has been given the
// ids of its user namespace, and starts the program again: it is root then, and
// has the rights that a process without ids has lost by being started.
func becomeRoot() error {
	pipe, err := inheritedPipe(orderFD)
	if err != nil {
		return err
	}
	if _, err := pipe.Read(make([]byte, 1)); err != nil {
		return reported(exitFailure)
	}
	for _, fd := range []int{orderFD, eventFD} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	return os.NewSyscallError("exec", unix.Exec("/proc/self/exe", []string{"ocifs", "container"}, os.Environ()))
}

// A keeper keeps one container, see warden.go.
type keeper struct {
	runSpec
	voice    *daemonVoice
	hooks    hooks
	rootless bool
	terminal *pty // of a runtime that makes none; nil: none
	starter  starter
}

// keep is the other side of the warden.
func keep(ctx context.Context) error {
	orders, err := inheritedPipe(orderFD)
	if err != nil {
		return err
	}
	defer orders.Close()
	pipe, err := inheritedPipe(eventFD)
	if err != nil {
		return err
	}
	defer pipe.Close()
	os.WriteFile("/proc/self/comm", []byte("ocifs"), 0)
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded()...)
	in := json.NewDecoder(orders)
	var first order
	if err := in.Decode(&first); err != nil || first.Run == nil {
		return reported(exitFailure)
	}
	k := &keeper{runSpec: *first.Run, voice: &daemonVoice{pipe: pipe}}
	log := newLog(k.voice, levelOf(k.LogLevel), k.LogFormat)
	k.voice.log = log
	k.hooks = hooks{warn: k.voice.warn, log: log}
	if k.Progress {
		k.hooks.step = func(p step) { k.voice.send(event{Step: &p}) }
	}
	// The signals are for the program, and the end of the pipe for us.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	go func() {
		var o order
		in.Decode(&o)
		cancel(errors.New("the one who asked for it has gone"))
	}()
	code, err := k.run(ctx, signals)
	if ctx.Err() != nil {
		k.leave()
	}
	if err != nil {
		k.voice.fail(ctx, err)
		return reported(exitFailure)
	}
	return exited(code)
}

// run makes the container, and returns the exit code of its program.
func (k *keeper) run(ctx context.Context, signals <-chan os.Signal) (code int, err error) {
	if err := holdUpper(k.Upper); err != nil {
		return 0, err
	}
	if err := k.privacy(); err != nil {
		return 0, err
	}
	img, err := openImage(ctx, k.Image, k.hooks)
	if err != nil {
		return 0, err
	}
	defer img.Close()
	s, err := k.configure(img)
	if err != nil {
		return 0, err
	}
	rootfs := filepath.Join(k.Dir, bundle.Rootfs)
	srv, err := fs.Mount(rootfs, img, fs.Options{
		Source: img.Name(), Suid: true, Inode: inodesOf(img.Tree()), Logger: k.hooks.log,
	})
	if err != nil {
		return 0, mountFailed(err)
	}
	// The lookups this takes in our own mount, other threads of ours answer.
	if err := bundle.Overlay(rootfs, k.Upper); err != nil {
		takeDown(srv)
		return 0, mountFailed(err)
	}
	cmd, err := k.program(s, rootfs)
	if err != nil {
		return 0, err
	}
	return k.oversee(ctx, cmd, signals)
}

// privacy keeps what is mounted from here on out of other namespaces, shows the
// processes of this one, and what the runtime needs to see.
func (k *keeper) privacy() (err error) {
	if k.Options.Rootless, err = rootlessHere(); err != nil {
		return err
	}
	k.rootless = k.Options.Rootless != nil
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return mountf("container: mounts of its own: %w", err).with("where AppArmor restricts user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0")
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return mountf("container: /proc: %w", err).with("inside another container, that one must not mask its /proc")
	}
	return k.Runtime.suit()
}

// configure is the container's configuration, which is also written down for
// runtimes that read it.
func (k *keeper) configure(img *openedImage) (s *specs.Spec, err error) {
	o := k.Options
	if o.Resolv, o.Hosts, err = networkFiles(k.Dir, o); err != nil {
		return nil, err
	}
	if s, err = bundle.New(img.Image, o); err != nil {
		return nil, containerFailed(err, k.UserName)
	}
	if err := bundle.CheckProgram(img.Image, s); err != nil {
		return nil, containerFailed(err, k.UserName)
	}
	s.Process.ConsoleSize = k.terminalSize()
	return s, bundle.Write(k.Dir, s)
}

// terminalSize is how large the program's terminal is to be, nil without one.
func (k *keeper) terminalSize() *specs.Box {
	for fd := range 3 {
		if w, h, err := term.GetSize(fd); err == nil && k.Options.Terminal {
			return &specs.Box{Width: uint(w), Height: uint(h)}
		}
	}
	return nil
}

// program is the runtime that runs the container.
func (k *keeper) program(s *specs.Spec, rootfs string) (cmd *exec.Cmd, err error) {
	if k.Runtime.bundles() {
		cmd = k.Runtime.command(k.Dir, k.rootless, "run", "--bundle", k.Dir, k.Name)
	} else if cmd, err = k.wrapped(s, rootfs); err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if k.Options.Terminal && !k.Runtime.bundles() {
		k.terminal, err = newPTY(cmd, k.Dir, s.Process.User)
	}
	return cmd, err
}

// oversee runs the runtime. The end of ctx kills the container.
func (k *keeper) oversee(ctx context.Context, cmd *exec.Cmd, signals <-chan os.Signal) (int, error) {
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		err := k.starter.start(cmd)
		if err == nil {
			k.voice.send(event{Started: true})
		}
		if started <- err; err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return 0, err
	}
	if k.terminal != nil {
		k.terminal.relay(cmd.Process.Pid)
	}
	var gone <-chan struct{}
	if k.Options.Terminal {
		gone = hungUp()
	}
	for {
		select {
		case <-gone:
			return k.hangUp(cmd, ended), nil
		case s := <-signals:
			if s == syscall.SIGWINCH && k.terminal != nil {
				k.terminal.resize()
				continue
			}
			k.pass(cmd.Process, s)
		case <-ctx.Done():
			k.remove()
			cmd.Process.Kill()
			<-ended
			return exitSignal + int(syscall.SIGKILL), nil
		case <-ended:
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if status.Signaled() {
				k.remove()
				return exitSignal + int(status.Signal()), nil
			}
			if k.terminal != nil {
				k.terminal.end()
			}
			return status.ExitStatus(), nil
		}
	}
}

// pass passes a signal on to the program: by way of the runtime or, since bwrap
// would die of it, to bwrap's child.
func (k *keeper) pass(runtime *os.Process, s os.Signal) {
	if !k.Runtime.bundles() {
		if pid := childOf(runtime.Pid); pid != 0 {
			syscall.Kill(pid, s.(syscall.Signal)) // whom bwrap has not waited for while it lives
			return
		}
	}
	runtime.Signal(s)
}

// childOf is the one child of a process, 0 if there is none, or several.
func childOf(parent int) int {
	names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent)) // of its threads
	var all []byte
	for _, name := range names {
		b, _ := os.ReadFile(name) // a thread that has ended has none
		all = append(all, b...)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(all)))
	if err != nil {
		return 0
	}
	return pid
}

// leave removes the container's directory, which the warden is no more there to
// do. Mounts in it are this namespace's alone, and go first: nothing of what
// they show is removed.
func (k *keeper) leave() {
	rootfs := filepath.Join(k.Dir, bundle.Rootfs)
	for range 2 { // the overlay, the image
		unix.Unmount(rootfs, unix.MNT_DETACH)
	}
	if table, err := fs.ReadTable(); err == nil && table.At(rootfs) == nil {
		os.RemoveAll(k.Dir)
	}
}

// remove kills the container, and has the runtime remove what it keeps of it,
// if it does so in time.
func (k *keeper) remove() {
	if !k.Runtime.bundles() {
		return
	}
	cmd := k.Runtime.command(k.Dir, k.rootless, "delete", "--force", k.Name)
	timer := time.AfterFunc(10*grace, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		k.hooks.log.Warn(fmt.Sprintf("%s delete: %v: %s", k.Runtime.Kind, err, out))
	}
}
