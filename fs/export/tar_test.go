package export_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"ocifs.dev/ocifs/fs/export"
	"ocifs.dev/ocifs/fs/tree"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// everything is a layer with what an archive can hold.
func everything() []byte {
	return lt.Tar(
		lt.Dir("./", lt.Mode(0o711)), lt.Dir("a", lt.Mode(0o2750), lt.Owner(1000, 1000)), lt.File("a/file", "content"),
		lt.File("a.txt", strings.Repeat("x", 512)), lt.File("a/empty", ""),
		lt.File("suid", "s", lt.Mode(0o4755), lt.Xattr("security.capability", "\x01\x00\x02"), lt.Xattr("user.a", "1\n2"), lt.Xattr("user.z", "")),
		lt.File("link1", "linked"), lt.Hardlink("link2", "link1"), lt.Symlink("sym", "../../etc/passwd"), lt.Hardlink("symlink2", "sym"),
		lt.Char("null", 1, 3), lt.Block("sda", 4095, 1048575), lt.Fifo("fifo"), lt.Hardlink("fifo2", "fifo"),
		lt.File("nano", "n", lt.ModTime(time.Unix(1700000000, 123456789))), lt.File("before", "b", lt.ModTime(time.Unix(-2, 500000000))),
		lt.File("justbefore", "b", lt.ModTime(time.Unix(-1, 999999999))), lt.File("epoch", "", lt.ModTime(time.Unix(0, 0))),
		lt.File("far", "f", lt.ModTime(time.Unix(1<<34, 1))), lt.File("owner", "o", lt.Owner(math.MaxUint32, 1<<21)),
		lt.File("odd/new\nline", "n"), lt.File("odd/\xff\xfe", "bytes"), lt.File("odd/日本", "utf-8"), lt.Symlink("odd/to", "\xff"),
		lt.File("odd/"+strings.Repeat("l", 255), "long"), lt.Symlink("odd/tolong", strings.Repeat("t/", 200)),
		lt.File(strings.Repeat("d", 150)+"/"+strings.Repeat("e", 99), "in two parts"), lt.File(strings.Repeat("d/", 1000)+"deep", "deep"),
		lt.Sparse(lt.SparseV1, "sparse", 3<<20, []lt.Run{{Off: 1 << 20, Data: "island"}, {Off: 3<<20 - 4, Data: "end."}}),
		lt.Sparse(lt.SparseV1, "a/sparse", 1<<40, []lt.Run{{Off: 0, Data: "begin"}}),
		lt.Sparse(lt.SparseV1, "hole", 5, nil), lt.Sparse(lt.SparseV1, strings.Repeat("h", 200)+"日", 1<<30, []lt.Run{{Off: 1 << 20, Data: "x"}}),
	)
}

func archive(t testing.TB, s *source, items ...export.Item) []byte {
	t.Helper()
	if items == nil {
		items = []export.Item{{}}
	}
	var b bytes.Buffer
	if err := export.Tar(context.Background(), &b, s, items...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sameTrees compares two images line by line.
func sameTrees(t *testing.T, want, got *source) {
	t.Helper()
	w, g := want.tell(), got.tell()
	for _, l := range w {
		if !slices.Contains(g, l) {
			t.Errorf("missing: %.500s", l)
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) {
			t.Errorf("too many: %.500s", l)
		}
	}
}

// TestTar reads an archive back as a layer: nothing is lost.
func TestTar(t *testing.T) {
	s := mustSource(t, everything(), lt.Tar(lt.Whiteout("a/empty"), lt.File("a/file", "replaced")))
	b := archive(t, s)
	back := mustSource(t, b)
	sameTrees(t, s, back)
	if again := archive(t, back); !bytes.Equal(b, again) {
		t.Error("the same tree from another archive gives other bytes")
	}
}

// TestTarReader reads an archive with Go's package, as other tools do.
func TestTarReader(t *testing.T) {
	r := tar.NewReader(bytes.NewReader(archive(t, mustSource(t, everything()))))
	var names []string
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Name == "before" && !h.ModTime.Equal(time.Unix(-2, 500000000)) {
			t.Errorf("before 1970: %v", h.ModTime)
		}
		if h.Name == "sparse" && h.Size != 3<<20 {
			t.Errorf("a sparse file of %d bytes", h.Size)
		}
	}
	if names[0] != "./" || names[1] != "a/" || !slices.Contains(names, "odd/\xff\xfe") || !slices.Contains(names, strings.Repeat("d", 150)+"/"+strings.Repeat("e", 99)) {
		t.Errorf("%q", names)
	}
}

// TestTarPlain needs pax headers only for what has no place in plain ones.
func TestTarPlain(t *testing.T) {
	b := archive(t, mustSource(t, lt.Tar(lt.Dir("etc"), lt.File("etc/motd", "hello"), lt.Symlink("etc/issue", "motd"), lt.Char("null", 1, 3))))
	if blocks := len(b) / 512; blocks != 5+1+2 || bytes.Contains(b, []byte("Pax")) {
		t.Errorf("%d blocks:\n%q", blocks, b)
	}
}

// TestTarItems writes parts of a tree under names of their own; of a file
// whose first name is not among them, the next one has the content.
func TestTarItems(t *testing.T) {
	s := mustSource(t, lt.Tar(lt.Dir("d"), lt.File("d/f", "F"), lt.File("a", "A"), lt.Hardlink("d/b", "a"), lt.Hardlink("d/c", "a")))
	at := func(p string) tree.Node {
		n, err := s.tree.Walk(p, false)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	back := mustSource(t, archive(t, s, export.Item{Name: "x/y", Node: at("d")}, export.Item{Name: "f2", Node: at("d/f")}))
	var got []string
	for p := range back.tree.All(tree.Root) {
		got = append(got, p)
	}
	if want := []string{"", "f2", "x", "x/y", "x/y/b", "x/y/c", "x/y/f"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	b, _ := back.tree.Walk("x/y/b", false)
	c, _ := back.tree.Walk("x/y/c", false)
	if b != c || back.tree.Attr(b).Size != 1 {
		t.Errorf("the hard link is lost: %d, %d", b, c)
	}
}

// TestTarFails names the file that can't be read, and passes on what a writer
// says.
func TestTarFails(t *testing.T) {
	s := mustSource(t, lt.Tar(lt.File("good", "g"), lt.File("bad", "b")))
	s.failAt, _ = s.tree.Walk("bad", false)
	err := export.Tar(context.Background(), io.Discard, s, export.Item{})
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), `"bad": `) {
		t.Errorf("%v", err)
	}
	s.failAt = 0
	if err := export.Tar(context.Background(), full{}, s, export.Item{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(io.ErrClosedPipe)
	if err := export.Tar(ctx, io.Discard, s, export.Item{}); err != io.ErrClosedPipe {
		t.Errorf("%v", err)
	}
}

// full is a writer that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// FuzzTar exports whatever can be read as a layer, and reads it back.
func FuzzTar(f *testing.F) {
	f.Add(everything())
	f.Add(lt.Tar(lt.File("x", "y", lt.PAX("LIBARCHIVE.xattr.user.a%3Db%25", "Yw"), lt.Xattr("user.%3D", "d"))))
	f.Add(lt.Tar(lt.Sparse(lt.OldGNU, "s", 1<<20, []lt.Run{{Off: 5, Data: "five"}})))
	f.Fuzz(func(t *testing.T, layer []byte) {
		s, err := newSource(layer)
		if err != nil {
			return
		}
		b := archive(t, s)
		back, err := newSource(b)
		if err != nil {
			t.Fatal(err)
		}
		sameTrees(t, s, back)
		if !bytes.Equal(b, archive(t, back)) {
			t.Error("the same tree gives other bytes")
		}
	})
}
