package erofs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The kernel reads 128 KiB ahead. Who owns the machine can have it be more, where
// mounts have a directory each that is called after nothing one could know: the
// one that has appeared while this one was made must be it.
const (
	bdiDir      = "/sys/class/bdi"
	bdiPrefix   = "erofs-"
	readAheadKB = "1024" // as many as one READ
)

// bdis are the directories of all EROFS mounts of files.
func bdis() []string {
	list, _ := os.ReadDir(bdiDir) // none, where there is no sysfs
	var names []string
	for _, e := range list {
		if strings.HasPrefix(e.Name(), bdiPrefix) {
			names = append(names, e.Name())
		}
	}
	return names
}

// raiseReadAhead has the kernel read ahead more on the one mount that is new since
// before. Where there are several, or that isn't allowed, all stays as it is.
func raiseReadAhead(before []string) {
	now := slices.DeleteFunc(bdis(), func(name string) bool { return slices.Contains(before, name) })
	if len(now) == 1 {
		os.WriteFile(filepath.Join(bdiDir, now[0], "read_ahead_kb"), []byte(readAheadKB), 0)
	}
}
