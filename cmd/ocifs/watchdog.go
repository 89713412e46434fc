package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// A service manager that wants to know whether a mount still answers says so in
// $WATCHDOG_USEC, see sd_watchdog_enabled(3), and ends a process that doesn't
// tell it, in time, again and again. Who asks a mount that has hung, hangs with
// it, and can't be killed if he is the one who should answer. So another process
// asks, "ocifs probe", once for each time; and nobody is told anything as long as
// it gets no answer.

// watchdogEvery is how often the service manager wants to hear of us, 0 for never.
func watchdogEvery(getenv func(string) string, pid int) time.Duration {
	usec, err := strconv.ParseUint(getenv("WATCHDOG_USEC"), 10, 63)
	whose := getenv("WATCHDOG_PID")
	if err != nil || usec == 0 || usec > uint64(24*time.Hour/time.Microsecond) || whose != "" && whose != strconv.Itoa(pid) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}

// watch tells the service manager that all is well, twice in each of its
// intervals, if probe says so, until ctx ends. What probe finds wrong goes to told.
func (n *notifier) watch(ctx context.Context, every time.Duration, probe func(context.Context) error, told func(error)) {
	tick := time.NewTicker(every / 2)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			n.send("WATCHDOG=1")
		} else {
			told(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// errNoAnswer says that a mount has hung.
var errNoAnswer = errors.New("the mount does not answer")

// A prober asks a mount by processes of their own, one at a time: one that hangs
// can't be killed before the mount is gone.
type prober struct {
	command func(context.Context) *exec.Cmd
	wait    time.Duration
	asking  chan error // of a process that has not ended; nil: there is none
}

func newProber(r record, wait time.Duration) *prober {
	return &prober{wait: wait, command: func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, "/proc/self/exe", "probe", "--", r.Mountpoint, r.Device)
	}}
}

// probe asks, or waits on for the answer of the time before. That nobody could be
// started to ask says nothing of the mount.
func (p *prober) probe(ctx context.Context) error {
	if p.asking == nil {
		cmd := p.command(ctx)
		if cmd.Start() != nil {
			return nil
		}
		asking := make(chan error, 1)
		p.asking = asking
		go func() { asking <- cmd.Wait() }()
	}
	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	select {
	case err := <-p.asking:
		if p.asking = nil; err != nil {
			err = fmt.Errorf("%w: %w", errNoAnswer, err)
		}
		return err
	case <-timer.C:
		return errNoAnswer
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func probeCommand() *cli.Command {
	return &cli.Command{
		Name:      "probe",
		Hidden:    true,
		Usage:     "ask a mount; only ocifs mount starts it",
		ArgsUsage: "MOUNTPOINT DEVICE",
		Action:    func(cc *cli.Context) error { return askMount(cc.Args().Get(0), cc.Args().Get(1)) },
	}
}

// askMount asks the mount with that device, if it is what one finds at its mountpoint:
// statfs(2) is nothing that the kernel answers for a FUSE file system by itself.
// (For EROFS it does: that only says that the mount is there.)
func askMount(mountpoint, device string) error {
	var st unix.Stat_t
	switch err := unix.Lstat(mountpoint, &st); err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.EACCES:
		return nil // it is gone, or out of reach
	default: // ENOTCONN, ECONNABORTED
		return mountf("%s: %w", quote(mountpoint), err)
	}
	if fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)) != device {
		return nil // covered, or detached
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(mountpoint, &fs); err != nil {
		return mountf("%s: %w", quote(mountpoint), err)
	}
	return nil
}

// guard answers the watchdog for a mount, if somebody has one, until stop is
// called.
func (n *notifier) guard(r record, every time.Duration, told func(error)) (stop func()) {
	if n == nil || every == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.watch(ctx, every, newProber(r, every/4).probe, told)
	}()
	return func() {
		cancel()
		<-done
	}
}

// forgetWatchdog keeps the watchdog's variables from programs that we start.
func forgetWatchdog() {
	os.Unsetenv("WATCHDOG_USEC")
	os.Unsetenv("WATCHDOG_PID")
}
