package fs_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

// netBind is security.capability for cap_net_bind_service=ep: revision 2 with
// the effective bit, then two pairs of permitted and inheritable bits.
const netBind = "\x01\x00\x00\x02" + "\x00\x04\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

func TestXattrs(t *testing.T) {
	large := strings.Repeat("v", 60000)
	src := source(t, func(f *fake) {
		f.file("f", "x", xattr("security.capability", netBind), xattr("user.a", "value"), xattr("user.empty", ""), xattr("user.large", large))
		f.dir("d", xattr("user.d", "of a directory"))
		f.file("none", "x")
		f.symlink("link", "f", xattr("security.a", "1"), xattr("user.a", "2"))
	})
	m := mount(t, src, fs.Options{})
	want := map[string]string{"security.capability": netBind, "user.a": "value", "user.empty": "", "user.large": large}

	buf := make([]byte, 1<<16)
	for name, value := range want {
		size, err := unix.Lgetxattr(m.path("f"), name, nil)
		if err != nil || size != len(value) {
			t.Errorf("%s: size %d, %v; want %d", name, size, err, len(value))
		}
		n, err := unix.Lgetxattr(m.path("f"), name, buf)
		if err != nil || string(buf[:n]) != value {
			t.Errorf("%s: %d bytes, %v; want %d", name, n, err, len(value))
		}
		if len(value) > 0 {
			if n, err := unix.Lgetxattr(m.path("f"), name, buf[:len(value)-1]); len(value) > 1 && err != unix.ERANGE {
				t.Errorf("%s with too little room: %d, %v", name, n, err)
			}
		}
	}
	list := "security.capability\x00user.a\x00user.empty\x00user.large\x00"
	if size, err := unix.Llistxattr(m.path("f"), nil); err != nil || size != len(list) {
		t.Errorf("list: size %d, %v; want %d", size, err, len(list))
	}
	n, err := unix.Llistxattr(m.path("f"), buf)
	names := strings.SplitAfter(string(buf[:max(n, 0)]), "\x00")
	slices.Sort(names)
	if err != nil || strings.Join(names, "") != list {
		t.Errorf("list: %q, %v", names, err)
	}
	if n, err := unix.Llistxattr(m.path("f"), buf[:5]); err != unix.ERANGE {
		t.Errorf("list with too little room: %d, %v", n, err)
	}
	if n, err := unix.Lgetxattr(m.path("d"), "user.d", buf); err != nil || string(buf[:n]) != "of a directory" {
		t.Errorf("of a directory: %d, %v", n, err)
	}
	if n, err := unix.Lgetxattr(m.path("f"), "user.absent", buf); err != unix.ENODATA {
		t.Errorf("absent: %d, %v", n, err)
	}
	if n, err := unix.Lgetxattr(m.path("none"), "user.a", buf); err != unix.ENODATA {
		t.Errorf("file without any: %d, %v", n, err)
	}
	if n, err := unix.Llistxattr(m.path("none"), buf); err != nil || n != 0 {
		t.Errorf("list of a file without any: %d, %v", n, err)
	}
	// The kernel answers for a user's attributes of a symbolic link: it has none.
	if n, err := unix.Llistxattr(m.path("link"), buf); err != nil || string(buf[:n]) != "security.a\x00" {
		t.Errorf("list of a symbolic link: %q, %v", buf[:max(n, 0)], err)
	}
	if n, err := unix.Lgetxattr(m.path("link"), "security.a", buf); err != nil || string(buf[:n]) != "1" {
		t.Errorf("of a symbolic link: %d, %v", n, err)
	}
	if n, err := unix.Lgetxattr(m.path("link"), "user.a", buf); err != unix.ENODATA {
		t.Errorf("a user's of a symbolic link: %d, %v", n, err)
	}
}

// TestNoXattrs asks a tree without any attribute: the first get is the last
// that reaches the view, and lists are empty.
func TestNoXattrs(t *testing.T) {
	m := mount(t, source(t, func(f *fake) { f.file("f", "x") }), fs.Options{})
	buf := make([]byte, 100)
	for range 3 {
		if n, err := unix.Lgetxattr(m.path("f"), "user.a", buf); err != unix.ENOTSUP {
			t.Errorf("get: %d, %v; want ENOTSUP", n, err)
		}
		if n, err := unix.Llistxattr(m.path("f"), buf); err != nil || n != 0 {
			t.Errorf("list: %d, %v", n, err)
		}
	}
	if r := m.Stats().Requests; r["getxattr"] != 1 {
		t.Errorf("requests: %v", r)
	}
}
