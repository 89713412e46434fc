package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fs"
)

// fuseChecks are what it takes to mount.
func fuseChecks(ctx context.Context) []check {
	group := func(name string, s verdict, format string, a ...any) check {
		return check{Group: "FUSE", Name: name, State: s, Text: fmt.Sprintf(format, a...)}
	}
	var list []check
	if err := checkFUSE(); err != nil {
		list = append(list, failedCheck(ctx, "FUSE", "mount", err))
	} else if mayMount() {
		list = append(list, group("mount", checkOK, "/dev/fuse can be opened, and this user may mount"))
	} else {
		list = append(list, group("mount", checkOK, "/dev/fuse can be opened; fusermount3 mounts"))
	}
	bin, err := fs.Fusermount()
	switch fi, serr := os.Stat(bin); {
	case err != nil:
		list = append(list, group("fusermount3", checkNote, "not installed: only root can mount"))
	case serr != nil || fi.Mode()&os.ModeSetuid == 0:
		list = append(list, group("fusermount3", mayMatter(checkWarning), "%s has no setuid bit: it mounts for nobody but root", bin))
	default:
		list = append(list, group("fusermount3", checkOK, "%s, setuid", bin))
	}
	if others, err := usersMayAllowOther("/etc/fuse.conf"); err == nil && others {
		list = append(list, group("allow_other", checkOK, "users may let others into their mounts"))
	} else {
		list = append(list, group("allow_other", checkNote, "users may not let others into their mounts: no user_allow_other in /etc/fuse.conf"))
	}
	return list
}

// mayMatter is a verdict that matters to those who are not root.
func mayMatter(s verdict) verdict {
	if mayMount() {
		return checkNote
	}
	return s
}

// usersMayAllowOther reads fuse.conf (see fuse(8)): a word on a line.
func usersMayAllowOther(file string) (bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "user_allow_other" {
			return true, nil
		}
	}
	return false, lines.Err()
}

// kernelChecks are what the kernel has that mounts are used with. ocifs needs
// none of it.
func kernelChecks() []check {
	note := func(name, format string, a ...any) check {
		return check{Group: "kernel", Name: name, State: checkNote, Text: fmt.Sprintf(format, a...)}
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return []check{note("version", "%v", err)}
	}
	release := unix.ByteSliceToString(u.Release[:])
	since := func(major, minor int) string {
		if kernelAtLeast(release, major, minor) {
			return "yes"
		}
		return "no"
	}
	systems := fileSystems("/proc/filesystems")
	has := func(name string) string {
		if systems[name] {
			return "yes"
		}
		return "not loaded"
	}
	return []check{
		note("version", "%s", release),
		note("FUSE passthrough", "%s (Linux 6.9)", since(6, 9)),
		note("overlay on FUSE", "%s", has("overlay")),
		note("EROFS", "%s; mounts of files: %s (Linux 6.12)", has("erofs"), since(6, 12)),
		note("user namespaces", "%s", userNamespaces("/proc/sys")),
	}
}

// kernelAtLeast compares a release, as 6.1.0-40-amd64, to a version.
func kernelAtLeast(release string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a > major || a == major && b >= minor
}

// fileSystems reads /proc/filesystems.
func fileSystems(file string) map[string]bool {
	body, _ := os.ReadFile(file)
	list := make(map[string]bool)
	for line := range strings.Lines(string(body)) {
		if words := strings.Fields(line); len(words) > 0 {
			list[words[len(words)-1]] = true
		}
	}
	return list
}

// userNamespaces says whether users can make them.
func userNamespaces(sys string) string {
	number := func(name string) int {
		b, err := os.ReadFile(filepath.Join(sys, name))
		if err != nil {
			return -1
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			return -1
		}
		return n
	}
	switch {
	case number("user/max_user_namespaces") == 0:
		return "none (user.max_user_namespaces is 0)"
	case number("kernel/unprivileged_userns_clone") == 0:
		return "of root only (kernel.unprivileged_userns_clone is 0)"
	case number("kernel/apparmor_restrict_unprivileged_userns") == 1:
		return "of programs that AppArmor lets make them"
	}
	return "yes"
}

// cacheChecks are whether the cache can be used.
func cacheChecks(ctx context.Context, cc *cli.Context) []check {
	dir, err := cacheDir(cc)
	if err == nil {
		_, err = cacheSize(cc)
	}
	if err != nil {
		return []check{failedCheck(ctx, "cache", "directory", err)}
	}
	ok := func(name string, s verdict, format string, a ...any) check {
		return check{Group: "cache", Name: name, State: s, Text: fmt.Sprintf(format, a...)}
	}
	fi, err := os.Stat(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		list := []check{ok("directory", checkNote, "%s: not there yet", dir)}
		return append(list, spaceCheck(ok, existing(dir)))
	}
	if err != nil {
		return []check{failedCheck(ctx, "cache", "directory", err)}
	}
	store, err := cache.Open(dir, cache.Options{Existing: true})
	if errors.Is(err, iofs.ErrNotExist) {
		list := []check{ok("directory", checkOK, "%s, of %s; no cache in it yet", dir, ownerOf(fi))}
		return append(list, spaceCheck(ok, dir))
	}
	if err != nil {
		return []check{failedCheck(ctx, "cache", "directory", hint(err, "choose another cache with --cache-dir"))}
	}
	defer store.Close()
	list := []check{ok("directory", checkOK, "%s, of %s", dir, ownerOf(fi)), ok("size", checkNote, "%s", bytesOf(store.Usage())), spaceCheck(ok, dir)}
	if err := punch(dir); err != nil {
		return append(list, ok("holes", checkWarning, "what is evicted still takes space: %v", err))
	}
	return append(list, ok("holes", checkOK, "what is evicted frees its space"))
}

// existing is the nearest directory above path that there is.
func existing(path string) string {
	for path != "/" {
		if _, err := os.Stat(path); err == nil {
			break
		}
		path = filepath.Dir(path)
	}
	return path
}

// lowSpace is how little space on the cache's disk is worth a warning: less
// than an image of some size takes.
const lowSpace = 1 << 30

func spaceCheck(ok func(string, verdict, string, ...any) check, dir string) check {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return ok("free space", checkWarning, "%v", err)
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	s := checkOK
	if free < lowSpace {
		s = checkWarning
	}
	return ok("free space", s, "%s of %s", bytesOf(free), bytesOf(int64(st.Blocks)*int64(st.Bsize)))
}

// ownerOf names a file's owner.
func ownerOf(fi os.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return "this user"
	}
	id := strconv.Itoa(int(st.Uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// punch makes a hole in a file in dir.
func punch(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-")
	if err != nil {
		return err
	}
	defer f.Close()
	defer os.Remove(f.Name())
	const page = 1 << 16
	if _, err := f.Write(make([]byte, 2*page)); err != nil {
		return err
	}
	return os.NewSyscallError("fallocate", unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, page))
}
