package fs_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A fake is a Source told as entries: one layer, whose decoded space is in
// memory, and which fails when it is told to.
type fake struct {
	entries []index.Entry
	space   []byte
	tree    *tree.Tree

	reads atomic.Int64
	hook  atomic.Pointer[func() error] // before each read, if set
}

func (f *fake) Tree() *tree.Tree { return f.tree }

func (f *fake) ReadAt(n tree.Node, p []byte, off int64) (int, error) {
	f.reads.Add(1)
	if hook := f.hook.Load(); hook != nil {
		if err := (*hook)(); err != nil {
			return 0, err
		}
	}
	d := f.tree.Data(n)
	if d.Extents == nil {
		return copy(p, f.space[d.Off+off:d.Off+d.Size]), nil
	}
	clear(p)
	at := d.Off
	for _, x := range d.Extents {
		for i := range x.Len {
			if j := x.Off + i - off; j >= 0 && j < int64(len(p)) {
				p[j] = f.space[at+i]
			}
		}
		at += x.Len
	}
	return len(p), nil
}

// before has every read call hook first; nil ends that.
func (f *fake) before(hook func() error) {
	if hook == nil {
		f.hook.Store(nil)
		return
	}
	f.hook.Store(&hook)
}

// An edit changes an entry from what its constructor makes of it.
type edit func(*index.Entry)

func mode(m uint32) edit {
	return func(e *index.Entry) { e.Mode = e.Mode&index.ModeType | m }
}

func owner(uid, gid uint32) edit {
	return func(e *index.Entry) { e.UID, e.GID = uid, gid }
}

func modTime(sec, nsec int64) edit {
	return func(e *index.Entry) { e.ModTime = time.Unix(sec, nsec).UTC() }
}

func xattr(name, value string) edit {
	return func(e *index.Entry) { e.Xattrs = append(e.Xattrs, index.Xattr{Name: name, Value: value}) }
}

func device(major, minor uint32) edit {
	return func(e *index.Entry) { e.Major, e.Minor = major, minor }
}

func (f *fake) add(name string, mode uint32, edits []edit) *index.Entry {
	f.entries = append(f.entries, index.Entry{Name: name, Mode: mode, ModTime: time.Unix(1700000000, 0).UTC()})
	e := &f.entries[len(f.entries)-1]
	for _, edit := range edits {
		edit(e)
	}
	return e
}

func (f *fake) dir(name string, edits ...edit) { f.add(name, index.ModeDir|0o755, edits) }

func (f *fake) file(name, content string, edits ...edit) {
	e := f.add(name, index.ModeRegular|0o644, edits)
	e.Off, e.Size = int64(len(f.space)), int64(len(content))
	f.space = append(f.space, content...)
}

func (f *fake) symlink(name, target string, edits ...edit) {
	f.add(name, index.ModeSymlink|0o777, edits).Link = target
}

func (f *fake) hardlink(name, target string) {
	e := f.add(name, index.ModeRegular|0o644, nil)
	e.HardLink, e.Link = true, target
}

func (f *fake) node(name string, mode uint32, edits ...edit) { f.add(name, mode, edits) }

// A span is a string at an offset of a sparse file.
type span struct {
	off  int64
	data string
}

func (f *fake) sparse(name string, size int64, spans ...span) {
	e := f.add(name, index.ModeRegular|0o644, nil)
	e.Off, e.Size, e.Data = int64(len(f.space)), size, []index.Extent{}
	for _, s := range spans {
		e.Data = append(e.Data, index.Extent{Off: s.off, Len: int64(len(s.data))})
		f.space = append(f.space, s.data...)
	}
}

// source is a fake with what tell tells.
func source(t testing.TB, tell func(f *fake)) *fake {
	t.Helper()
	f := &fake{}
	tell(f)
	if err := f.merge(); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fake) merge() (err error) {
	f.tree, err = tree.Merge([]*index.TOC{index.New(f.entries)})
	return err
}

// A mounted is a source mounted in this process.
type mounted struct {
	*fs.Server
	dir string
	log *logBuffer
}

func (m *mounted) path(name string) string { return m.dir + "/" + name }

// needFUSE skips tests that mount, where that cannot be done.
func needFUSE(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting directly needs root")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse")
	}
}

// mount mounts src on a new directory, until the test is over.
func mount(t testing.TB, src fs.Source, o fs.Options) *mounted {
	t.Helper()
	needFUSE(t)
	return mountOn(t, publicDir(t), src, o)
}

func mountOn(t testing.TB, dir string, src fs.Source, o fs.Options) *mounted {
	t.Helper()
	m := &mounted{dir: dir, log: &logBuffer{}}
	o.Logger = slog.New(slog.NewTextHandler(m.log, nil))
	var err error
	if m.Server, err = fs.Mount(dir, src, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.UnmountLazy()
		waitFor(t, "the server to end", func() bool {
			select {
			case <-m.Done():
				return true
			default:
				return false
			}
		})
	})
	pollOnce(t, dir)
	return m
}

// pollOnce has the kernel learn that the mount at dir cannot be polled. Until
// it has, opening a file with package os in the server's process can lock up:
// the runtime asks for polling in a way that holds its processor. The name is
// go-fuse's own, and reaches no file system.
func pollOnce(t testing.TB, dir string) {
	t.Helper()
	fd, err := unix.Open(dir+"/.go-fuse-epoll-hack", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
}

// detachLater takes away whatever is mounted at dir when the test is over.
func detachLater(t testing.TB, dir string) {
	t.Helper()
	t.Cleanup(func() {
		for unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
		}
	})
}

// waitFor waits until a thing that must come true does.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for !ok() {
		if ctx.Err() != nil {
			buf := make([]byte, 1<<20)
			t.Fatalf("waited in vain for %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A logBuffer is what a server logged.
type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSpace(b.buf.String()), "\n")
}
