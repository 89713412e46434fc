package tree_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// merged is the tree of layers.
func merged(t testing.TB, layers ...layer) (*tree.Tree, stack) {
	t.Helper()
	s := pile(layers...)
	m, err := tree.Merge(s.tocs)
	if err != nil {
		t.Fatal(err)
	}
	return m, s
}

// TestGraft puts trees into one another.
func TestGraft(t *testing.T) {
	app, s := merged(t,
		layer{dir("", mode(0o700)), dir("etc", own(1, 2), xattr("user.x", "1")), file("etc/motd", "hi"), hard("etc/issue", "etc/motd"), symlink("l", "etc")},
		layer{file("big", "holes", size(100), data(index.Extent{Off: 10, Len: 5}))})
	b := tree.NewBuilder(0)
	top := dir("").Entry
	readme := file("readme", "text", at(7, 0)).Entry
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(b.Add(0, &top))
	check(b.Add(9, &readme))
	check(b.Graft("images/web", app, tree.Root, []int{4, 5}))
	etc, _ := app.Walk("etc", true)
	check(b.Graft("etc", app, etc, []int{4, 5}))
	over := dir("etc", mode(0o711)).Entry
	check(b.Add(0, &over))
	for _, name := range []string{"readme", "readme/below", "etc/motd/x", "etc"} {
		e := file(name, "again").Entry
		if err := b.Add(0, &e); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: error is %v, want fs.ErrExist", name, err)
		}
	}
	for _, name := range []string{"/a", "a/../b", "a//b", "..", "a\x00b", strings.Repeat("n", 256)} {
		e := file(name, "").Entry
		if b.Add(0, &e) == nil {
			t.Errorf("%q was added", name)
		}
	}
	m, err := b.Tree()
	check(err)
	if err := invariants(m); err != nil {
		t.Error(err)
	}
	contents := map[place]string{{9, 0}: "text"}
	for p, c := range s.contents {
		contents[place{p.layer + 4, p.off}] = c
	}
	want := []string{
		"/", "etc/{0711}", "etc/issue=hi{x2}", "etc/motd==etc/issue", "images/{@0}", "images/web/{0700}",
		"images/web/big=holes[{10 5}]", "images/web/etc/{1:2,user.x=1}", "images/web/etc/issue=hi{x2}",
		"images/web/etc/motd==images/web/etc/issue", "images/web/l->etc", "readme=text{@7}",
	}
	if got := words(m, contents); !slices.Equal(got, want) {
		t.Errorf("tree is wrong: %s", changes(want, got))
	}
	if n, err := m.Walk("images/web/big", true); err != nil || m.Attr(n).Layer != 5 {
		t.Errorf("big: layer %d, %v", m.Attr(n).Layer, err)
	}
}

// TestGraftOver lays a tree over what is there.
func TestGraftOver(t *testing.T) {
	first, _ := merged(t, layer{dir("a"), file("a/x", "x"), file("b", "b"), dir("c"), file("c/d", "d"), hard("e", "b")})
	second, _ := merged(t, layer{dir("a", mode(0o700)), file("a/y", "y"), dir("b"), symlink("c", "a"), file("e", "e")})
	b := tree.NewBuilder(8)
	for _, g := range []*tree.Tree{first, second} {
		if err := b.Graft("", g, tree.Root, []int{0}); err != nil {
			t.Fatal(err)
		}
	}
	m, err := b.Tree()
	if err != nil {
		t.Fatal(err)
	}
	if err := invariants(m); err != nil {
		t.Error(err)
	}
	want := []string{"/{@0}", "a/{0700}", "a/x=", "a/y=", "b/", "c->a", "e="}
	if got := words(m, nil); !slices.Equal(got, want) {
		t.Errorf("tree is wrong: %s", changes(want, got))
	}
}

// TestSingle shows layers by themselves, as overlayfs would have them.
func TestSingle(t *testing.T) {
	for _, c := range []struct {
		name  string
		layer layer
		want  string
		lost  int
	}{
		{"a whiteout", layer{dir("etc"), wh("etc/motd", own(3, 4))}, "/{@0} etc/ etc/motd=c0,0{0000,3:4}", 0},
		{"in no directory", layer{wh("a/b/c")}, "/{@0} a/{@0} a/b/{@0} a/b/c=c0,0{0000}", 0},
		{"a marker", layer{dir("a", xattr("user.z", "1")), file("a/.wh..wh..opq", "")}, "/{@0} a/{trusted.overlay.opaque=y,user.z=1}", 0},
		{"a marker of the root", layer{file(".wh..wh..opq", "")}, "/{@0,trusted.overlay.opaque=y}", 0},
		{"twice", layer{dir("a"), file("a/.wh..wh..opq", ""), file("a/.wh..wh..opq", ""), wh("a")}, "/{@0} a/{trusted.overlay.opaque=y}", 0},
		{"of a file that it has", layer{wh("f"), file("f", "")}, "/{@0} f=", 0},
		{"of a directory that it has", layer{dir("d"), file("d/f", ""), wh("d")}, "/{@0} d/{trusted.overlay.opaque=y} d/f=", 0},
		{"a link to nowhere", layer{hard("a", "below"), hard("b", "a"), file("c", ""), hard("d", "c")}, "/{@0} c={x2} d==c", 2},
		{"what AUFS kept", layer{dir(".wh..wh.plnk"), file(".wh..wh.plnk/1", ""), hard("a", ".wh..wh.plnk/1")}, "/{@0} a=", 0},
		{"an image's own attribute", layer{dir("a", xattr("trusted.overlay.opaque", "y"))}, "/{@0} a/", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, lost, err := tree.Single(pile(c.layer).tocs[0], tree.OpaqueTrusted)
			if err != nil {
				t.Fatal(err)
			}
			if err := invariants(m); err != nil {
				t.Error(err)
			}
			if got := strings.Join(words(m, nil), " "); got != c.want || lost != c.lost {
				t.Errorf("got  %s, %d lost\nwant %s, %d", got, lost, c.want, c.lost)
			}
		})
	}
	if _, _, err := tree.Single(pile(layer{wh("a/..")}).tocs[0], tree.OpaqueUser); err == nil {
		t.Error("a whiteout of .. was shown")
	}
}

// FuzzBuilder grafts trees made by chance, which must stay as they are, and
// shows their layers by themselves.
func FuzzBuilder(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		layers := valid((&dice{bytes}).layers())
		s := pile(layers...)
		for _, toc := range s.tocs {
			if m, _, err := tree.Single(toc, tree.OpaqueUser); err == nil {
				if err := invariants(m); err != nil {
					t.Fatalf("alone: %v\n%s", err, tell(layers))
				}
			}
		}
		m, err := tree.Merge(s.tocs)
		if err != nil {
			return
		}
		same := make([]int, len(layers))
		for i := range same {
			same[i] = i
		}
		b := tree.NewBuilder(m.Len())
		for range 2 { // the second time over the first
			if err := b.Graft("", m, tree.Root, same); err != nil {
				t.Fatal(err)
			}
		}
		again, err := b.Tree()
		if err != nil {
			t.Fatal(err)
		}
		if err := invariants(again); err != nil {
			t.Fatalf("%v\n%s", err, tell(layers))
		}
		if got, want := words(again, s.contents), words(m, s.contents); !slices.Equal(got, want) {
			t.Fatalf("tree is wrong: %s\n%s", changes(want, got), tell(layers))
		}
	})
}
