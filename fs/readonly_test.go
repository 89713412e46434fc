package fs_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

// writes are all the ways to change a file system, tried on dir, which has
// "file", "dir" and "link".
func writes(dir string) map[string]func() error {
	p := func(name string) string { return dir + "/" + name }
	open := func(name string, flags int) func() error {
		return func() error {
			fd, err := unix.Open(p(name), flags|unix.O_CLOEXEC, 0o644)
			if err == nil { // writing must fail at the latest
				defer unix.Close(fd)
				_, err = unix.Write(fd, []byte("x"))
			}
			return err
		}
	}
	return map[string]func() error{
		"open O_WRONLY":  open("file", unix.O_WRONLY),
		"open O_RDWR":    open("file", unix.O_RDWR),
		"open O_TRUNC":   open("file", unix.O_WRONLY|unix.O_TRUNC),
		"open O_APPEND":  open("file", unix.O_WRONLY|unix.O_APPEND),
		"open O_CREAT":   open("new", unix.O_WRONLY|unix.O_CREAT),
		"open O_TMPFILE": open("dir", unix.O_WRONLY|unix.O_TMPFILE),
		"mkdir":          func() error { return unix.Mkdir(p("new"), 0o755) },
		"rmdir":          func() error { return unix.Rmdir(p("dir")) },
		"unlink":         func() error { return unix.Unlink(p("file")) },
		"rename":         func() error { return unix.Rename(p("file"), p("new")) },
		"rename over":    func() error { return unix.Rename(p("file"), p("link")) },
		"renameat2": func() error {
			return unix.Renameat2(unix.AT_FDCWD, p("file"), unix.AT_FDCWD, p("link"), unix.RENAME_EXCHANGE)
		},
		"link":        func() error { return unix.Link(p("file"), p("new")) },
		"symlink":     func() error { return unix.Symlink("x", p("new")) },
		"mknod":       func() error { return unix.Mknod(p("new"), unix.S_IFREG|0o644, 0) },
		"mkfifo":      func() error { return unix.Mkfifo(p("new"), 0o644) },
		"chmod":       func() error { return unix.Chmod(p("file"), 0o600) },
		"chown":       func() error { return unix.Chown(p("file"), 1, 1) },
		"lchown":      func() error { return unix.Lchown(p("link"), 1, 1) },
		"truncate":    func() error { return unix.Truncate(p("file"), 0) },
		"utimensat":   func() error { return os.Chtimes(p("file"), timeZero, timeZero) },
		"setxattr":    func() error { return unix.Setxattr(p("file"), "user.x", []byte("x"), 0) },
		"removexattr": func() error { return unix.Removexattr(p("file"), "user.a") },
	}
}

func readonlySource(t *testing.T) *fake {
	return source(t, func(f *fake) {
		f.file("file", "x", xattr("user.a", "b"))
		f.dir("dir")
		f.symlink("link", "file")
	})
}

func TestReadOnly(t *testing.T) {
	m := mount(t, readonlySource(t), fs.Options{})
	for name, write := range writes(m.dir) {
		if err := errno(write()); err != unix.EROFS {
			t.Errorf("%s: %v, want EROFS", name, err)
		}
	}
	if err := unix.Access(m.path("file"), unix.W_OK); err != unix.EROFS {
		t.Errorf("access W_OK: %v, want EROFS", err)
	}
}

// TestRemountedWritable has the kernel let writers through: the server then
// refuses, each request of its own.
func TestRemountedWritable(t *testing.T) {
	m := mount(t, readonlySource(t), fs.Options{})
	if err := unix.Mount("", m.dir, "", unix.MS_REMOUNT, ""); err != nil {
		t.Skip("this kernel doesn't remount FUSE:", err)
	}
	for name, write := range writes(m.dir) {
		err := errno(write())
		if err == unix.ENOTSUP && name == "open O_TMPFILE" { // what the kernel makes of ENOSYS
			continue
		}
		if err != unix.EROFS {
			t.Errorf("%s: %v, want EROFS", name, err)
		}
	}
	if got, err := os.ReadFile(m.path("file")); err != nil || string(got) != "x" {
		t.Errorf("after all that the file is %q, %v", got, err)
	}
}
