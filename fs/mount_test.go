package fs_test

import (
	"bufio"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

var timeZero = time.Unix(0, 0)

// errno is the errno in err.
func errno(err error) error {
	if e := syscall.Errno(0); errors.As(err, &e) {
		return e
	}
	return err
}

// mountsAt lists what is mounted at dir.
func mountsAt(t testing.TB, dir string) []*mountinfo.Info {
	t.Helper()
	list, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != dir, false })
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func hello(t testing.TB) *fake {
	return source(t, func(f *fake) { f.file("hello", "world") })
}

func wantHello(t testing.TB, dir string) {
	t.Helper()
	if got, err := os.ReadFile(dir + "/hello"); err != nil || string(got) != "world" {
		t.Errorf("%s/hello: %q, %v", dir, got, err)
	}
}

func TestMountTable(t *testing.T) {
	for name, want := range map[string]string{
		"": "ocifs",
		"docker.io/library/alpine:3.20@sha256:0123": "docker.io/library/alpine:3.20@sha256:0123",
		`oci:/a b,c\d#e,suid,dev:tag`:               `oci:/a b,c\d#e,suid,dev:tag`,
		"a\nb\x1b[31m\x7f":                          "a?b?[31m?",
		strings.Repeat("x", 5000):                   strings.Repeat("x", 1024),
	} {
		m := mount(t, hello(t), fs.Options{Source: name})
		list := mountsAt(t, m.dir)
		if len(list) != 1 {
			t.Fatalf("%d mounts at %s", len(list), m.dir)
		}
		i := list[0]
		if i.FSType != "fuse.ocifs" || i.Source != want {
			t.Errorf("%.30q is mounted as %q, %.30q", name, i.FSType, i.Source)
		}
		for _, o := range []string{"ro", "nosuid", "nodev"} {
			if !strings.Contains(","+i.Options+",", ","+o+",") {
				t.Errorf("%q: no %s among the options %q", name, o, i.Options)
			}
		}
		for _, o := range []string{"default_permissions", "allow_other", "user_id=0"} {
			if !strings.Contains(","+i.VFSOptions+",", ","+o+",") {
				t.Errorf("%q: no %s among the options %q", name, o, i.VFSOptions)
			}
		}
	}
}

// TestNoExec lets programs be read, and not run.
func TestNoExec(t *testing.T) {
	src := source(t, func(f *fake) { f.file("script", "#!/bin/sh\necho ran\n", mode(0o755)) })
	for noExec, want := range map[bool]string{false: "ran", true: "no"} {
		m := mount(t, src, fs.Options{NoExec: noExec})
		if got := shell(t, `"$1" 2>/dev/null || { cat "$1" >&2; echo no; }`, m.path("script")); got != want {
			t.Errorf("NoExec %t: %s, want %s", noExec, got, want)
		}
	}
}

func TestMountpoint(t *testing.T) {
	needFUSE(t)
	dir := t.TempDir()
	os.WriteFile(dir+"/file", nil, 0o644)
	os.Mkdir(dir+"/real", 0o755)
	os.Symlink("real", dir+"/link")
	os.Symlink("absent", dir+"/dangling")
	for name, want := range map[string]error{
		"absent": iofs.ErrNotExist, "file": fs.ErrNotDir, "file/x": fs.ErrNotDir, "link": fs.ErrNotDir, "link/": fs.ErrNotDir, "dangling": fs.ErrNotDir,
	} {
		s, err := fs.Mount(dir+"/"+name, hello(t), fs.Options{})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if err == nil {
			s.UnmountLazy()
			s.Wait()
		}
	}
	for _, name := range []string{"real", "real/", "link/../real", "real/./"} {
		m := mountOn(t, dir+"/"+name, hello(t), fs.Options{})
		wantHello(t, dir+"/real")
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
		m.Wait()
	}
	t.Chdir(dir)
	m := mountOn(t, "real", hello(t), fs.Options{})
	wantHello(t, "real")
	os.Mkdir("odd \n\\#,", 0o755)
	odd := mountOn(t, "odd \n\\#,", hello(t), fs.Options{})
	wantHello(t, "odd \n\\#,")
	for _, m := range []*mounted{m, odd} {
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
	}
	if _, err := fs.Attach("", fs.Options{}); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("no name at all: %v", err)
	}
}

func TestMountedAlready(t *testing.T) {
	m := mount(t, hello(t), fs.Options{Source: "first"})
	if _, err := fs.Mount(m.dir, hello(t), fs.Options{}); !errors.Is(err, fs.ErrMounted) || !strings.Contains(err.Error(), "first") {
		t.Errorf("mounting again: %v, want ErrMounted", err)
	}
	if err := unix.Mount("cover", m.dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(); !errors.Is(err, fs.ErrBusy) || !strings.Contains(err.Error(), "cover on "+m.dir) {
		t.Errorf("unmounting what is covered: %v, want ErrBusy", err)
	}
	if err := unix.Unmount(m.dir, 0); err != nil {
		t.Fatal(err)
	}
	wantHello(t, m.dir)
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
	// Inside of a mount there may be others.
	in := mount(t, source(t, func(f *fake) { f.dir("below") }), fs.Options{})
	below := mountOn(t, in.path("below"), hello(t), fs.Options{})
	wantHello(t, in.path("below"))
	if err := in.Unmount(); !errors.Is(err, fs.ErrBusy) {
		t.Errorf("unmounting below another mount: %v, want ErrBusy", err)
	}
	if err := below.Unmount(); err != nil {
		t.Error(err)
	}
}

func TestUnmount(t *testing.T) {
	m := mount(t, hello(t), fs.Options{})
	f, err := os.Open(m.path("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(); !errors.Is(err, fs.ErrBusy) {
		t.Errorf("with an open file: %v, want ErrBusy", err)
	}
	wantHello(t, m.dir)
	f.Close()
	for range 2 { // it is no error that it is done
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
		m.Wait()
	}
	if list := mountsAt(t, m.dir); len(list) != 0 {
		t.Errorf("still mounted: %v", list[0])
	}
}

// TestUnmountAgain unmounts what is unmounted, while another mount has the
// numbers that it had.
func TestUnmountAgain(t *testing.T) {
	needFUSE(t)
	for range 20 { // the kernel gives the lowest numbers that are free, if nobody else is faster
		server := mount(t, hello(t), fs.Options{})
		conn, err := fs.Attach(publicDir(t), fs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := errors.Join(server.Unmount(), conn.Unmount()); err != nil {
			t.Fatal(err)
		}
		server.Wait()
		others := []*mounted{mount(t, hello(t), fs.Options{}), mount(t, hello(t), fs.Options{})}
		if err := errors.Join(server.Unmount(), server.UnmountLazy(), conn.Unmount(), conn.UnmountLazy()); err != nil {
			t.Error(err)
		}
		for _, m := range others {
			if len(mountsAt(t, m.dir)) != 1 {
				t.Fatal("another mount is gone")
			}
			if err := m.Unmount(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestUnmountLazy takes the mount from under a reader, who reads on.
func TestUnmountLazy(t *testing.T) {
	content := noise(4 << 20)
	m := mount(t, source(t, func(f *fake) { f.file("d/f", content) }), fs.Options{})
	f, err := os.Open(m.path("d/f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := m.UnmountLazy(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(m.path("d")); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("the name still leads into the mount: %v", err)
	}
	buf := make([]byte, len(content))
	if n, err := f.ReadAt(buf, 0); err != nil || string(buf) != content {
		t.Errorf("reading on: %d bytes, %v, or other bytes", n, err)
	}
	select {
	case <-m.Done():
		t.Error("the server has ended with a file open")
	default:
	}
	f.Close()
	m.Wait()
}

// TestUnmountMoved unmounts a mount that has another name by now, and leaves
// alone what has its old one.
func TestUnmountMoved(t *testing.T) {
	needFUSE(t)
	dir := publicDir(t)
	// mount --move wants a parent that isn't shared.
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("no tmpfs:", err)
	}
	detachLater(t, dir)
	if err := unix.Mount("", dir, "", unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(dir+"/old", 0o755)
	os.Mkdir(dir+"/new", 0o755)
	m := mountOn(t, dir+"/old", hello(t), fs.Options{})
	if err := unix.Mount(dir+"/old", dir+"/new", "", unix.MS_MOVE, ""); err != nil {
		t.Fatal(err)
	}
	other := mountOn(t, dir+"/old", hello(t), fs.Options{})
	wantHello(t, dir+"/new")
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
	m.Wait()
	wantHello(t, dir+"/old")
	if list := mountsAt(t, dir+"/new"); len(list) != 0 {
		t.Error("still mounted")
	}
	if err := other.Unmount(); err != nil {
		t.Error(err)
	}
	other.Wait()
}

// TestAttachWithoutServe has the first visitor wait for Serve, and gets rid of
// a mount that nobody serves.
func TestAttachWithoutServe(t *testing.T) {
	needFUSE(t)
	dir := publicDir(t)
	c, err := fs.Attach(dir, fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	detachLater(t, dir)
	visitor := exec.Command("/bin/cat", dir+"/hello")
	var out strings.Builder
	visitor.Stdout = &out
	if err := visitor.Start(); err != nil {
		t.Fatal(err)
	}
	s, err := fs.Serve(c, hello(t), fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := visitor.Wait(); err != nil || out.String() != "world" {
		t.Errorf("the first visitor read %q, %v", out.String(), err)
	}
	if err := s.Unmount(); err != nil {
		t.Error(err)
	}
	s.Wait()

	if c, err = fs.Attach(dir, fs.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Unmount(); err != nil {
		t.Error(err)
	}
	if c, err = fs.Attach(dir, fs.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Unmount(); err != nil {
		t.Error(err)
	}
	if _, err := fs.Serve(c, hello(t), fs.Options{}); err == nil {
		t.Error("serving what is unmounted succeeded")
	}
}

// TestGoroutines holds a server to leaving none behind.
func TestGoroutines(t *testing.T) {
	src := forest(t)
	needFUSE(t)
	before := runtime.NumGoroutine()
	for range 5 {
		s, err := fs.Mount(publicDir(t), src, fs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Unmount(); err != nil {
			t.Fatal(err)
		}
		s.Wait()
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// verbServe mounts on a directory, says so, and serves for ever.
func verbServe(args []string) error {
	src, err := childSource()
	if err != nil {
		return err
	}
	s, err := fs.Mount(args[0], src, fs.Options{Source: strings.Join(args[1:], " ")})
	if err != nil {
		return err
	}
	fmt.Println("mounted")
	bufio.NewReader(os.Stdin).ReadString('\n')
	if err := s.Unmount(); err != nil {
		return err
	}
	s.Wait()
	return nil
}

// childSource is hello, without a test to fail.
func childSource() (f *fake, err error) {
	f = &fake{}
	f.file("hello", "world")
	err = f.merge()
	return f, err
}

// A server is a child that serves a mount.
type server struct {
	cmd   *exec.Cmd
	stdin interface{ Close() error }
}

// startServer waits until cmd says that it has mounted.
func startServer(t *testing.T, cmd *exec.Cmd) *server {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{cmd, stdin}
	t.Cleanup(func() { s.kill() })
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "mounted\n" {
		cmd.Wait()
		t.Fatalf("the server says %q, %v; %s", line, err, stderr.String())
	}
	return s
}

func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// stop has the server unmount and end.
func (s *server) stop() error {
	s.stdin.Close()
	return s.cmd.Wait()
}

// TestDeadMount kills servers and mounts where they had.
func TestDeadMount(t *testing.T) {
	needFUSE(t)
	dir := publicDir(t)
	detachLater(t, dir)
	s := startServer(t, child(t, "serve", dir, "the late"))
	if _, err := fs.Attach(dir, fs.Options{}); !errors.Is(err, fs.ErrMounted) {
		t.Errorf("a living mount: %v, want ErrMounted", err)
	}
	shell(t, `ls -l "$1" && cat "$1/hello"`, dir) // fills the kernel's cache
	s.kill()
	if _, err := fs.Attach(dir, fs.Options{}); !errors.Is(err, fs.ErrDead) || !strings.Contains(err.Error(), "the late") {
		t.Errorf("a dead mount: %v, want ErrDead", err)
	}
	if _, err := fs.Attach(filepath.Join(dir, "sub/dir"), fs.Options{}); !errors.Is(err, fs.ErrDead) {
		t.Errorf("in a dead mount: %v, want ErrDead", err)
	}
	if err := fs.Unmount(dir, false); err != nil {
		t.Fatal(err)
	}
	m := mountOn(t, dir, hello(t), fs.Options{})
	wantHello(t, dir)
	if list := mountsAt(t, dir); len(list) != 1 {
		t.Errorf("%d mounts there, want 1", len(list))
	}
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
	m.Wait()
}

// verbAttach tries to mount in a world without /dev/fuse.
func verbAttach(args []string) error {
	if err := unix.Mount("none", "/dev", "tmpfs", 0, ""); err != nil {
		return err
	}
	_, err := fs.Attach(args[0], fs.Options{})
	fmt.Println(errors.Is(err, fs.ErrNoFUSE), err)
	return nil
}

func TestNoFUSE(t *testing.T) {
	needFUSE(t)
	cmd := child(t, "attach", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if got := output(t, cmd); !strings.HasPrefix(got, "true ") || !strings.Contains(got, "/dev/fuse") {
		t.Errorf("without a device: %s", got)
	}
	cmd = exec.Command("setpriv", "--bounding-set", "-sys_admin", testBinary(t), t.TempDir())
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("no setpriv")
	}
	cmd.Env = append(os.Environ(), verbVariable+"=visit")
	if got, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(got), "cannot mount FUSE") {
		t.Errorf("without CAP_SYS_ADMIN: %s, %v", got, err)
	}
}

// verbVisit mounts, has others look, and unmounts, all within one process.
func verbVisit(args []string) error {
	src, err := childSource()
	if err != nil {
		return err
	}
	s, err := fs.Mount(args[0], src, fs.Options{Suid: true})
	if err != nil {
		return err
	}
	out, err := exec.Command("/bin/sh", "-ec", `id -u; cat "$0/hello"; stat -c %u "$0/hello"; ls "$0"`, args[0]).CombinedOutput()
	fmt.Println(string(out))
	if err := errors.Join(err, s.Unmount()); err != nil {
		s.UnmountLazy()
		return err
	}
	s.Wait()
	return nil
}

// TestUserNamespace mounts as root of a user namespace that is nobody outside.
func TestUserNamespace(t *testing.T) {
	needFUSE(t)
	cmd := child(t, "visit", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
	}
	if err := exec.Command("unshare", "-U", "true").Run(); err != nil {
		t.Skip("no user namespaces here")
	}
	if got := output(t, cmd); got != "0\nworld0\nhello\n" {
		t.Errorf("in a user namespace: %q", got)
	}
}

// openDevice reports whether everybody may open /dev/fuse, as on most
// machines. Elsewhere it runs the test again, in a mount namespace where that
// is so.
func openDevice(t *testing.T) bool {
	const again = "OCIFS_FS_TEST_DEVICE"
	st := lstat(t, "/dev/fuse")
	if st.Mode&0o006 == 0o006 {
		return true
	}
	if os.Getenv(again) == "" {
		cmd := exec.Command(testBinary(t), "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), again+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("in a mount namespace: %v\n%s", err, out)
		}
		return false
	}
	node := t.TempDir() + "/fuse"
	err := unix.Mknod(node, unix.S_IFCHR, int(st.Rdev))
	if err == nil {
		err = unix.Chmod(node, 0o666)
	}
	if err == nil {
		err = unix.Mount(node, "/dev/fuse", "", unix.MS_BIND, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount("/dev/fuse", unix.MNT_DETACH) })
	return true
}

// TestUnprivileged mounts through fusermount3.
func TestUnprivileged(t *testing.T) {
	needFUSE(t)
	if _, err := exec.LookPath("fusermount3"); err != nil {
		t.Skip("no fusermount3")
	}
	if !openDevice(t) {
		return
	}
	dir := publicDir(t)
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	detachLater(t, dir)
	binary := publicDir(t) + "/test"
	self, err := selfBytes()
	if err == nil {
		err = os.WriteFile(binary, self, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := `a,suid,dev,allow_other,fsname=b\,c\`
	serve := func() *server { return startServer(t, as(nobody, childAt(t, binary, "serve", dir, name))) }
	s := serve()
	list := mountsAt(t, dir)
	if len(list) != 1 || list[0].FSType != "fuse.ocifs" || list[0].Source != name {
		t.Fatalf("mounted: %+v, want source %q", list, name)
	}
	options := "," + list[0].Options + "," + list[0].VFSOptions + ","
	for _, o := range []string{"ro", "nosuid", "nodev", "default_permissions", "user_id=65534"} {
		if !strings.Contains(options, ","+o+",") {
			t.Errorf("no %s among the options %s", o, options)
		}
	}
	if strings.Contains(options, ",allow_other,") {
		t.Errorf("allow_other among the options %s", options)
	}
	cat := func() string { return output(t, as(nobody, exec.Command("/bin/cat", dir+"/hello"))) }
	if got := cat(); got != "world" {
		t.Errorf("nobody reads %q", got)
	}
	if _, err := os.ReadFile(dir + "/hello"); !errors.Is(err, iofs.ErrPermission) {
		t.Errorf("root reads nobody's mount: %v", err)
	}
	busy := as(nobody, exec.Command("/bin/sh", "-c", `cd "$0" && echo in && read x`, dir))
	in, _ := busy.StdinPipe()
	out, _ := busy.StdoutPipe()
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	bufio.NewReader(out).ReadString('\n')
	stderr := s.cmd.Stderr.(*strings.Builder)
	if err := s.stop(); err == nil || !strings.Contains(stderr.String(), fs.ErrBusy.Error()) {
		t.Errorf("unmounting while in use: %v, %q", err, stderr.String())
	}
	in.Close()
	busy.Wait()

	// That server has ended, its mount is dead now.
	if err := as(nobody, childAt(t, binary, "visit", dir)).Run(); err == nil {
		t.Error("mounting on a dead mount succeeded")
	}
	if out, err := as(nobody, exec.Command("fusermount3", "-u", dir)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := output(t, as(nobody, childAt(t, binary, "visit", dir))); !strings.Contains(got, "world") {
		t.Errorf("nobody visits its own mount: %q", got)
	}
	if list := mountsAt(t, dir); len(list) != 0 {
		t.Errorf("still mounted: %+v", list[0])
	}
}
