package fs_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/index"
)

func lstat(t testing.TB, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatalf("lstat %s: %v", path, err)
	}
	return st
}

func TestAttributes(t *testing.T) {
	src := source(t, func(f *fake) {
		f.dir("", mode(0o751), owner(3, 4))
		f.dir("etc", mode(0o2750), owner(1, 2), modTime(-5, 999999999))
		f.dir("etc/a")
		f.dir("etc/b")
		f.file("etc/passwd", strings.Repeat("x", 4097), mode(0o4711), owner(4294967294, 70000), modTime(1<<33, 1))
		f.hardlink("passwd", "etc/passwd")
		f.file("empty", "", mode(0o1000), modTime(0, 0))
		f.symlink("link", "etc/passwd", owner(7, 8))
		f.node("fifo", index.ModeFIFO|0o640)
		f.node("tty", index.ModeChar|0o620, device(4095, 1048575))
		f.node("null", index.ModeChar|0o666, device(1, 3))
		f.node("disk", index.ModeBlock|0o660, device(259, 300))
		f.sparse("sparse", 1<<40, span{1 << 20, "data"}, span{1 << 30, strings.Repeat("y", 5000)})
		f.sparse("hole", 12345)
	})
	m := mount(t, src, fs.Options{})
	day := int64(1700000000)
	for _, c := range []struct {
		name         string
		mode         uint32
		nlink        uint64
		uid, gid     uint32
		size, blocks int64
		rdev         uint64
		sec, nsec    int64
	}{
		{"", unix.S_IFDIR | 0o751, 3, 3, 4, 4096, 8, 0, day, 0},
		{"etc", unix.S_IFDIR | 0o2750, 4, 1, 2, 4096, 8, 0, -5, 999999999},
		{"etc/a", unix.S_IFDIR | 0o755, 2, 0, 0, 4096, 8, 0, day, 0},
		{"etc/passwd", unix.S_IFREG | 0o4711, 2, 4294967294, 70000, 4097, 16, 0, 1 << 33, 1},
		{"passwd", unix.S_IFREG | 0o4711, 2, 4294967294, 70000, 4097, 16, 0, 1 << 33, 1},
		{"empty", unix.S_IFREG | 0o1000, 1, 0, 0, 0, 0, 0, 0, 0},
		{"link", unix.S_IFLNK | 0o777, 1, 7, 8, 10, 0, 0, day, 0},
		{"fifo", unix.S_IFIFO | 0o640, 1, 0, 0, 0, 0, 0, day, 0},
		{"tty", unix.S_IFCHR | 0o620, 1, 0, 0, 0, 0, unix.Mkdev(4095, 1048575), day, 0},
		{"null", unix.S_IFCHR | 0o666, 1, 0, 0, 0, 0, unix.Mkdev(1, 3), day, 0},
		{"disk", unix.S_IFBLK | 0o660, 1, 0, 0, 0, 0, unix.Mkdev(259, 300), day, 0},
		{"sparse", unix.S_IFREG | 0o644, 1, 0, 0, 1 << 40, 16, 0, day, 0},
		{"hole", unix.S_IFREG | 0o644, 1, 0, 0, 12345, 0, 0, day, 0},
	} {
		st := lstat(t, m.path(c.name))
		if st.Mode != c.mode || uint64(st.Nlink) != c.nlink || st.Uid != c.uid || st.Gid != c.gid {
			t.Errorf("%q: mode %o nlink %d owner %d:%d; want %o, %d, %d:%d",
				c.name, st.Mode, st.Nlink, st.Uid, st.Gid, c.mode, c.nlink, c.uid, c.gid)
		}
		if st.Size != c.size || st.Blocks != c.blocks || st.Blksize != 4096 || uint64(st.Rdev) != c.rdev {
			t.Errorf("%q: size %d blocks %d blksize %d rdev %#x; want %d, %d, 4096, %#x",
				c.name, st.Size, st.Blocks, st.Blksize, st.Rdev, c.size, c.blocks, c.rdev)
		}
		for _, tim := range []unix.Timespec{st.Mtim, st.Atim, st.Ctim} {
			if tim.Sec != c.sec || tim.Nsec != c.nsec {
				t.Errorf("%q: time %d.%09d, want %d.%09d", c.name, tim.Sec, tim.Nsec, c.sec, c.nsec)
			}
		}
	}
}

// TestInodes holds inode numbers to being positions in the tree, the same by
// every way to learn them and on every mount.
func TestInodes(t *testing.T) {
	src := source(t, func(f *fake) {
		f.file("b/c/d", "1")
		f.file("a", "2")
		f.hardlink("b/a", "a")
	})
	m, m2 := mount(t, src, fs.Options{}), mount(t, src, fs.Options{})
	seen := map[uint64]string{}
	for _, name := range []string{"", "a", "b", "b/c", "b/c/d"} {
		n, err := src.tree.Walk(name, false)
		if err != nil {
			t.Fatal(err)
		}
		st, st2 := lstat(t, m.path(name)), lstat(t, m2.path(name))
		if st.Ino != uint64(n)+1 || st2.Ino != st.Ino {
			t.Errorf("%q: inode %d and %d, want %d", name, st.Ino, st2.Ino, n+1)
		}
		if other, ok := seen[st.Ino]; ok {
			t.Errorf("%q and %q have the same inode number", name, other)
		}
		seen[st.Ino] = name
	}
	if root := lstat(t, m.dir); root.Ino != 1 {
		t.Errorf("root is inode %d, want 1", root.Ino)
	}
	if a, ba := lstat(t, m.path("a")), lstat(t, m.path("b/a")); a.Ino != ba.Ino || a.Nlink != 2 {
		t.Errorf("hard links are inodes %d and %d with %d links", a.Ino, ba.Ino, a.Nlink)
	}
}

func TestSymlinks(t *testing.T) {
	long := strings.Repeat("x/", 2047) + "y" // PATH_MAX without the NUL: 4095
	targets := map[string]string{
		"plain": "etc", "absolute": "/etc/passwd", "up": "../../..", "odd": "a\nb\x1b\xff", "long": long,
	}
	src := source(t, func(f *fake) {
		for name, target := range targets {
			f.symlink(name, target)
		}
	})
	m := mount(t, src, fs.Options{})
	for range 2 { // the second time from the kernel's cache
		for name, target := range targets {
			got, err := os.Readlink(m.path(name))
			if err != nil || got != target {
				t.Errorf("%s -> %q, %v; want %q", name, got, err, target)
			}
		}
	}
	if n := m.Stats().Requests["readlink"]; n != uint64(len(targets)) {
		t.Errorf("%d readlink requests for %d links read twice", n, len(targets))
	}
}

func TestStatfs(t *testing.T) {
	src := source(t, func(f *fake) {
		f.file("a", strings.Repeat("x", 10000))
		f.file("b", "y")
	})
	m := mount(t, src, fs.Options{Suid: true})
	var st unix.Statfs_t
	if err := unix.Statfs(m.dir, &st); err != nil {
		t.Fatal(err)
	}
	files, bytes := src.tree.Usage()
	if st.Bsize != 4096 || st.Frsize != 4096 || st.Blocks != (bytes+4095)/4096 || st.Blocks == 0 {
		t.Errorf("bsize %d frsize %d blocks %d for %d bytes", st.Bsize, st.Frsize, st.Blocks, bytes)
	}
	if st.Bfree != 0 || st.Bavail != 0 || st.Ffree != 0 || st.Files != files || st.Namelen != 255 {
		t.Errorf("bfree %d bavail %d ffree %d files %d namelen %d", st.Bfree, st.Bavail, st.Ffree, st.Files, st.Namelen)
	}
	const want = unix.ST_RDONLY | unix.ST_NODEV
	if got := st.Flags & (unix.ST_RDONLY | unix.ST_NODEV | unix.ST_NOSUID); got != want {
		t.Errorf("mount flags %#x, want %#x", got, want)
	}
}

// TestSquash shows every file as ours, and leaves the rest as it is.
func TestSquash(t *testing.T) {
	src := source(t, func(f *fake) {
		f.dir("", owner(3, 4))
		f.dir("d", mode(0o2750), owner(1, 2))
		f.file("d/f", "x", mode(0o4711), owner(4294967294, 70000))
		f.symlink("link", "d/f", owner(7, 8))
	})
	m := mount(t, src, fs.Options{Squash: true})
	for name, mode := range map[string]uint32{
		"": unix.S_IFDIR | 0o755, "d": unix.S_IFDIR | 0o2750, "d/f": unix.S_IFREG | 0o4711, "link": unix.S_IFLNK | 0o777,
	} {
		if st := lstat(t, m.path(name)); st.Mode != mode || int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid() {
			t.Errorf("%q: mode %o of %d:%d", name, st.Mode, st.Uid, st.Gid)
		}
	}
}
