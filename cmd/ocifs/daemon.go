package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// A daemon and the one who starts it talk through two pipes:
//
//	parent                          daemon
//	  spec        ── descriptor 3 →
//	              ← descriptor 4 ──   step, warn, log …
//	              ← descriptor 4 ──   live, or fail
//	  detach      ── descriptor 3 →
//	  (waits)     ← descriptor 4 ──   end of file: detached
//
// all as JSON, one value after another. If descriptor 3 ends before "detach",
// the parent has given up, or is dead, and the daemon undoes what it did. Up
// to then the daemon shares the parent's terminal and process group, so that
// Ctrl-C reaches both, and a crash is seen.
const (
	orderFD = 3
	eventFD = 4
)

// An order is what the parent says.
type order struct {
	Spec   *mountSpec `json:",omitempty"`
	Run    *runSpec   `json:",omitempty"` // to a container's keeper
	Detach bool       `json:",omitempty"`
}

// An event is what the daemon says; one field is set.
type event struct {
	Step *step    `json:",omitempty"`
	Warn string   `json:",omitempty"`
	Log  string   `json:",omitempty"` // a line for stderr as it is
	Live *record  `json:",omitempty"`
	Fail *failure `json:",omitempty"`

	Started bool `json:",omitempty"` // a container's program runs
}

// A failure is an error that has crossed a pipe.
type failure struct {
	Text  string
	Code  int
	Hints []string
}

// problem is the failure on this side of the pipe. A Ctrl-C that has reached
// the other side first is one here, too.
func (f *failure) problem() error {
	if f.Code > exitSignal {
		return interrupted{syscall.Signal(f.Code - exitSignal)}
	}
	return &problem{err: errors.New(f.Text), code: f.Code, hints: f.Hints}
}

// background starts a daemon and calls live when it has mounted; if that fails,
// the daemon undoes it, else it is left on its own.
func background(ctx context.Context, u *ui, s mountSpec, live func(record) error) error {
	orders, events, cmd, err := startDaemon(s)
	if err != nil {
		return err
	}
	defer events.Close()
	defer orders.Close()
	stop := context.AfterFunc(ctx, func() { orders.Close() })
	defer stop()

	send := json.NewEncoder(orders)
	var fail error
	detached := false
	send.Encode(order{Spec: &s}) // if it has ended, it is asked why below
	for in := json.NewDecoder(events); fail == nil; {
		var e event
		if err := in.Decode(&e); err != nil {
			break
		}
		switch {
		case e.Step != nil:
			u.progress.step(*e.Step)
		case e.Warn != "":
			u.warn("%s", e.Warn)
		case e.Log != "":
			io.WriteString(u.err, e.Log)
		case e.Fail != nil:
			fail = e.Fail.problem()
		case e.Live != nil:
			u.progress.stop()
			if fail = live(*e.Live); fail == nil {
				detached = send.Encode(order{Detach: true}) == nil
			}
		}
	}
	u.progress.stop()
	if detached && fail == nil {
		return nil
	}
	orders.Close()
	io.Copy(io.Discard, events)
	err = cmd.Wait()
	if i, ok := endedBy(cmd.ProcessState); ok && fail == nil {
		fail = i
	}
	if fail == nil {
		fail = fmt.Errorf("the daemon ended without a word: %v", err)
	}
	if ctx.Err() != nil {
		fail = context.Cause(ctx)
	}
	return fail
}

// startDaemon runs this program again as a daemon. Its arguments are for
// those who look at the process list.
func startDaemon(s mountSpec) (orders, events *os.File, cmd *exec.Cmd, err error) {
	cmd = exec.Command("/proc/self/exe", "daemon", "--", s.Image.Ref, s.Mountpoint)
	cmd.Args[0] = "ocifs"
	cmd.Stderr = os.Stderr
	if orders, events, err = startTalking(cmd); err != nil {
		return nil, nil, nil, fmt.Errorf("starting the daemon: %w", err)
	}
	return orders, events, cmd, nil
}

// startTalking starts a process with the two pipes.
func startTalking(cmd *exec.Cmd) (orders, events *os.File, err error) {
	orderR, orderW, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer orderR.Close()
	eventR, eventW, err := os.Pipe()
	if err != nil {
		orderW.Close()
		return nil, nil, err
	}
	defer eventW.Close()
	// A shell's descriptors, a lock or a pipe, must not live as long as the
	// daemon does. (Kernels before 5.11 refuse; then it inherits them.)
	unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	cmd.ExtraFiles = []*os.File{orderR, eventW} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		orderW.Close()
		eventR.Close()
		return nil, nil, err
	}
	return orderW, eventR, nil
}

func daemonCommand() *cli.Command {
	return &cli.Command{
		Name:      "daemon",
		Hidden:    true,
		Usage:     "serve a mount in the background; only ocifs mount starts it",
		ArgsUsage: "IMAGE MOUNTPOINT",
		Action:    func(cc *cli.Context) error { return daemon(cc.Context) },
	}
}

// daemon is the other side of background. What goes wrong before the mount is
// live, the parent prints; later, it is logged.
func daemon(ctx context.Context) error {
	orders, err := inheritedPipe(orderFD)
	if err != nil {
		return err
	}
	defer orders.Close()
	pipe, err := inheritedPipe(eventFD)
	if err != nil {
		return err
	}
	os.WriteFile("/proc/self/comm", []byte("ocifs"), 0) // not "exe", to those who look at processes
	d := &daemonVoice{pipe: pipe}
	in := json.NewDecoder(orders)
	var first order
	if err := in.Decode(&first); err != nil || first.Spec == nil {
		return reported(exitFailure)
	}
	s := *first.Spec
	h := hooks{warn: d.warn}
	if s.Progress {
		h.step = func(p step) { d.send(event{Step: &p}) }
	}
	level := new(slog.LevelVar)
	level.Set(levelOf(s.LogLevel))
	if h.log, err = s.openLog(d, level); err != nil {
		d.fail(ctx, err)
		return reported(exitFailure)
	}
	d.log = h.log
	if s.LogFile == "" {
		h.logTo = func(name string) error {
			if s.AnyLevel { // there are few such lines, and nobody has to read them
				level.Set(min(level.Level(), slog.LevelInfo))
			}
			return d.logTo(name)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	detach := make(chan struct{})
	go func() {
		var o order
		if err := in.Decode(&o); err != nil || !o.Detach {
			cancel(errors.New("the one who asked for it has gone"))
			return
		}
		close(detach)
	}()
	err = serve(ctx, s, h, func(r record) error { return d.goLive(ctx, r, detach) })
	if err != nil {
		d.fail(ctx, err)
		return reported(exitCode(ctx, err))
	}
	return nil
}

// inheritedPipe is a descriptor the parent has left us, which programs we
// start do not get.
func inheritedPipe(fd int) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, usagef("daemon is for ocifs mount to start").with("to mount in this process: ocifs mount -f")
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pipe"), nil
}

// A daemonVoice is where a daemon speaks: to its parent until it is live, then
// to its log. Safe for concurrent use.
type daemonVoice struct {
	log *slog.Logger

	mu   sync.Mutex
	pipe *os.File // nil once live
	file *logFile // nil until there is a record to be beside
}

// logTo has the log go on in that file.
func (d *daemonVoice) logTo(name string) error {
	f, err := openLogFile(name, logLimit)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.file = f
	return nil
}

// send tells the parent. That it is gone shows elsewhere.
func (d *daemonVoice) send(e event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pipe != nil {
		json.NewEncoder(d.pipe).Encode(e)
	}
}

// Write takes lines of the log, where no file does.
func (d *daemonVoice) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file != nil {
		return d.file.Write(b)
	}
	if d.pipe == nil {
		return os.Stderr.Write(b)
	}
	return len(b), json.NewEncoder(d.pipe).Encode(event{Log: string(b)})
}

func (d *daemonVoice) live() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pipe == nil
}

func (d *daemonVoice) warn(text string) {
	if d.live() {
		d.log.Warn(text)
		return
	}
	d.send(event{Warn: text})
}

func (d *daemonVoice) fail(ctx context.Context, err error) {
	if d.live() {
		d.log.Error(err.Error())
		return
	}
	d.send(event{Fail: &failure{Text: err.Error(), Code: exitCode(ctx, err), Hints: hintsOf(err)}})
}

// goLive tells the parent that the mount is live and, when that lets go,
// leaves its session, directory and streams behind.
func (d *daemonVoice) goLive(ctx context.Context, r record, detach <-chan struct{}) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	d.send(event{Live: &r})
	select {
	case <-detach:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	signal.Ignore(syscall.SIGHUP)
	if _, err := unix.Setsid(); err != nil {
		return fmt.Errorf("setsid: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	for fd := range 3 { // stdin, stdout, stderr
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return fmt.Errorf("dup3: %w", err)
		}
	}
	if ctx.Err() != nil { // a signal to the group that was left just now
		return context.Cause(ctx)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pipe.Close()
	d.pipe = nil
	return nil
}
