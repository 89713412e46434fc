package diff_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/diff"
	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// A source is an image of uncompressed layers in memory.
type source struct {
	tree   *tree.Tree
	layers [][]byte
	reads  atomic.Int64
	fails  bool
}

type sink struct{}

func (sink) Chunk(int, int64, []byte) error { return nil }
func (sink) Window([]byte) error            { return nil }

func image(t testing.TB, layers ...[]byte) *source {
	t.Helper()
	s := &source{layers: layers}
	var tocs []*index.TOC
	for _, l := range layers {
		toc, err := index.Build(context.Background(), io.NopCloser(bytes.NewReader(l)), sink{}, index.Options{})
		if err != nil {
			t.Fatal(err)
		}
		tocs = append(tocs, toc)
	}
	var err error
	if s.tree, err = tree.Merge(tocs); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *source) Tree() *tree.Tree { return s.tree }

func (s *source) ReadAt(n tree.Node, p []byte, off int64) (int, error) {
	s.reads.Add(1)
	if s.fails {
		return 0, io.ErrNoProgress
	}
	d := s.tree.Data(n)
	layer := s.layers[d.Layer]
	if d.Extents == nil {
		return copy(p, layer[d.Off+off:d.Off+d.Size]), nil
	}
	clear(p)
	at := d.Off
	for _, x := range d.Extents {
		if from, to := max(x.Off, off), min(x.Off+x.Len, off+int64(len(p))); from < to {
			copy(p[from-off:to-off], layer[at+from-x.Off:])
		}
		at += x.Len
	}
	return len(p), nil
}

// tell is changes in words.
func tell(changes []diff.Change) string {
	var words []string
	for _, c := range changes {
		w := fmt.Sprintf("%c:%s", c.Status, c.Path)
		if c.What != 0 {
			w += "(" + strings.Join(c.What.Names(), ",") + ")"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func TestTrees(t *testing.T) {
	for _, c := range []struct {
		name, want string
		old, new   []lt.Entry
	}{
		{"nothing", "", nil, nil},
		{"the same", "", []lt.Entry{lt.Dir("d"), lt.File("d/f", "x"), lt.Symlink("l", "d")}, []lt.Entry{lt.File("d/f", "x"), lt.Symlink("l", "d"), lt.Dir("d")}},
		{"added", "A:b A:d A:d/e A:d/e/f A:z", []lt.Entry{lt.File("a", "")}, []lt.Entry{lt.File("a", ""), lt.File("b", ""), lt.Dir("d"), lt.Dir("d/e"), lt.File("d/e/f", ""), lt.File("z", "")}},
		{"deleted", "D:b D:d D:d/e", []lt.Entry{lt.File("a", ""), lt.File("b", ""), lt.Dir("d"), lt.File("d/e", "")}, []lt.Entry{lt.File("a", "")}},
		{"retyped", "T:x D:x/y A:z T:zz A:zz/w", []lt.Entry{lt.Dir("x"), lt.File("x/y", ""), lt.File("zz", "")}, []lt.Entry{lt.File("x", ""), lt.File("z", ""), lt.Dir("zz"), lt.File("zz/w", "")}},
		{"mode", "M:f(mode)", []lt.Entry{lt.File("f", "")}, []lt.Entry{lt.File("f", "", lt.Mode(0o755))}},
		{"owner", "M:d(owner) M:f(owner)", []lt.Entry{lt.File("f", ""), lt.Dir("d")}, []lt.Entry{lt.File("f", "", lt.Owner(0, 1)), lt.Dir("d", lt.Owner(1, 0))}},
		{"time", "M:f(mtime)", []lt.Entry{lt.File("f", "")}, []lt.Entry{lt.File("f", "", lt.ModTime(lt.Epoch.Add(1)))}},
		{"size", "M:f(size)", []lt.Entry{lt.File("f", "")}, []lt.Entry{lt.File("f", "x")}},
		{"content", "M:f(content)", []lt.Entry{lt.File("f", "y"), lt.File("g", "g")}, []lt.Entry{lt.File("f", "x"), lt.File("g", "g")}},
		{"target", "M:l(target)", []lt.Entry{lt.Symlink("l", "x")}, []lt.Entry{lt.Symlink("l", "y")}},
		{"device", "M:n(device)", []lt.Entry{lt.Char("n", 1, 3)}, []lt.Entry{lt.Char("n", 1, 5)}},
		{"device types", "T:n", []lt.Entry{lt.Char("n", 1, 3)}, []lt.Entry{lt.Block("n", 1, 3)}},
		{"xattrs", "M:f(xattr)", []lt.Entry{lt.File("f", "", lt.Xattr("user.a", "b"))}, []lt.Entry{lt.File("f", "", lt.Xattr("user.a", "c"))}},
		{"links", "M:a(links) A:b", []lt.Entry{lt.File("a", "x")}, []lt.Entry{lt.File("a", "x"), lt.Hardlink("b", "a")}},
		{"all at once", "M:f(mode,owner,mtime,content,xattr)", []lt.Entry{lt.File("f", "x")},
			[]lt.Entry{lt.File("f", "y", lt.Mode(0o600), lt.Owner(1, 1), lt.ModTime(lt.Epoch.Add(1)), lt.Xattr("user.a", "b"))}},
		{"holes", "", []lt.Entry{lt.Sparse(lt.SparseV1, "s", 1<<40, []lt.Run{{Off: 1 << 39, Data: "x\x00\x00"}})}, []lt.Entry{lt.Sparse(lt.SparseV1, "s", 1<<40, []lt.Run{{Off: 5, Data: "\x00"}, {Off: 1 << 39, Data: "x"}})}},
		{"in holes", "M:s(content)", []lt.Entry{lt.Sparse(lt.SparseV1, "s", 1<<40, nil)}, []lt.Entry{lt.Sparse(lt.SparseV1, "s", 1<<40, []lt.Run{{Off: 1 << 39, Data: "x"}})}},
		{"a large file", "M:f(content)", []lt.Entry{lt.File("f", strings.Repeat("a", 600<<10)+"x")}, []lt.Entry{lt.File("f", strings.Repeat("a", 600<<10)+"y")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, new := image(t, lt.Tar(c.old...)), image(t, lt.Tar(c.new...))
			got, err := diff.Trees(context.Background(), old, new, tree.Root, tree.Root, diff.Options{})
			if err != nil || tell(got) != c.want {
				t.Errorf("%s, %v; want %s", tell(got), err, c.want)
			}
		})
	}
}

// TestTreesRead reads only what nothing else decides, and passes over what
// doesn't matter.
func TestTreesRead(t *testing.T) {
	files := func(content string) []byte {
		return lt.Tar(lt.File("a", content), lt.Hardlink("b", "a"), lt.File("c", "c", lt.ModTime(lt.Epoch.Add(5))))
	}
	for _, c := range []struct {
		name, want string
		old, new   []byte
		o          diff.Options
		reads      int64
	}{
		{"hard links once", "M:a(content) M:b(content)", files("x"), files("y"), diff.Options{}, 2},
		{"content ignored", "", files("x"), files("y"), diff.Options{Ignore: diff.Content}, 0},
		{"known to be the same", "", files("x"), files("y"), diff.Options{Same: func(_, _ tree.Node) (bool, bool) { return true, true }}, 0},
		{"known to differ", "M:a(content) M:b(content) M:c(content)", files("x"), files("y"), diff.Options{Same: func(_, _ tree.Node) (bool, bool) { return false, true }}, 0},
		{"not known", "M:a(content) M:b(content)", files("x"), files("y"), diff.Options{Same: func(_, _ tree.Node) (bool, bool) { return false, false }}, 2},
		{"other sizes", "M:a(size) M:b(size)", files("x"), files("yy"), diff.Options{}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, new := image(t, c.old), image(t, c.new)
			got, err := diff.Trees(context.Background(), old, new, tree.Root, tree.Root, c.o)
			if err != nil || tell(got) != c.want || old.reads.Load() != c.reads || new.reads.Load() != c.reads {
				t.Errorf("%s, %v, %d and %d reads; want %s", tell(got), err, old.reads.Load(), new.reads.Load(), c.want)
			}
		})
	}
	old, new := image(t, files("x")), image(t, files("y"))
	new.fails = true
	if _, err := diff.Trees(context.Background(), old, new, tree.Root, tree.Root, diff.Options{}); !errors.Is(err, io.ErrNoProgress) || !strings.HasPrefix(err.Error(), `"`) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(io.ErrClosedPipe)
	if _, err := diff.Trees(ctx, old, old, tree.Root, tree.Root, diff.Options{}); err != io.ErrClosedPipe {
		t.Errorf("%v", err)
	}
}

func TestParseAspects(t *testing.T) {
	a, err := diff.ParseAspects("mtime,owner")
	if err != nil || a != diff.MTime|diff.Owner || !slices.Equal(a.Names(), []string{"owner", "mtime"}) {
		t.Errorf("%v, %v", a.Names(), err)
	}
	for _, bad := range []string{"", "time", "mtime,,owner", "mtime, owner"} {
		if _, err := diff.ParseAspects(bad); err == nil {
			t.Errorf("%q is none", bad)
		}
	}
}

// TestDir compares an image with the directory it was unpacked to, and with
// what became of that.
func TestDir(t *testing.T) {
	dir := t.TempDir()
	uid, gid := int64(os.Getuid()), int64(os.Getgid())
	own := lt.Owner(uid, gid)
	img := image(t, lt.Tar(lt.Dir("d", own), lt.File("d/f", "content", own), lt.File("x", "x", own), lt.Hardlink("y", "x"), lt.Symlink("l", "d", own),
		lt.Sparse(lt.SparseV1, "s", 64<<20, []lt.Run{{Off: 1 << 20, Data: strings.Repeat("z", 4096)}}, own), lt.Fifo("p", own)))
	at := func(name string) string { return filepath.Join(dir, name) }
	s, err := os.Create(at("s"))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Mkdir(at("d"), 0o755), os.WriteFile(at("d/f"), []byte("content"), 0o644), os.WriteFile(at("x"), []byte("x"), 0o644),
		os.Link(at("x"), at("y")), os.Symlink("d", at("l")), s.Truncate(64 << 20), unix.Mkfifo(at("p"), 0o644), os.Chmod(at("p"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.WriteAt([]byte(strings.Repeat("z", 4096)), 1<<20); err != nil {
		t.Fatal(err)
	}
	s.Close()
	compare := func() string {
		t.Helper()
		d, err := diff.ReadDir(context.Background(), dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := diff.Trees(context.Background(), img, d, tree.Root, tree.Root, diff.Options{Ignore: diff.MTime | diff.Mode | diff.Owner})
		if err != nil {
			t.Fatal(err)
		}
		return tell(got)
	}
	if got := compare(); got != "" {
		t.Errorf("%s", got)
	}
	for _, err := range []error{
		os.WriteFile(at("d/f"), []byte("CONTENT"), 0o644), os.Remove(at("y")), os.WriteFile(at("new"), nil, 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := compare(); got != "M:d/f(content) A:new M:x(links) D:y" {
		t.Errorf("%s", got)
	}
	if err := os.WriteFile(at(".wh.x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := diff.ReadDir(context.Background(), dir); err == nil || !strings.Contains(err.Error(), "hides others") {
		t.Errorf("%v", err)
	}
}
