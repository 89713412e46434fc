package tree_test

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

func merge(t testing.TB, layers ...layer) *tree.Tree {
	t.Helper()
	m, err := tree.Merge(pile(layers...).tocs)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWalk(t *testing.T) {
	m := merge(t, layer{
		dir("d"), file("d/f", "F"), dir("d/sub"), symlink("d/up", ".."), symlink("link", "d"), symlink("slash", "d/"),
		symlink("abs", "/d/sub"), symlink("out", "../../../d"), symlink("file", "d/f"), symlink("fileslash", "d/f/"),
		symlink("loop", "loop"), symlink("a", "b"), symlink("b", "a"), symlink("gone", "no/where"), symlink("root", "/"),
		symlink("d/sub/deep", "../../link/../d//./f"),
	})
	tests := []struct {
		path   string
		follow bool
		want   string // the path of what is found, or an errno's text
	}{
		{"", true, ""}, {"/", true, ""}, {".", true, ""}, {"..", true, ""}, {"../../..", true, ""}, {"//", true, ""},
		{"d", false, "d"}, {"/d", false, "d"}, {"d/", false, "d"}, {"d/.", false, "d"}, {"d//sub", false, "d/sub"},
		{"d/sub/..", false, "d"}, {"d/sub/../../../d/f", false, "d/f"},
		{"link", false, "link"}, {"link", true, "d"}, {"link/", false, "d"}, {"link/.", false, "d"}, {"link/f", false, "d/f"},
		{"slash", true, "d"}, {"slash/f", false, "d/f"}, {"abs", true, "d/sub"}, {"abs/..", true, "d"}, {"out/f", false, "d/f"},
		{"root/d/up/link/up", true, ""}, {"root", true, ""}, {"d/up", false, "d/up"}, {"d/up/d/up", true, ""},
		{"file", true, "d/f"}, {"file", false, "file"}, {"d/sub/deep", true, "d/f"}, {"gone", false, "gone"}, {"loop", false, "loop"},
		{"no", true, "no such file or directory"}, {"d/no/x", true, "no such file or directory"}, {"gone", true, "no such file or directory"},
		{"d/f/", false, "not a directory"}, {"d/f/.", false, "not a directory"}, {"d/f/x", false, "not a directory"},
		{"d/f/..", false, "not a directory"}, {"file/", false, "not a directory"}, {"fileslash", true, "not a directory"},
		{"loop", true, "too many levels of symbolic links"}, {"a/x", false, "too many levels of symbolic links"},
		{strings.Repeat("n", 256), true, "file name too long"}, {strings.Repeat("n", 255), true, "no such file or directory"},
		{strings.Repeat("link/up/", 20) + "d", true, "d"}, {strings.Repeat("link/up/", 21) + "d", true, "too many levels of symbolic links"},
	}
	for _, tt := range tests {
		n, err := m.Walk(tt.path, tt.follow)
		got := m.Path(n)
		var e *fs.PathError
		if errors.As(err, &e) {
			got = e.Err.Error()
			if e.Path != tt.path || errors.Is(err, fs.ErrNotExist) != (e.Err == syscall.ENOENT) {
				t.Errorf("%q: error %v", tt.path, err)
			}
		}
		if got != tt.want {
			t.Errorf("%q, %v: got %q, want %q", tt.path, tt.follow, got, tt.want)
		}
	}
}

func TestLookup(t *testing.T) {
	l := layer{dir("empty"), dir("big")}
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range r.Perm(1000) {
		l = append(l, file("big/"+strings.Repeat("x", n%7)+string(rune('a'+n%26))+strings.Repeat("y", n/26), "C"))
	}
	m := merge(t, l)
	check(t, m)
	big, _ := m.Lookup(tree.Root, "big")
	empty, _ := m.Lookup(tree.Root, "empty")
	for dir, names := range map[tree.Node][]string{
		big:       {"", ".", "..", "x", "zzzz", "a\x00", "\xff"},
		empty:     {"", "a", "."},
		tree.Root: {"bi", "bigg", "emptx", "emptyy", "\x00", "\xff"},
	} {
		for _, name := range names {
			if n, ok := m.Lookup(dir, name); ok {
				t.Errorf("%q in %s gives node %d", name, m.Path(dir), n)
			}
		}
	}
}

func TestDirentsOfFile(t *testing.T) {
	m := merge(t, base)
	n, err := m.Walk("keep", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Lookup(n, "f"); ok {
		t.Error("lookup in a file finds something")
	}
	defer func() {
		if recover() == nil {
			t.Error("Dirents of a file gives something")
		}
	}()
	m.Dirents(n)
}

// numbers maps the first path of each node to its number.
func numbers(m *tree.Tree) map[string]tree.Node {
	list := map[string]tree.Node{}
	for n := tree.Root; int(n) < m.Len(); n++ {
		list[m.Path(n)] = n
	}
	return list
}

// TestNumbers merges one tree out of different layers.
func TestNumbers(t *testing.T) {
	want := numbers(merge(t, base))
	if want[""] != 0 || want["d"] != 1 || want["empty"] != 2 || want["hl1"] != 3 || want["keep"] != 4 || want["link"] != 5 ||
		want["d/f"] != 6 || want["d/g"] != 7 || want["d/sub"] != 8 || want["d/sub/h"] != 9 || len(want) != 10 {
		t.Errorf("numbers are %v", want)
	}
	if tree.Node(7).Inode() != 8 {
		t.Errorf("inode number of node 7 is %d", tree.Node(7).Inode())
	}
	reversed := slices.Clone(base)
	slices.Reverse(reversed)
	for name, layers := range map[string][]layer{
		"reversed":     {reversed},
		"twice":        {base, base},
		"in pieces":    {base[:4], {file("x", "X")}, base[4:], {wh("x")}},
		"after others": {{dir("a"), file("a/b", "B"), file("d", "D")}, append(layer{entry(".wh..wh..opq", index.ModeRegular, nil)}, base...)},
	} {
		if got := numbers(merge(t, layers...)); !maps.Equal(got, want) {
			t.Errorf("%s: numbers are %v, want %v", name, got, want)
		}
	}
}

func TestXattrs(t *testing.T) {
	m := merge(t, base)
	if m.HasXattrs() || m.Xattrs(tree.Root) != nil {
		t.Error("a tree without extended attributes has some")
	}
	if merge(t, layer{file("x", "X", xattr("trusted.a", "1"))}).HasXattrs() {
		t.Error("a tree with hidden extended attributes has some")
	}
	long := strings.Repeat("v", 1<<16)
	m = merge(t, layer{file("a", "A", xattr("user.a", long), xattr("user.b", "")), file("b", "B"), file("c", "C", xattr("user.a", long), xattr("user.b", ""))})
	want := []index.Xattr{{Name: "user.a", Value: long}, {Name: "user.b"}}
	for _, name := range []string{"a", "c"} {
		n, _ := m.Lookup(tree.Root, name)
		if got := m.Xattrs(n); !m.HasXattrs() || !slices.Equal(got, want) {
			t.Errorf("%s has %d extended attributes", name, len(got))
		}
	}
}

// TestXattrsByType has attributes that the kernel allows some types of files
// only.
func TestXattrsByType(t *testing.T) {
	all := []option{xattr("security.a", "1"), xattr("system.posix_acl_access", "2"), xattr("system.posix_acl_default", "3"), xattr("user.a", "4")}
	m := merge(t, layer{file("f", "F", all...), dir("d", all...), symlink("l", "f", all...), entry("p", index.ModeFIFO, all), entry("c", index.ModeChar, all)})
	for name, want := range map[string]string{"f": "124", "d": "1234", "l": "1", "p": "12", "c": "12"} {
		n, _ := m.Lookup(tree.Root, name)
		got := ""
		for _, x := range m.Xattrs(n) {
			got += x.Value
		}
		if got != want {
			t.Errorf("%s has the attributes %s, want %s", name, got, want)
		}
	}
	if m := merge(t, layer{symlink("l", "f", xattr("user.a", "1"))}); m.HasXattrs() {
		t.Error("a symbolic link with a user's attribute makes a tree with attributes")
	}
}

func TestData(t *testing.T) {
	m := merge(t, layer{file("a", "A", size(100)), file("b", "B", size(50), data(index.Extent{Off: 10, Len: 5})), file("c", "C", size(50), data()), file("d", "", size(0)), dir("e")},
		layer{file("f", "F", size(7))})
	for name, want := range map[string]tree.Data{
		"a": {Off: 512, Size: 100},
		"b": {Off: 512 + 100 + 512, Size: 50, Extents: []index.Extent{{Off: 10, Len: 5}}},
		"d": {},
		"e": {},
		"f": {Layer: 1, Off: 512, Size: 7},
	} {
		n, _ := m.Lookup(tree.Root, name)
		got := m.Data(n)
		if got.Layer != want.Layer || got.Off != want.Off || got.Size != want.Size || !slices.Equal(got.Extents, want.Extents) || (got.Extents == nil) != (want.Extents == nil) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	n, _ := m.Lookup(tree.Root, "c")
	if d := m.Data(n); d.Extents == nil || len(d.Extents) != 0 || d.Size != 50 {
		t.Errorf("a file that is one hole: %+v", d)
	}
	if files, bytes := m.Usage(); files != 7 || bytes != 100+5+7 {
		t.Errorf("usage is %d files, %d bytes", files, bytes)
	}
}

// TestUsageOverflow has files that together are longer than any number.
func TestUsageOverflow(t *testing.T) {
	huge := func(name string) layer { return layer{file(name, "", size(1<<62))} }
	m := merge(t, huge("a"), huge("b"), huge("c"), huge("d"), huge("e"))
	if _, bytes := m.Usage(); bytes != 1<<64-1 {
		t.Errorf("usage is %d bytes", bytes)
	}
}

// TestConcurrent reads a tree from several goroutines, for the race detector.
func TestConcurrent(t *testing.T) {
	s := pile(base, layer{file("x", "X", xattr("user.a", "1")), file("s", "S", size(9), data(index.Extent{Off: 1, Len: 2}))})
	m, err := tree.Merge(s.tocs)
	if err != nil {
		t.Fatal(err)
	}
	want := words(m, s.contents)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := invariants(m); err != nil {
				t.Error(err)
			}
			if got := words(m, s.contents); !slices.Equal(got, want) {
				t.Error(changes(want, got))
			}
			if n, err := m.Walk("link/sub/h", true); err != nil || m.Path(n) != "d/sub/h" {
				t.Error(n, err)
			}
		})
	}
	wg.Wait()
}
