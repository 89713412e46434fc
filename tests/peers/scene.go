package main

import (
	"bufio"
	stdbytes "bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A scene is where one trial takes place.
type scene struct {
	*lab
	dir  string
	warm bool // leave in memory what a face's files have there
	undo undo
}

func (l *lab) scene() (*scene, error) {
	if err := os.MkdirAll(l.scenes(), 0o755); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(l.scenes(), "")
	if err != nil {
		return nil, err
	}
	s := &scene{lab: l, dir: dir}
	s.undo.add(func() error { return removeAll(dir) })
	return s, nil
}

// strike undoes all that was done in the scene.
func (s *scene) strike() error { return s.undo.all() }

// folder makes a directory of the scene.
func (s *scene) folder(name string) (string, error) {
	dir := filepath.Join(s.dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// evict has the kernel forget a face's files, unless the scene is warm.
func (s *scene) evict(paths ...string) error {
	if s.warm {
		return nil
	}
	return evict(paths...)
}

// A usage is what a command has taken.
type usage struct {
	wall time.Duration
	cpu  time.Duration // its own and its children's
	out  string        // what it printed
}

// sh runs a script of bash, in which arguments are $1, $2 and so on. A
// cancelled context kills all that it has started.
func (l *lab) sh(ctx context.Context, script string, args ...string) (usage, error) {
	return l.run(ctx, append([]string{"bash", "-euo", "pipefail", "-c", script, "bash"}, args...)...)
}

// run runs a program to its end.
func (l *lab) run(ctx context.Context, argv ...string) (usage, error) {
	cmd := l.cmd(ctx, argv...)
	var stdout, stderr stdbytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	u := usage{wall: time.Since(start), out: stdout.String()}
	if cmd.ProcessState != nil {
		u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, strings.TrimSpace(stderr.String()))
	}
	return u, err
}

// cmd is a command in a process group of its own, so that a Ctrl-C is this
// program's to handle, and the group can be killed.
func (l *lab) cmd(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Minute
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+l.scenes())
	return cmd
}

// serve starts a program that serves until it is told to end, and waits for
// the line "ready". The scene ends it.
func (s *scene) serve(ctx context.Context, argv ...string) (pid int, err error) {
	cmd := s.cmd(context.WithoutCancel(ctx), argv...)
	var stderr stdbytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	s.undo.add(func() error {
		cmd.Process.Signal(syscall.SIGTERM)
		hung := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		defer hung.Stop()
		return cmd.Wait()
	})
	stop := context.AfterFunc(ctx, func() { cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil && strings.TrimSpace(line) != "ready" {
		err = errors.New("not ready: " + line)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, stderr.String())
	}
	return cmd.Process.Pid, nil
}
