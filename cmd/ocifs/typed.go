package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// typed takes what is typed at a terminal whose session the runtime leads.
//
// A Ctrl-C is for all processes of the group in the terminal's foreground. That
// is the runtime's own, which the program is in, too, as long as it has not made
// one for itself, as shells do; and bwrap, which knows nothing of it, would end,
// and the program with it. So it gets to all of them but the runtime.
type typed struct {
	master  *os.File
	runtime int
}

// Write passes bytes on, or what they mean.
func (t typed) Write(b []byte) (n int, err error) {
	for n < len(b) {
		at, s := t.signal(b[n:])
		if at > 0 {
			m, err := t.master.Write(b[n : n+at])
			if n += m; err != nil {
				return n, err
			}
		}
		if s != 0 {
			t.send(s)
			n++
		}
	}
	return n, nil
}

// signal is how many bytes there are before one that stands for a signal to the
// runtime's group, and that signal; 0 if there is none.
func (t typed) signal(b []byte) (before int, s syscall.Signal) {
	fd := int(t.master.Fd())
	mode, err := unix.IoctlGetTermios(fd, unix.TCGETS) // the program's side has it
	if err != nil || mode.Lflag&unix.ISIG == 0 {
		return len(b), 0
	}
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || group != t.runtime {
		return len(b), 0
	}
	before = len(b)
	for key, of := range map[int]syscall.Signal{unix.VINTR: unix.SIGINT, unix.VQUIT: unix.SIGQUIT, unix.VSUSP: unix.SIGTSTP} {
		if i := bytes.IndexByte(b, mode.Cc[key]); i >= 0 && i < before && mode.Cc[key] != 0 {
			before, s = i, of
		}
	}
	return before, s
}

// send sends a signal to the runtime's group, without the runtime. The group's
// processes are all ours: /proc shows no others.
func (t typed) send(s syscall.Signal) {
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		b, err := os.ReadFile(name)
		_, rest, ok := bytes.Cut(b[bytes.LastIndexByte(b, ')')+1:], []byte(" ")) // behind the name, which may hold anything
		var state string
		var parent, group int
		if n, _ := fmt.Sscan(string(rest), &state, &parent, &group); err != nil || !ok || n < 3 || group != t.runtime {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && pid != t.runtime {
			syscall.Kill(pid, s)
		}
	}
}
