package export_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/export"
	"ocifs.dev/ocifs/fs/tree"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// into copies all of s into dir.
func into(t *testing.T, dir string, c *export.Copier, items ...export.Item) error {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return c.Copy(context.Background(), root, items...)
}

// files are the paths below dir, each with its type and permissions.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	for p, s := range lt.Walk(t, dir) {
		word := p
		switch s.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			word += "/"
		case unix.S_IFLNK:
			word += "->" + s.Link
		case unix.S_IFREG:
			if s.Mode&0o111 != 0 {
				word += "*"
			}
		default:
			word += "?"
		}
		if p != "." {
			list = append(list, word)
		}
	}
	slices.Sort(list)
	return list
}

func small() []byte {
	return lt.Tar(lt.Dir("bin", lt.Mode(0o700), lt.Owner(5, 5)), lt.File("bin/tool", "#!", lt.Mode(0o4755), lt.Xattr("user.a", "b")),
		lt.File("read-only", "r", lt.Mode(0o400)), lt.Symlink("bin/sh", "/bin/tool"), lt.Hardlink("again", "read-only"), lt.Fifo("pipe"))
}

// TestCopy copies contents: what is more is left behind, and told of.
func TestCopy(t *testing.T) {
	dir := t.TempDir()
	var problems []string
	c := &export.Copier{Source: mustSource(t, small()), Problem: func(err error) error {
		problems = append(problems, err.Error())
		return nil
	}}
	if err := into(t, dir, c, export.Item{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"again", "bin/", "bin/sh->/bin/tool", "bin/tool*", "read-only"}
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, "bin/tool"), &st); err != nil || st.Mode&0o7000 != 0 || st.Uid != uint32(os.Getuid()) || st.Mode&0o600 != 0o600 {
		t.Errorf("bin/tool: %+v, %v", st, err)
	}
	if err := unix.Lstat(filepath.Join(dir, "again"), &st); err != nil || st.Nlink != 1 {
		t.Errorf("again: %d links, %v", st.Nlink, err)
	}
	if !slices.Equal(problems, []string{`"pipe": a device or a FIFO: left out`}) || c.Files != 5 {
		t.Errorf("%d files, %q", c.Files, problems)
	}
}

// TestCopyOver doesn't replace what is there, unless it is told to, and never
// a directory.
func TestCopyOver(t *testing.T) {
	s := mustSource(t, lt.Tar(lt.File("f", "new"), lt.Dir("d"), lt.File("d/x", "x"), lt.File("dir", "file")))
	dir := t.TempDir()
	for _, err := range []error{
		os.WriteFile(dir+"/f", []byte("old"), 0o644), os.Mkdir(dir+"/d", 0o755), os.WriteFile(dir+"/d/mine", nil, 0o644), os.Mkdir(dir+"/dir", 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	try := func(force bool) (problems []string) {
		c := &export.Copier{Source: s, Force: force, Problem: func(err error) error { problems = append(problems, err.Error()); return nil }}
		if err := into(t, dir, c, export.Item{}); err != nil {
			t.Fatal(err)
		}
		return problems
	}
	read := func() string { b, _ := os.ReadFile(dir + "/f"); return string(b) }
	if p := try(false); !slices.Equal(p, []string{`"dir": there is a directory of that name`, `"f": file already exists`}) || read() != "old" {
		t.Errorf("%q, f is %q", p, read())
	}
	if p := try(true); !slices.Equal(p, []string{`"dir": there is a directory of that name`}) || read() != "new" {
		t.Errorf("%q, f is %q", p, read())
	}
	if got, want := files(t, dir), []string{"d/", "d/mine", "d/x", "dir/", "f"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestCopyStays writes through no symbolic link, whoever has made it.
func TestCopyStays(t *testing.T) {
	outside := t.TempDir()
	for name, layer := range map[string][]byte{
		"a file behind a link": lt.Tar(lt.Dir("d"), lt.File("d/f", "x")),
		"a file for a link":    lt.Tar(lt.File("d", "x")),
	} {
		for _, force := range []bool{false, true} {
			dir := t.TempDir()
			if err := os.Symlink(outside, dir+"/d"); err != nil {
				t.Fatal(err)
			}
			into(t, dir, &export.Copier{Source: mustSource(t, layer), Force: force}, export.Item{})
			if got := files(t, outside); len(got) != 0 {
				t.Errorf("%s, force %v: outside is %q", name, force, got)
			}
		}
	}
	// The image's own link, and files where the link points.
	s := mustSource(t, lt.Tar(lt.Symlink("out", outside), lt.Symlink("up", "../..")))
	dir := t.TempDir()
	if err := into(t, dir, &export.Copier{Source: s}, export.Item{}); err != nil {
		t.Fatal(err)
	}
	again := mustSource(t, lt.Tar(lt.Dir("out"), lt.File("out/f", "x"), lt.Dir("up"), lt.File("up/f", "x")))
	if err := into(t, dir, &export.Copier{Source: again, Force: true}, export.Item{}); err == nil || !strings.Contains(err.Error(), "no directory") {
		t.Errorf("%v", err)
	}
	if got := files(t, outside); len(got) != 0 {
		t.Errorf("outside is %q", got)
	}
}

// TestCopyFails leaves no half of a file.
func TestCopyFails(t *testing.T) {
	s := mustSource(t, lt.Tar(lt.Dir("d"), lt.File("d/a", "a"), lt.File("d/bad", "b"), lt.File("d/c", "c")))
	s.failAt, _ = s.tree.Walk("d/bad", false)
	for _, force := range []bool{false, true} {
		dir := t.TempDir()
		if force {
			os.MkdirAll(dir+"/d", 0o755)
			os.WriteFile(dir+"/d/bad", []byte("old"), 0o644)
		}
		calls := 0
		c := &export.Copier{Source: s, Force: force, Problem: func(error) error { calls++; return nil }}
		err := into(t, dir, c, export.Item{})
		if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != `"d/bad": unexpected EOF` || calls != 0 {
			t.Errorf("%v, %d problems", err, calls)
		}
		want := []string{"d/", "d/a"}
		if force {
			want = append(want, "d/bad")
		}
		if got := files(t, dir); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	dir := t.TempDir()
	os.WriteFile(dir+"/d", nil, 0o644)
	if err := into(t, dir, &export.Copier{Source: s}, export.Item{}); err == nil || err.Error() != `"d": there is a file of that name, and no directory` {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(fs.ErrClosed)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := (&export.Copier{Source: s}).Copy(ctx, root, export.Item{}); err != fs.ErrClosed {
		t.Errorf("%v", err)
	}
}

// TestCopyArchive keeps everything that an archive of the same tree has, which
// the tests of the binary compare with what others unpack.
func TestCopyArchive(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make owners and devices")
	}
	layer := lt.Tar(
		lt.Dir("./", lt.Mode(0o711)), lt.Dir("d", lt.Mode(0o2500), lt.Owner(7, 8)), lt.File("d/f", "F", lt.Mode(0o400)),
		lt.File("suid", "s", lt.Mode(0o6711), lt.Owner(3, 4), lt.Xattr("user.a", "b")), lt.Symlink("link", "nowhere", lt.Owner(9, 9)),
		lt.Hardlink("d/link2", "link"), lt.Hardlink("a", "suid"), lt.Fifo("pipe", lt.Owner(1, 1)), lt.Char("null", 1, 3, lt.Mode(0o666)),
		lt.Sparse(lt.SparseV1, "sparse", 64<<20, []lt.Run{{Off: 32 << 20, Data: "island"}}),
	)
	s := mustSource(t, layer)
	dir := t.TempDir()
	if err := into(t, dir, &export.Copier{Source: s, Archive: true}, export.Item{}); err != nil {
		t.Fatal(err)
	}
	got := lt.Walk(t, dir)
	for p, n := range s.tree.All(tree.Root) {
		if p == "" {
			p = "."
		}
		g, a := got[p], s.tree.Attr(n)
		size, links := a.Size, uint64(a.Nlink)
		if s.tree.IsDir(n) {
			size, links = 0, 0
		}
		if g.Mode != a.Mode || g.UID != a.UID || g.GID != a.GID || g.Sec != a.Sec || g.Nsec != int64(a.Nsec) ||
			g.Size != size || g.Nlink != links || g.Link != s.tree.Readlink(n) || g.Major != a.Major || g.Minor != a.Minor || len(g.Xattrs) != len(s.tree.Xattrs(n)) {
			t.Errorf("%s is %+v, should be %+v", p, g, a)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(dir+"/sparse", &st); err != nil || st.Blocks > 2048 {
		t.Errorf("the sparse file takes %d blocks, %v", st.Blocks, err)
	}
}
