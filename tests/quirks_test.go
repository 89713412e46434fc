package tests

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// quirkBase is the lower layer of every quirk, and baseTree what it shows.
var (
	quirkBase = []lt.Entry{
		lt.Dir("d"), lt.File("d/f", "F"), lt.File("d/g", "G"), lt.Dir("d/sub"), lt.File("d/sub/h", "H"),
		lt.File("keep", "K"), lt.Symlink("link", "d"), lt.File("hl1", "HL"), lt.Hardlink("hl2", "hl1"), lt.Dir("empty"),
	}
	baseTree = "d/ d/f=F d/g=G d/sub/ d/sub/h=H empty/ hl1=HL*2 hl2=HL*2 keep=K link>d"
)

// A quirk is a layer on which unpackers differ, or nearly do, and what ocifs
// makes of it. want is what changes in baseTree: "-x" takes x and all below
// it away, "+x=1" adds a line or replaces that of the same path. "refuse"
// means that the image can't be mounted.
type quirk struct {
	name  string
	layer []lt.Entry
	want  string
}

var quirks = []quirk{
	// Whiteouts hide what is below their layer, wherever in it they stand.
	{"whiteout, then the file", ent(lt.Whiteout("d/f"), lt.File("d/f", "new")), "+d/f=new"},
	{"the file, then a whiteout", ent(lt.File("d/f", "new"), lt.Whiteout("d/f")), "+d/f=new"},
	{"whiteout, then the directory", ent(lt.Whiteout("d/sub"), lt.Dir("d/sub"), lt.File("d/sub/new", "n")), "-d/sub +d/sub/ +d/sub/new=n"},
	{"the directory, then a whiteout", ent(lt.Dir("d/sub"), lt.File("d/sub/new", "n"), lt.Whiteout("d/sub")), "-d/sub +d/sub/ +d/sub/new=n"},
	{"whiteout, then a child of the directory", ent(lt.Whiteout("d/sub"), lt.File("d/sub/new", "n")), "-d/sub +d/sub/ +d/sub/new=n"},
	{"whiteout of nothing", ent(lt.Whiteout("empty/x")), ""},
	{"whiteout of nothing in no directory", ent(lt.Whiteout("nodir/x")), ""},
	{"whiteout of one of two hard links", ent(lt.Whiteout("hl1")), "-hl1 +hl2=HL"},
	{"whiteout of a symlink", ent(lt.Whiteout("link")), "-link"},
	{"whiteout of a directory", ent(lt.Whiteout("d")), "-d"},
	{"whiteout that is a directory", ent(lt.Dir("d/.wh.f")), "-d/f"},
	{"whiteout that is a symlink", ent(lt.Symlink("d/.wh.f", "../keep")), "-d/f"},
	{"whiteout that is a hard link", ent(lt.Hardlink("d/.wh.f", ".wh..wh.plnk/1")), "-d/f"},
	{"whiteout with content", ent(lt.File("d/.wh.f", "content")), "-d/f"},
	{"whiteout without a name", ent(lt.File("d/.wh.", "")), "refuse"},
	{"whiteout of .", ent(lt.File("d/.wh..", "")), "refuse"},
	{"whiteout of ..", ent(lt.File("d/.wh...", "")), "refuse"},
	{"AUFS's own files", ent(lt.Dir(".wh..wh.plnk"), lt.File(".wh..wh.plnk/x", "x"), lt.File(".wh..wh.aufs", "")), ""},

	// Opaque directories, in any order.
	{"opaque first", ent(lt.Dir("d"), lt.Opaque("d"), lt.File("d/n", "n")), "-d +d/ +d/n=n"},
	{"opaque last", ent(lt.Dir("d"), lt.File("d/n", "n"), lt.Opaque("d")), "-d +d/ +d/n=n"},
	{"opaque without an entry for the directory", ent(lt.Opaque("d"), lt.File("d/n", "n")), "-d +d/ +d/n=n"},
	{"opaque alone", ent(lt.Opaque("d")), "-d +d/"},
	{"opaque and an implied directory", ent(lt.File("d/sub/n", "n"), lt.Opaque("d")), "-d +d/ +d/sub/ +d/sub/n=n"},
	{"opaque in a new directory", ent(lt.Dir("new"), lt.Opaque("new"), lt.File("new/x", "x")), "+new/ +new/x=x"},
	{"opaque at the root", ent(lt.Opaque(""), lt.File("x", "x")), "-d -empty -hl1 -hl2 -keep -link +x=x"},
	{"opaque through a symlink", ent(lt.Opaque("link"), lt.File("link/n", "n")), "-link +link/ +link/n=n"},

	// What replaces what.
	{"child of a lower layer's symlink", ent(lt.File("link/new", "n")), "-link +link/ +link/new=n"},
	{"directory over a symlink", ent(lt.Dir("link"), lt.File("link/new", "n")), "-link +link/ +link/new=n"},
	{"symlink over a directory", ent(lt.Symlink("d", "keep")), "-d +d>keep"},
	{"child of the same layer's symlink", ent(lt.Symlink("s", "empty"), lt.File("s/x", "x")), "+s>empty +empty/x=x"},
	{"child of the same layer's absolute symlink", ent(lt.Symlink("s", "/empty"), lt.File("s/x", "x")), "+s>/empty +empty/x=x"},
	{"child of the same layer's symlink above the root", ent(lt.Symlink("s", "../../empty"), lt.File("s/x", "x")), "+s>../../empty +empty/x=x"},
	{"child of a symlink to itself", ent(lt.Symlink("s", "s"), lt.File("s/x", "x")), "refuse"},
	{"file over a directory", ent(lt.File("d", "now")), "-d +d=now"},
	{"directory over a file", ent(lt.Dir("keep"), lt.File("keep/x", "x")), "-keep +keep/ +keep/x=x"},
	{"child of a lower layer's file", ent(lt.File("keep/x", "x")), "-keep +keep/ +keep/x=x"},

	// Hard links.
	{"hard link to a lower layer", ent(lt.Hardlink("hl3", "hl1")), "+hl1=HL*3 +hl2=HL*3 +hl3=HL*3"},
	{"hard link to an absolute name", ent(lt.Hardlink("hl3", "/hl1")), "+hl1=HL*3 +hl2=HL*3 +hl3=HL*3"},
	{"hard link to a dotted name", ent(lt.Hardlink("hl3", "./hl1")), "+hl1=HL*3 +hl2=HL*3 +hl3=HL*3"},
	{"hard links to a lower hard link", ent(lt.Hardlink("a", "hl2"), lt.Hardlink("b", "hl2")), "+a=HL*4 +b=HL*4 +hl1=HL*4 +hl2=HL*4"},
	{"hard link to what the layer replaced", ent(lt.File("hl1", "new"), lt.Hardlink("hl3", "hl1")), "+hl1=new*2 +hl2=HL +hl3=new*2"},
	{"one of two hard links replaced", ent(lt.File("hl1", "new")), "+hl1=new +hl2=HL"},
	{"target replaced after the hard link", ent(lt.File("n1", "1"), lt.Hardlink("n2", "n1"), lt.File("n1", "2")), "+n1=2 +n2=1"},
	{"hard link to a symlink", ent(lt.Symlink("s", "keep"), lt.Hardlink("s2", "s")), "+s>keep*2 +s2>keep*2"},
	{"hard link to what the layer whites out", ent(lt.Whiteout("hl1"), lt.Hardlink("hl3", "hl1")), "refuse"},
	{"hard link to a directory", ent(lt.Hardlink("hd", "d")), "refuse"},
	{"hard link to nothing", ent(lt.Hardlink("x", "nowhere")), "refuse"},
	{"hard link to itself", ent(lt.Hardlink("x", "x")), "refuse"},
	{"hard link to what comes later", ent(lt.Hardlink("x", "y"), lt.File("y", "y")), "+x=y*2 +y=y*2"},
	{"hard link above the root", ent(lt.Hardlink("x", "../../../../etc/passwd")), "refuse"},

	// The same path twice: the last entry wins.
	{"file twice", ent(lt.File("x", "1"), lt.File("x", "2")), "+x=2"},
	{"file, then directory", ent(lt.File("x", "1"), lt.Dir("x"), lt.File("x/y", "y")), "+x/ +x/y=y"},
	{"directory, then file", ent(lt.Dir("x"), lt.File("x/y", "y"), lt.File("x", "1")), "+x=1"},
	{"directory, then symlink", ent(lt.Dir("x"), lt.File("x/y", "y"), lt.Symlink("x", "d")), "+x>d"},
	{"directory twice", ent(lt.Dir("x"), lt.File("x/y", "y"), lt.Dir("x")), "+x/ +x/y=y"},
	{"one path in four spellings", ent(lt.File("x", "1"), lt.File("./x", "2"), lt.File("/x", "3"), lt.File("y/../x", "4")), "+x=4"},

	// Names.
	{"absolute name", ent(lt.File("/abs", "a")), "+abs=a"},
	{"name with ..", ent(lt.File("d/../keep2", "2")), "+keep2=2"},
	{"name above the root", ent(lt.File("../../above", "a")), "+above=a"},
	{"name with //", ent(lt.File("d//n", "n")), "+d/n=n"},
	{"name with . components", ent(lt.File("./d/./n", "n")), "+d/n=n"},
	{"file with a slash at its end", ent(lt.File("slash/", "x")), "+slash=x"},
	{"parents that have no entry", ent(lt.File("p/q/r", "r")), "+p/ +p/q/ +p/q/r=r"},
	{"a parent that comes late", ent(lt.File("p/q", "q"), lt.Dir("p")), "+p/ +p/q=q"},
	{"the root as a file", ent(lt.File(".", "x")), "refuse"},
	{"the root as a symlink", ent(lt.Symlink("./", "d")), "refuse"},
	{".. as a file", ent(lt.File("..", "x")), "refuse"},
	{"component of 255 bytes", ent(lt.File(strings.Repeat("n", 255), "n")), "+" + strings.Repeat("n", 255) + "=n"},
	{"component of 256 bytes", ent(lt.File(strings.Repeat("n", 256), "n")), "refuse"},
	{"symlink of 4096 bytes", ent(lt.Symlink("s", strings.Repeat("t", 4096))), "refuse"},
	{"name with a zero byte", ent(lt.File("x", "x", lt.PAX("path", "a\x00b"))), "refuse"},
	{"name that isn't UTF-8", ent(lt.File("\xff\xfe", "x")), "+\xff\xfe=x"},
	{"name with a newline", ent(lt.File("a\nb", "x")), "+a\nb=x"},

	// Types.
	{"character device 0:0", ent(lt.Char("d/f", 0, 0)), "+d/f:c0:0"},
	{"devices and pipes", ent(lt.Char("null", 1, 3), lt.Block("sda", 8, 0), lt.Fifo("p")), "+null:c1:3 +p| +sda:b8:0"},
	{"type 7 is a file", ent(lt.File("x", "x", lt.Type('7'))), "+x=x"},
	{"type of nobody", ent(lt.File("x", "", lt.Type('Z'))), "refuse"},
	{"global header", ent(lt.Global(lt.Record{Key: "path", Value: "elsewhere"}), lt.File("x", "x")), "+x=x"},
	{"sparse, old GNU", ent(lt.Sparse(lt.OldGNU, "s", 5, []lt.Run{{Off: 1, Data: "ab"}, {Off: 4, Data: "c"}})), "+s=\x00ab\x00c"},
	{"sparse, PAX 0.0", ent(lt.Sparse(lt.SparseV0, "s", 5, []lt.Run{{Off: 1, Data: "ab"}, {Off: 4, Data: "c"}})), "+s=\x00ab\x00c"},
	{"sparse, PAX 0.1", ent(lt.Sparse(lt.SparseV01, "s", 5, []lt.Run{{Off: 1, Data: "ab"}, {Off: 4, Data: "c"}})), "+s=\x00ab\x00c"},
	{"sparse, PAX 1.0", ent(lt.Sparse(lt.SparseV1, "s", 5, []lt.Run{{Off: 1, Data: "ab"}, {Off: 4, Data: "c"}})), "+s=\x00ab\x00c"},
	{"sparse, all a hole", ent(lt.Sparse(lt.SparseV1, "s", 3, nil)), "+s=\x00\x00\x00"},

	// Numbers that can't be.
	{"size below zero", ent(lt.File("x", "x", lt.PAX("size", "-1"))), "refuse"},
	{"size beyond 63 bits", ent(lt.File("x", "x", lt.PAX("size", "9223372036854775808"))), "refuse"},
	{"size beyond the archive", ent(lt.File("x", "x", lt.Size(1<<40))), "refuse"},
	{"PAX record whose length lies", ent(lt.Raw(badPAX("99 path=y\n")), lt.File("x", "x")), "refuse"},
}

func ent(e ...lt.Entry) []lt.Entry { return e }

// badPAX is a PAX header, as an entry, with this body.
func badPAX(body string) []byte {
	return lt.Members(lt.File("PaxHeaders.0/x", body, lt.Type(tar.TypeXHeader)))
}

// TestQuirks mounts every quirk and compares what there is with what there
// should be, from the daemon that made the index and from one that read it.
func TestQuirks(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	layout := filepath.Join(u.home, "quirks")
	var images []lt.Document
	for i, q := range quirks {
		images = append(images, lt.Image{
			Tag:    fmt.Sprintf("q%d", i),
			Layers: []lt.Layer{lt.GzipLayer(lt.Tar(quirkBase...)), lt.GzipLayer(lt.Tar(q.layer...))},
		})
	}
	lt.WriteLayout(t, layout, images...)
	for i, q := range quirks {
		t.Run(q.name, func(t *testing.T) {
			ref := fmt.Sprintf("oci:%s:q%d", layout, i)
			for _, cache := range []string{"cold", "warm"} {
				checkQuirk(t, u, ref, cache, q.want)
			}
		})
	}
}

func checkQuirk(t *testing.T, u *user, ref, cache, want string) {
	t.Helper()
	m, r := u.tryMount(t, ref)
	if want == "refuse" {
		if m != nil {
			t.Fatalf("%s: mounts, as %q", cache, sketch(t, m.dir))
		}
		clearLine(t, []string{"mount", ref}, r.stderr)
		return
	}
	if m == nil {
		t.Fatalf("%s: %v", cache, r)
	}
	if got, want := sketch(t, m.dir), apply(baseTree, want); !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", cache, got, want)
	}
	m.unmount(t, u)
}

// sketch tells a small tree in words: "dir/", "file=content", "link>target",
// "node:c1:3", "pipe|"; "*2" follows where there are two names. Sorted.
func sketch(t *testing.T, dir string) []string {
	t.Helper()
	var words []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return fmt.Errorf("%s is listed, but %w", name, err)
		}
		word, err := sketchFile(name, &st)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if st.Nlink > 1 && !d.IsDir() {
			word += fmt.Sprintf("*%d", st.Nlink)
		}
		words = append(words, rel+word)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(words)
	return words
}

func sketchFile(name string, st *unix.Stat_t) (string, error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "/", nil
	case unix.S_IFLNK:
		target, err := os.Readlink(name)
		return ">" + target, err
	case unix.S_IFREG:
		b, err := os.ReadFile(name)
		return "=" + string(b), err
	case unix.S_IFIFO:
		return "|", nil
	case unix.S_IFCHR:
		return fmt.Sprintf(":c%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), nil
	case unix.S_IFBLK:
		return fmt.Sprintf(":b%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), nil
	}
	return "", fmt.Errorf("%s has a mode of %#o", name, st.Mode)
}

// apply makes the changes to a tree told in words.
func apply(tree, changes string) []string {
	words := map[string]string{}
	for w := range strings.SplitSeq(tree, " ") {
		words[pathOf(w)] = w
	}
	for c := range strings.SplitSeq(changes, " ") {
		switch {
		case c == "":
		case c[0] == '-':
			maps.DeleteFunc(words, func(path, _ string) bool {
				return path == c[1:] || strings.HasPrefix(path, c[1:]+"/")
			})
		default:
			words[pathOf(c[1:])] = c[1:]
		}
	}
	return slices.Sorted(maps.Values(words))
}

// pathOf is the path of a word of a sketch.
func pathOf(word string) string {
	if i := strings.IndexAny(word, "=>:|*"); i >= 0 {
		word = word[:i]
	}
	return strings.TrimSuffix(word, "/")
}

// TestQuirksAttributes looks at modes, owners, times and xattrs of the odd
// cases, which a sketch leaves out.
func TestQuirksAttributes(t *testing.T) {
	needFUSE(t)
	needRoot(t, "look into directories of other users")
	old, far := time.Date(1950, 1, 2, 3, 4, 5, 600, time.UTC), time.Date(2500, 1, 2, 3, 4, 5, 600, time.UTC)
	layers := []lt.Layer{
		lt.GzipLayer(lt.Tar(lt.Dir("./", lt.Mode(0o711), lt.Owner(1, 2)),
			lt.Dir("kept", lt.Mode(0o2750), lt.Owner(5, 6)), lt.File("kept/f", ""),
			lt.Dir("reset", lt.Mode(0o2750)), lt.File("reset/f", ""))),
		lt.GzipLayer(lt.Tar(lt.Dir("./", lt.Mode(0o700), lt.Owner(3, 4)),
			lt.File("kept/g", ""),
			lt.Dir("reset", lt.Mode(0o700), lt.Owner(9, 9)),
			lt.Dir("twice", lt.Mode(0o700)), lt.Dir("twice", lt.Mode(0o711)),
			lt.File("p/q", ""), lt.Dir("p", lt.Mode(0o700), lt.Owner(5, 0)),
			lt.File("implied/x", ""),
			lt.File("old", "", lt.ModTime(old)), lt.File("far", "", lt.ModTime(far)),
			lt.File("suid", "", lt.Mode(0o6755)), lt.File("bits", "", lt.Mode(0o106644)),
			lt.File("big", "", lt.Owner(1<<31, 1<<32-2)),
			lt.File("x", "", lt.Xattr("user.a", "1"), lt.Xattr("user.empty", ""), lt.Xattr("trusted.a", "1"),
				lt.Xattr("trusted.overlay.opaque", "y"), lt.Xattr("user.overlay.opaque", "y"))))}
	u := newUser(t)
	layout := filepath.Join(u.home, "l")
	lt.WriteLayout(t, layout, lt.Image{Tag: "t", Layers: layers})
	m := u.mount(t, "oci:"+layout+":t")
	got := lt.Walk(t, m.dir)
	check := func(name string, mode, uid, gid uint32) {
		t.Helper()
		if s := got[name]; s.Mode&0o7777 != mode || s.UID != uid || s.GID != gid {
			t.Errorf("%s: mode %#o, owner %d:%d; want %#o, %d:%d", name, s.Mode&0o7777, s.UID, s.GID, mode, uid, gid)
		}
	}
	check(".", 0o700, 3, 4)
	check("kept", 0o2750, 5, 6)
	check("reset", 0o700, 9, 9)
	check("twice", 0o711, 0, 0)
	check("p", 0o700, 5, 0)
	check("implied", 0o755, 0, 0)
	check("suid", 0o6755, 0, 0)
	check("bits", 0o6644, 0, 0)
	check("big", 0o644, 1<<31, 1<<32-2)
	for name, want := range map[string]time.Time{"old": old, "far": far} {
		if s := got[name]; s.Sec != want.Unix() || s.Nsec != int64(want.Nanosecond()) {
			t.Errorf("%s: mtime %v, want %v", name, time.Unix(s.Sec, s.Nsec).UTC(), want)
		}
	}
	if want := (map[string]string{"user.a": "1", "user.empty": ""}); !maps.Equal(got["x"].Xattrs, want) {
		t.Errorf("x: xattrs %q, want %q", got["x"].Xattrs, want)
	}
	m.unmount(t, u)
}
