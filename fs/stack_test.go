package fs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

// TestOverlay writes to an overlayfs whose lower layer is a mount.
func TestOverlay(t *testing.T) {
	src := source(t, func(f *fake) {
		f.file("etc/motd", "hello\n")
		f.file("etc/gone", "x")
		f.dir("var/empty")
		f.file("bin/tool", "#!/bin/sh\n", mode(0o755), xattr("user.a", "b"))
	})
	m := mount(t, src, fs.Options{Suid: true})
	top := t.TempDir()
	if err := unix.Mount("none", top, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("no tmpfs:", err)
	}
	detachLater(t, top)
	for _, d := range []string{"upper", "work", "merged"} {
		os.Mkdir(top+"/"+d, 0o755)
	}
	merged := top + "/merged"
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", m.dir, top, top)
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Skip("no overlayfs:", err)
	}
	detachLater(t, merged)
	shell(t, `cd "$1"; echo more >>etc/motd; rm etc/gone; chmod 700 bin/tool; mv bin/tool var/empty/; mkdir etc/new`, merged)
	if got := shell(t, `cd "$1"; cat etc/motd; ls etc bin; stat -c %a var/empty/tool`, merged); got != "hello\nmore\nbin:\n\netc:\nmotd\nnew\n700" {
		t.Errorf("the overlay shows %q", got)
	}
	if got := shell(t, `cd "$1"; cat etc/motd; ls etc bin; stat -c %a bin/tool`, m.dir); got != "hello\nbin:\ntool\n\netc:\ngone\nmotd\n755" {
		t.Errorf("the mount below shows %q", got)
	}
}

// TestIDMapped shows the mount with other owners, as runtimes do for
// containers that have a user namespace of their own.
func TestIDMapped(t *testing.T) {
	src := source(t, func(f *fake) {
		f.file("root", "root's", mode(0o600))
		f.file("user", "user's", mode(0o600), owner(1000, 1000))
	})
	m := mount(t, src, fs.Options{})
	const shift = 100000
	holder := exec.Command("/bin/cat")
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	mapping := []syscall.SysProcIDMap{{ContainerID: 0, HostID: shift, Size: 65536}}
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: mapping, GidMappings: mapping}
	if err := holder.Start(); err != nil {
		t.Skip("no user namespaces here:", err)
	}
	defer holder.Wait()
	defer stdin.Close()
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", holder.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	tree, err := unix.OpenTree(unix.AT_FDCWD, m.dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Skip("no open_tree(2):", err)
	}
	defer unix.Close(tree)
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, attr); err != nil {
		t.Skip("this kernel cannot map the owners of FUSE:", err)
	}
	dir := publicDir(t)
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		t.Fatal(err)
	}
	detachLater(t, dir)
	for name, id := range map[string]uint32{"root": 0, "user": 1000} {
		if st := lstat(t, dir+"/"+name); st.Uid != shift+id || st.Gid != shift+id {
			t.Errorf("%s belongs to %d:%d, want %d", name, st.Uid, st.Gid, shift+id)
		}
		if got := output(t, as(shift+id, exec.Command("/bin/cat", dir+"/"+name))); got != name+"'s" {
			t.Errorf("its owner reads %q from %s", got, name)
		}
		if out, err := as(id+1, exec.Command("/bin/cat", dir+"/"+name)).Output(); err == nil {
			t.Errorf("a stranger reads %q from %s", out, name)
		}
	}
}

// TestHungMount finds a mount whose server neither answers nor dies, and
// doesn't wait for it for ever.
func TestHungMount(t *testing.T) {
	needFUSE(t)
	dir := publicDir(t)
	c, err := fs.Attach(dir, fs.Options{Source: "hung"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer c.UnmountLazy()
	_, err = fs.Attach(dir, fs.Options{})
	if !errors.Is(err, fs.ErrMounted) || !strings.Contains(err.Error(), "hung") {
		t.Errorf("on a mount that hangs: %v, want ErrMounted", err)
	}
}
