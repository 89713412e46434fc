package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"sync"
)

// A logFile is the log of a process in the background, which nobody tends: when
// it has grown to its limit, it becomes NAME.1, in the place of the one before,
// and a new one begins. So the two never take more than twice the limit, and what
// was logged last is always there. What a crash tells goes to it, too. It is safe
// for concurrent use, and open until the process ends.
type logFile struct {
	name  string
	limit int64

	mu   sync.Mutex // guards what follows
	f    *os.File
	size int64
}

const (
	logName  = "log"   // beside the record
	logLimit = 1 << 20 // bytes: some thousand lines; /run is memory
)

func openLogFile(name string, limit int64) (*logFile, error) {
	l := &logFile{name: name, limit: limit}
	return l, l.open()
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("log file: %w", err)
	}
	l.f, l.size = f, fi.Size()
	debug.SetCrashOutput(f, debug.CrashOptions{}) // or, on stderr, nobody would hear of it
	return nil
}

// Write implements io.Writer. A line is in one file.
func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(b)) > l.limit {
		l.turn()
	}
	n, err := l.f.Write(b)
	l.size += int64(n)
	return n, err
}

// turn begins a new file. Where there can't be one, as the directory is gone, the
// old one is emptied.
func (l *logFile) turn() {
	old := l.f
	err := os.Rename(l.name, l.name+".1")
	if err == nil {
		err = l.open()
	}
	if err != nil {
		old.Truncate(0)
		l.size = 0
		return
	}
	old.Close()
}
