package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs"
)

func TestCheckMountpoint(t *testing.T) {
	dir := realDir(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.MkdirAll(in("m/below"), 0o700), os.Mkdir(in("state"), 0o700), os.MkdirAll(in("cache/v1"), 0o700), os.WriteFile(in("file"), nil, 0o600),
		os.Symlink("m", in("link")), os.Symlink("nowhere", in("broken")), os.Symlink("cache", in("cachelink")),
	); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, cache, want, err string }{
		{"m", "cache", "m", ""},
		{"link", "cache", "m", ""},
		{"m/../m/", "cache", "m", ""},
		{"nowhere", "cache", "", "does not exist"},
		{"broken", "cache", "", "does not exist"},
		{"file", "cache", "", "not a directory"},
		{"file/x", "cache", "", "not a directory"},
		{"cache", "cache", "", "holds the cache"},
		{"cachelink", "cache", "", "holds the cache"},
		{"cache/v1", "cache", "", "lies in the cache"},
		{".", "cache", "", "holds the cache"},
		{"m", "cachelink", "m", ""},
		{"cache", "cachelink/not/yet", "", "holds the cache"},
		{"m", "m", "", "holds the cache"},
		{"m", "m/below/c", "", "holds the cache"},
		{"m/below", "m/bel", "m/below", ""},
		{"state", "cache", "", "holds the state directory"},
	} {
		got, err := checkMountpoint(in(c.path), in(c.cache), in("state"), nil)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || exitCode(t.Context(), err) != exitMount {
				t.Errorf("%s, cache %s: %v, want …%s…", c.path, c.cache, err, c.err)
			}
			continue
		}
		if err != nil || got != in(c.want) {
			t.Errorf("%s, cache %s: got %s, %v", c.path, c.cache, got, err)
		}
	}
	if _, err := checkMountpoint("/proc", in("cache"), in("state"), nil); err == nil || !strings.Contains(err.Error(), "mounted there already") {
		t.Errorf("/proc: %v", err)
	}
}

// realDir is a temporary directory by its name without symbolic links.
func realDir(t *testing.T) string {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		path, dir string
		want      bool
	}{
		{"/a", "/a", true}, {"/a/b", "/a", true}, {"/ab", "/a", false}, {"/a", "/a/b", false}, {"/a", "/", true}, {"/", "/", true}, {"/", "/a", false},
	} {
		if got := within(c.path, c.dir); got != c.want {
			t.Errorf("within(%s, %s) = %t", c.path, c.dir, got)
		}
	}
}

func TestMountedPath(t *testing.T) {
	dir := realDir(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.Mkdir(in("m"), 0o700), os.Symlink("m", in("a")), os.Symlink(in("a"), in("b")), os.Symlink("loop", in("loop")), os.Symlink("/proc", in("proc"))); err != nil {
		t.Fatal(err)
	}
	table, err := fs.ReadTable()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		in("m"): in("m"), in("m/"): in("m"), in("b"): in("m"), in("a/../m"): in("m"), in("gone/x"): in("gone/x"), in("proc"): "/proc", "/proc": "/proc",
	} {
		if got, err := mountedPath(path, table); got != want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", path, got, err, want)
		}
	}
	if _, err := mountedPath(in("loop"), table); err == nil {
		t.Error("a loop of links has an end")
	}
}

func TestAbsoluteRef(t *testing.T) {
	t.Chdir("/usr")
	for in, want := range map[string]string{
		"alpine": "alpine", "docker.io/x/y:z": "docker.io/x/y:z", "docker://alpine": "docker://alpine",
		"oci:d:t": "oci:/usr/d:t", "oci:/d:t": "oci:/d:t", "oci:": "oci:", "oci-layout://d": "oci-layout:///usr/d",
		"./d:t": "/usr/d:t", "../d": "/d", "/d": "/d", "oci-archive:f.tar": "oci-archive:/usr/f.tar", "docker-archive:./f:@0": "docker-archive:/usr/f:@0",
	} {
		if got, err := absoluteRef(in); got != want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", in, got, err, want)
		}
	}
}
