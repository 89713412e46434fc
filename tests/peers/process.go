package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 on every
// architecture that Go runs on.
const tick = time.Second / 100

// cpuOf is how much processor time a process has used.
func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may have spaces; utime and stime are the
	// 14th and 15th field, so the 12th and 13th behind it.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields))
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("/proc/%d/stat: no numbers", pid)
	}
	return time.Duration(user+system) * tick, nil
}

// memoryOf is what a process has of its own in memory (anonymous pages), and
// all it has there, with pages of files that the kernel can take back.
func memoryOf(pid int) (own, all int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case err != nil:
		case key == "RssAnon":
			own = kib << 10
		case key == "VmRSS":
			all = kib << 10
		}
	}
	return own, all, nil
}

// evict has the kernel forget the pages of every regular file at or below the
// paths. What was just written is written to disk first.
func evict(paths ...string) error {
	for _, path := range paths {
		err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			return evictFile(name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func evictFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	// File systems that only read refuse fsync; they have nothing to write.
	f.Sync()
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
