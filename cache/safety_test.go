package cache

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnsafeDirectories(t *testing.T) {
	for name, x := range map[string]struct {
		prepare func(dir string) error
		want    string // in the error; "" if there is none
	}{
		"absent":  {func(d string) error { return nil }, ""},
		"private": {func(d string) error { return os.Mkdir(d, 0o700) }, ""},
		"world-readable": {func(d string) error {
			os.Mkdir(d, 0o755)
			return os.Chmod(d, 0o755)
		}, ""},
		"group-writable": {func(d string) error {
			os.Mkdir(d, 0o770)
			return os.Chmod(d, 0o770)
		}, "written to by others"},
		"world-writable": {func(d string) error {
			os.Mkdir(d, 0o707)
			return os.Chmod(d, 0o1707)
		}, "written to by others"},
		"a link": {func(d string) error {
			os.Mkdir(d+"x", 0o700)
			return os.Symlink(d+"x", d)
		}, "is a symbolic link"},
		"a link to nothing": {func(d string) error { return os.Symlink(d+"x", d) }, "is a symbolic link"},
		"a file":            {func(d string) error { return os.WriteFile(d, nil, 0o600) }, "not a directory"},
		"another's": {func(d string) error {
			os.Mkdir(d, 0o700)
			return os.Chown(d, 12345, 12345)
		}, "belongs to user 12345"},
		"v1 a link": {func(d string) error {
			os.MkdirAll(d+"x", 0o700)
			os.Mkdir(d, 0o700)
			return os.Symlink(d+"x", d+"/v1")
		}, "is a symbolic link"},
		"v1 writable": {func(d string) error {
			os.MkdirAll(d+"/v1", 0o700)
			return os.Chmod(d+"/v1", 0o770)
		}, "written to by others"},
		"v1 another's": {func(d string) error {
			os.MkdirAll(d+"/v1", 0o700)
			return os.Chown(d+"/v1", 12345, 12345)
		}, "belongs to user 12345"},
		"objects a link": {func(d string) error {
			os.MkdirAll(d+"/v1", 0o700)
			return os.Symlink("/", d+"/v1/objects")
		}, "is a symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			if os.Geteuid() != 0 && strings.Contains(name, "another's") {
				t.Skip("chown needs root")
			}
			dir := filepath.Join(t.TempDir(), "cache")
			if err := x.prepare(dir); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{dir, dir + "/"} {
				s, err := Open(path, Options{})
				if err == nil {
					s.Close()
				}
				if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
					t.Errorf("%s: %v", path, err)
				}
			}
		})
	}
	if _, err := Open(t.TempDir(), Options{Limit: -1}); err == nil {
		t.Error("negative limit")
	}
}

// Nothing in a store is for others to read, and no link in it leads out.
func TestModes(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "a/b"), uniform(4, 1000, 0)
	s := open(t, dir, 0)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"objects/o", "spaces/s", "locks/l", "tmp/t"} {
		if err := os.Symlink(outside, filepath.Join(dir, "v1", link)); err != nil {
			t.Fatal(err)
		}
	}
	filled(t, s, dir, "k", c, 0)
	if err := s.Put("o", []byte("x")); err != nil {
		t.Error(err)
	}
	sp := space(t, s, "s", c, (&maker{t: c}).fill)
	expect(t, sp, whole(c), 0, 4000)
	unlock, err := s.Lock(t.Context(), "l")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	open(t, dir, 0)
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		st, err := d.Info()
		if want := fs.FileMode(0o600); err != nil || !d.IsDir() && st.Mode().IsRegular() && st.Mode() != want {
			t.Errorf("%s: %v", path, st.Mode())
		}
		if d.IsDir() && st.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v", path, st.Mode())
		}
		return nil
	})
	if b, err := os.ReadFile(outside); err != nil || string(b) != "untouched" {
		t.Errorf("%q, %v", b, err)
	}
}

// What another version of us left stays.
func TestOtherVersions(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"v0", "v2", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "tmp/x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, 1)
	if _, err := s.Trim(t.Context(), 0); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"v0", "v2", "other"} {
		if _, err := os.Stat(filepath.Join(dir, name, "tmp/x")); err != nil {
			t.Error(err)
		}
	}
}
