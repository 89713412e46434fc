package bundle

import (
	"errors"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
)

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:100::/home/alice:\nnowhere:x:7:7:::\n"
	group  = "root:x:0:\nusers:x:100:\nwheel:x:10:alice,bob\nextra:x:2000:bob,alice\n"
)

// TestUser goes through the forms that config.md has for User.
func TestUser(t *testing.T) {
	img := open(t, config(ocispec.ImageConfig{Cmd: []string{"x"}, User: "alice"}), lt.File("etc/passwd", passwd), lt.File("etc/group", group))
	for _, c := range []struct {
		who      string
		uid, gid uint32
		groups   []uint32
		home     string
		err      error
	}{
		{"", 1000, 100, []uint32{10, 2000}, "/home/alice", nil}, // as the image says
		{"root", 0, 0, nil, "/root", nil},
		{"0", 0, 0, nil, "/root", nil},
		{"1000", 1000, 100, []uint32{10, 2000}, "/home/alice", nil},
		{"alice:wheel", 1000, 10, nil, "/home/alice", nil},
		{"alice:77", 1000, 77, nil, "/home/alice", nil},
		{"4711", 4711, 0, nil, "/", nil},
		{"4711:wheel", 4711, 10, nil, "/", nil},
		{"4711:4712", 4711, 4712, nil, "/", nil},
		{"nowhere", 7, 7, nil, "/", nil},
		{"mallory", 0, 0, nil, "", ErrNoUser},
		{"alice:nobody", 0, 0, nil, "", ErrNoUser},
	} {
		s, err := New(img, Options{User: c.who})
		if !errors.Is(err, c.err) {
			t.Errorf("%q: %v, want %v", c.who, err, c.err)
		}
		if err != nil {
			continue
		}
		u := s.Process.User
		if u.UID != c.uid || u.GID != c.gid || !slices.Equal(u.AdditionalGids, c.groups) || !slices.Contains(s.Process.Env, "HOME="+c.home) {
			t.Errorf("%q: %+v, %q", c.who, u, s.Process.Env)
		}
		if caps := s.Process.Capabilities; (len(caps.Effective) > 0) != (c.uid == 0) || slices.Contains(caps.Bounding, "CAP_MKNOD") {
			t.Errorf("%q: capabilities %+v", c.who, caps)
		}
	}
	for _, who := range []string{"-1", "4294967296", "99999999999999999999"} {
		if s, err := New(img, Options{User: who}); err == nil {
			t.Errorf("%q: %+v", who, s.Process.User)
		}
	}
}

// TestIDs looks names up, and takes numbers that nobody has a name for.
func TestIDs(t *testing.T) {
	img := open(t, config(ocispec.ImageConfig{}), lt.File("etc/passwd", passwd), lt.File("etc/group", group))
	for _, c := range []struct {
		name       string
		user       uint32
		userErr    error
		group      uint32
		groupError error
	}{
		{"root", 0, nil, 0, nil},
		{"alice", 1000, nil, 0, ErrNoUser},
		{"wheel", 0, ErrNoUser, 10, nil},
		{"4711", 4711, nil, 4711, nil},
		{"alice:wheel", 0, ErrNoUser, 0, ErrNoUser},
		{"", 0, ErrNoUser, 0, ErrNoUser},
		{"mallory", 0, ErrNoUser, 0, ErrNoUser},
	} {
		if u, err := UserID(img, c.name); !errors.Is(err, c.userErr) || err == nil && u != c.user {
			t.Errorf("user %q: %d, %v", c.name, u, err)
		}
		if g, err := GroupID(img, c.name); !errors.Is(err, c.groupError) || err == nil && g != c.group {
			t.Errorf("group %q: %d, %v", c.name, g, err)
		}
	}
}

// TestUserInTheTree looks accounts up where links in the image lead, and never
// where they would lead on the host.
func TestUserInTheTree(t *testing.T) {
	for name, c := range map[string]struct {
		entries []lt.Entry
		uid     uint32
	}{
		"absolute link": {[]lt.Entry{lt.Symlink("etc", "/usr/etc"), lt.File("usr/etc/passwd", "daemon:x:4242:1::/:\n")}, 4242},
		"upwards":       {[]lt.Entry{lt.Symlink("etc/passwd", "../../../../p"), lt.File("p", "daemon:x:4242:1::/:\n")}, 4242},
	} {
		s := configuration(t, open(t, config(ocispec.ImageConfig{Cmd: []string{"x"}}), c.entries...), Options{User: "daemon"})
		if s.Process.User.UID != c.uid {
			t.Errorf("%s: %+v", name, s.Process.User)
		}
	}
	for name, entries := range map[string][]lt.Entry{
		"none":           {},
		"in a file":      {lt.File("etc", "")},
		"a directory":    {lt.Dir("etc/passwd")},
		"a device":       {lt.Char("etc/passwd", 1, 5)},
		"a loop":         {lt.Symlink("etc/passwd", "passwd")},
		"of the host's":  {lt.Symlink("etc/passwd", "/proc/self/root/etc/passwd")},
		"no account":     {lt.File("etc/passwd", "\x00:::::\n:daemon:0\n")},
		"one long line":  {lt.File("etc/passwd", strings.Repeat("x", 1<<20)+"\ndaemon:x:1:1::/:\n")},
		"in a long file": {lt.File("etc/passwd", strings.Repeat("# comment\n", maxAccounts/10+1)+"daemon:x:1:1::/:\n")},
	} {
		if s, err := New(open(t, config(ocispec.ImageConfig{Cmd: []string{"x"}}), entries...), Options{User: "daemon"}); err == nil {
			t.Errorf("%s: %+v", name, s.Process.User)
		}
	}
}

func FuzzUser(f *testing.F) {
	f.Add("alice", passwd, group)
	f.Add("alice:wheel", passwd, group)
	f.Add("12:13", "::::::", ":::")
	f.Add("", "\x00", "a:b:c:d,,\n")
	f.Fuzz(func(t *testing.T, who, passwd, group string) {
		u, home, err := lookUser(who, strings.NewReader(passwd), strings.NewReader(group), &Rootless{IDs: 100})
		if err == nil && (u.UID >= 100 || u.GID >= 100 || home == "" || slices.Max(append(u.AdditionalGids, 0)) >= 100) {
			t.Errorf("%+v, %q", u, home)
		}
	})
}
