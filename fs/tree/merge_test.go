package tree_test

import (
	"errors"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// base is what most tests lay something over.
var base = layer{
	dir("d"), file("d/f", "F"), file("d/g", "G"), dir("d/sub"), file("d/sub/h", "H"),
	file("keep", "K"), symlink("link", "d"), file("hl1", "HL"), hard("hl2", "hl1"), dir("empty"),
}

const baseWords = "/{@0} d/ d/f=F d/g=G d/sub/ d/sub/h=H empty/ hl1=HL{x2} hl2==hl1 keep=K link->d"

func TestMergeBase(t *testing.T) {
	s := pile(base)
	m, err := tree.Merge(s.tocs)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(words(m, s.contents), " "); got != baseWords {
		t.Errorf("got  %s\nwant %s", got, baseWords)
	}
}

const withoutD = "-d/ -d/f=F -d/g=G -d/sub/ -d/sub/h=H"

// Each case is laid over base; want says what changes.
func TestMerge(t *testing.T) {
	opq := func(d string, o ...option) member {
		return entry(strings.TrimPrefix(d+"/.wh..wh..opq", "/"), index.ModeRegular|0o644, o)
	}
	tests := []struct {
		name   string
		layers []layer
		want   string
	}{
		// Whiteouts.
		{"whiteout", []layer{{wh("d/f")}}, "-d/f=F"},
		{"whiteout of a directory", []layer{{wh("d")}}, withoutD},
		{"whiteout, then file", []layer{{wh("d/f"), file("d/f", "new")}}, "-d/f=F +d/f=new"},
		{"file, then whiteout", []layer{{file("d/f", "new"), wh("d/f")}}, "-d/f=F +d/f=new"},
		{"whiteout, then directory", []layer{{wh("d/sub"), dir("d/sub", mode(0o700)), file("d/sub/new", "N")}},
			"-d/sub/ -d/sub/h=H +d/sub/{0700} +d/sub/new=N"},
		{"directory, then whiteout", []layer{{dir("d/sub", mode(0o700)), file("d/sub/new", "N"), wh("d/sub")}},
			"-d/sub/ -d/sub/h=H +d/sub/{0700} +d/sub/new=N"},
		{"whiteout, then child", []layer{{wh("d/sub"), file("d/sub/new", "N")}},
			"-d/sub/ -d/sub/h=H +d/sub/{@0} +d/sub/new=N"},
		{"child, then whiteout", []layer{{file("d/sub/new", "N"), wh("d/sub")}},
			"-d/sub/ -d/sub/h=H +d/sub/{@0} +d/sub/new=N"},
		{"grandchild, then whiteout", []layer{{file("d/sub/new", "N"), wh("d")}},
			withoutD + " +d/{@0} +d/sub/{@0} +d/sub/new=N"},
		{"whiteout, then directory alone", []layer{{wh("d/sub"), dir("d/sub")}}, "-d/sub/h=H"},
		{"whiteout, then file in the next layer", []layer{{wh("d")}, {file("d/f", "again")}}, withoutD + " +d/{@0} +d/f=again"},
		{"whiteout of what is missing", []layer{{wh("empty/x")}}, ""},
		{"whiteout in a directory that is missing", []layer{{wh("nodir/x")}}, ""},
		{"whiteout below a file", []layer{{wh("keep/x")}}, ""},
		{"whiteout below a symbolic link of the layer below", []layer{{wh("link/f")}}, ""},
		{"whiteout below a symbolic link of its layer", []layer{{symlink("s", "d"), wh("s/f")}}, "-d/f=F +s->d"},
		{"whiteout of a symbolic link", []layer{{wh("link")}}, "-link->d"},
		{"whiteout of one of two names", []layer{{wh("hl1")}}, "-hl1=HL{x2} -hl2==hl1 +hl2=HL"},
		{"whiteout of both names", []layer{{wh("hl1"), wh("hl2")}}, "-hl1=HL{x2} -hl2==hl1"},
		{"whiteout that is a directory", []layer{{wh("d/f", kind(index.ModeDir))}}, "-d/f=F"},
		{"whiteout that is a symbolic link", []layer{{wh("d/f", kind(index.ModeSymlink), to("g"))}}, "-d/f=F"},
		{"whiteout that is a hard link", []layer{{hard("d/.wh.f", ".wh..wh.plnk/1")}}, "-d/f=F"},
		{"whiteout that is not empty", []layer{{wh("d/f", size(5))}}, "-d/f=F"},
		{"whiteout that is a device", []layer{{wh("d/f", kind(index.ModeChar))}}, "-d/f=F"},
		{"whiteout of what an earlier layer added", []layer{{file("x", "X")}, {wh("x")}}, ""},
		{"whiteout hides from all layers below", []layer{{file("d/new", "N")}, {wh("d")}, {dir("d")}}, "-d/f=F -d/g=G -d/sub/ -d/sub/h=H"},
		{"child of a directory called like a whiteout", []layer{{file(".wh.d/x", "X")}}, ""},

		// Opaque directories.
		{"opaque first", []layer{{dir("d"), opq("d"), file("d/n", "N")}}, "-d/f=F -d/g=G -d/sub/ -d/sub/h=H +d/n=N"},
		{"opaque last", []layer{{dir("d"), file("d/n", "N"), opq("d")}}, "-d/f=F -d/g=G -d/sub/ -d/sub/h=H +d/n=N"},
		{"opaque without the directory", []layer{{opq("d"), file("d/n", "N")}}, "-d/f=F -d/g=G -d/sub/ -d/sub/h=H +d/n=N"},
		{"opaque keeps attributes", []layer{{dir("d", mode(0o2750), own(5, 6))}, {opq("d")}}, withoutD + " +d/{2750,5:6}"},
		{"opaque and attributes", []layer{{opq("d"), dir("d", mode(0o700))}}, withoutD + " +d/{0700}"},
		{"opaque after a child of a subdirectory", []layer{{file("d/sub/n", "N"), opq("d")}},
			"-d/f=F -d/g=G -d/sub/ -d/sub/h=H +d/sub/{@0} +d/sub/n=N"},
		{"opaque after a subdirectory", []layer{{dir("d/sub"), opq("d")}}, "-d/f=F -d/g=G -d/sub/h=H"},
		{"opaque new directory", []layer{{dir("new"), opq("new"), file("new/x", "X")}}, "+new/ +new/x=X"},
		{"opaque missing directory", []layer{{opq("new"), opq("d/no/where")}}, ""},
		{"opaque file", []layer{{opq("keep")}}, ""},
		{"opaque symbolic link of the layer below", []layer{{opq("link")}}, ""},
		{"opaque, then whiteout", []layer{{opq("d"), wh("d")}}, withoutD},
		{"opaque, then file in the next layer", []layer{{opq("d")}, {file("d/f", "again")}},
			"-d/f=F -d/g=G -d/sub/ -d/sub/h=H +d/f=again"},
		{"opaque in the layer of the files", []layer{{opq("d"), file("d/n", "N")}, {file("d/m", "M")}, {opq("d")}},
			"-d/f=F -d/g=G -d/sub/ -d/sub/h=H"},
		{"opaque root", []layer{{opq(""), file("n", "N"), file("d/n", "DN")}},
			withoutD + " -empty/ -hl1=HL{x2} -hl2==hl1 -keep=K -link->d +d/{@0} +d/n=DN +n=N"},
		{"opaque below a symbolic link of the layer below", []layer{{opq("link"), file("link/n", "N")}}, "-link->d +link/{@0} +link/n=N"},
		{"opaque below a symbolic link of its layer", []layer{{symlink("s", "d"), opq("s")}},
			"-d/f=F -d/g=G -d/sub/ -d/sub/h=H +s->d"},
		{"opaque that is a directory", []layer{{opq("d", kind(index.ModeDir))}}, "-d/f=F -d/g=G -d/sub/ -d/sub/h=H"},
		{"opaque twice", []layer{{opq("d"), file("d/n", "N"), opq("d")}}, "-d/f=F -d/g=G -d/sub/ -d/sub/h=H +d/n=N"},

		// Symbolic links as parents.
		{"below a symbolic link of the layer below", []layer{{file("link/new", "N")}}, "-link->d +link/{@0} +link/new=N"},
		{"directory over a symbolic link", []layer{{dir("link"), file("link/new", "N")}}, "-link->d +link/ +link/new=N"},
		{"below a symbolic link of its layer", []layer{{symlink("s", "d"), file("s/new", "N")}}, "+d/new=N +s->d"},
		{"below a symbolic link made again", []layer{{symlink("link", "d"), file("link/new", "N")}}, "+d/new=N"},
		{"below a symbolic link that leads out", []layer{{symlink("s", "../../d/../../d"), file("s/new", "N")}}, "+d/new=N +s->../../d/../../d"},
		{"below an absolute symbolic link", []layer{{symlink("d/s", "/d/sub"), file("d/s/new", "N")}}, "+d/s->/d/sub +d/sub/new=N"},
		{"below a symbolic link to nothing", []layer{{symlink("s", "no/where"), file("s/new", "N")}}, "+no/{@0} +no/where/{@0} +no/where/new=N +s->no/where"},
		{"below a chain of symbolic links", []layer{{symlink("a", "b"), symlink("b", "c/."), symlink("c", "d"), file("a/new", "N")}},
			"+a->b +b->c/. +c->d +d/new=N"},
		{"below a symbolic link through one of the layer below", []layer{{symlink("s", "link"), file("s/new", "N")}},
			"-link->d +link/{@0} +link/new=N +s->link"},
		{"below a symbolic link to the root", []layer{{symlink("s", "/"), file("s/new", "N")}}, "+new=N +s->/"},
		{"symbolic link over a directory", []layer{{symlink("d", "keep")}}, withoutD + " +d->keep"},
		{"symbolic link over a directory, then child", []layer{{symlink("d", "empty"), file("d/x", "X")}}, withoutD + " +d->empty +empty/x=X"},
		{"symbolic link replaced, then child", []layer{{symlink("s", "d"), file("s/a", "A"), symlink("s", "empty"), file("s/b", "B")}},
			"+d/a=A +empty/b=B +s->empty"},
		{"symbolic link becomes directory, then child", []layer{{symlink("s", "d"), file("s/a", "A"), dir("s"), file("s/b", "B")}}, "+d/a=A +s/ +s/b=B"},

		// Types that change.
		{"file over directory", []layer{{file("d", "now")}}, withoutD + " +d=now"},
		{"directory over file", []layer{{dir("keep"), file("keep/x", "X")}}, "-keep=K +keep/ +keep/x=X"},
		{"below a file of the layer below", []layer{{file("keep/x", "X")}}, "-keep=K +keep/{@0} +keep/x=X"},
		{"below a file of its layer", []layer{{file("x", "X"), file("x/y", "Y")}}, "+x/{@0} +x/y=Y"},
		{"below a pipe", []layer{{fifo("x"), file("x/y", "Y")}}, "+x/{@0} +x/y=Y"},
		{"directory over directory", []layer{{dir("d", mode(0o1777), own(9, 8), at(5, 6), xattr("user.a", "1"))}},
			"-d/ +d/{1777,9:8,@5.000000006,user.a=1}"},
		{"directory loses attributes", []layer{{dir("d", xattr("user.a", "1"))}, {dir("d")}}, ""},
		{"file over file", []layer{{file("keep", "new", mode(0o600))}}, "-keep=K +keep=new{0600}"},
		{"pipe over file", []layer{{fifo("keep")}}, "-keep=K +keep|"},
		{"devices", []layer{{device(index.ModeChar, "c", 1, 3), device(index.ModeBlock, "b", 4095, 1048575)}}, "+b=b4095,1048575 +c=c1,3"},
		{"device 0:0 is no whiteout", []layer{{device(index.ModeChar, "d/f", 0, 0)}}, "-d/f=F +d/f=c0,0"},

		// Hard links.
		{"hard link to the layer below", []layer{{hard("hl3", "hl1")}}, "-hl1=HL{x2} +hl1=HL{x3} +hl3==hl1"},
		{"two hard links to the layer below", []layer{{hard("a", "hl2"), hard("b", "hl2")}},
			"-hl1=HL{x2} -hl2==hl1 +a=HL{x4} +b==a +hl1==a +hl2==a"},
		{"hard link to what was replaced", []layer{{file("hl1", "new"), hard("hl3", "hl1")}}, "-hl1=HL{x2} -hl2==hl1 +hl1=new{x2} +hl2=HL +hl3==hl1"},
		{"hard link to what is replaced later", []layer{{hard("hl3", "hl1"), file("hl1", "new")}}, "-hl1=HL{x2} -hl2==hl1 +hl1=new +hl2=HL{x2} +hl3==hl2"},
		{"one of two hard links replaced", []layer{{file("hl1", "new")}}, "-hl1=HL{x2} -hl2==hl1 +hl1=new +hl2=HL"},
		{"hard link's own attributes", []layer{{hard("hl3", "hl1", mode(0o777), own(3, 3), at(9, 0))}}, "-hl1=HL{x2} +hl1=HL{x3} +hl3==hl1"},
		{"hard link before its target", []layer{{hard("a", "z"), file("z", "Z", mode(0o600))}}, "+a=Z{0600,x2} +z==a"},
		{"hard links before their targets", []layer{{hard("a", "b"), hard("c", "a"), hard("b", "z"), hard("e", "b"), file("z", "Z")}},
			"+a=Z{x5} +b==a +c==a +e==a +z==a"},
		{"hard link before its target, replaced", []layer{{hard("a", "z"), file("a", "A"), file("z", "Z")}}, "+a=A +z=Z"},
		{"hard link before its target, linked and replaced", []layer{{hard("a", "z"), hard("b", "a"), file("a", "A"), file("z", "Z")}}, "+a=A +b=Z{x2} +z==b"},
		{"hard link before its target, below it a file", []layer{{hard("a", "z"), file("a/x", "X"), file("z", "Z")}}, "+a/{@0} +a/x=X +z=Z"},
		{"hard link to a symbolic link", []layer{{symlink("s", "keep"), hard("s2", "s")}}, "+s->keep{x2} +s2==s"},
		{"hard link to a symbolic link of the layer below", []layer{{hard("s2", "link")}}, "-link->d +link->d{x2} +s2==link"},
		{"hard link through a symbolic link", []layer{{hard("hl3", "link/f")}}, "-d/f=F +d/f=F{x2} +hl3==d/f"},
		{"hard link to a device", []layer{{device(index.ModeChar, "c", 1, 3), hard("c2", "c")}}, "+c=c1,3{x2} +c2==c"},
		{"target gets replaced", []layer{{file("n1", "1"), hard("n2", "n1"), file("n1", "2")}}, "+n1=2 +n2=1"},
		{"hard link over a directory", []layer{{hard("d", "keep")}}, withoutD + " -keep=K +d=K{x2} +keep==d"},
		{"hard link made again", []layer{{hard("hl2", "hl1")}}, ""},
		{"hard link whose first name goes", []layer{{hard("hl3", "hl1")}, {wh("hl1"), wh("hl2")}}, "-hl1=HL{x2} -hl2==hl1 +hl3=HL"},
		{"hard link whose target is whited out later", []layer{{hard("hl3", "keep"), wh("keep")}}, "-keep=K +hl3=K"},

		// Duplicates.
		{"file twice", []layer{{file("x", "1"), file("x", "2")}}, "+x=2"},
		{"file, then directory", []layer{{file("x", "1"), dir("x"), file("x/y", "Y")}}, "+x/ +x/y=Y"},
		{"directory, then file", []layer{{dir("x"), file("x/y", "Y"), file("x", "1")}}, "+x=1"},
		{"directory, then symbolic link", []layer{{dir("x"), file("x/y", "Y"), symlink("x", "d")}}, "+x->d"},
		{"directory twice", []layer{{dir("x", mode(0o700)), file("x/y", "Y"), dir("x", mode(0o711))}}, "+x/{0711} +x/y=Y"},
		{"directory, file, directory", []layer{{dir("d"), file("d", "1"), dir("d"), file("d/f", "new")}}, "-d/f=F -d/g=G -d/sub/ -d/sub/h=H +d/f=new"},

		// Parents without entries.
		{"missing parents", []layer{{file("p/q/r", "R")}}, "+p/{@0} +p/q/{@0} +p/q/r=R"},
		{"parent comes later", []layer{{file("p/q", "Q"), dir("p", mode(0o700), own(5, 0))}}, "+p/{0700,5:0} +p/q=Q"},
		{"parent from the layer below", []layer{{dir("d", mode(0o2750), own(5, 6))}, {file("d/n", "N")}}, "-d/ +d/{2750,5:6} +d/n=N"},

		// The root.
		{"root", []layer{{dir("", mode(0o700), own(3, 4), xattr("user.r", "1"))}}, "-/{@0} +/{0700,3:4,user.r=1}"},
		{"root twice", []layer{{dir("", mode(0o700))}, {dir("", mode(0o711))}}, "-/{@0} +/{0711}"},
		{"root by an upper layer only", []layer{{dir("", mode(0o700))}, {file("n", "N")}}, "-/{@0} +/{0700} +n=N"},

		// Names of AUFS.
		{"AUFS's own files", []layer{{dir(".wh..wh.plnk"), file(".wh..wh.plnk/x", "X"), file(".wh..wh.aufs", "A"), dir("d/.wh..wh.orph")}}, ""},
		{"AUFS's hard links", []layer{{dir(".wh..wh.plnk"), file(".wh..wh.plnk/1", "P"), hard("a", ".wh..wh.plnk/1"), hard("b", ".wh..wh.plnk/1")}}, "+a=P{x2} +b==a"},

		// Attributes and contents.
		{"extended attributes", []layer{{file("x", "X", xattr("security.capability", "\x01"), xattr("trusted.a", "1"), xattr("trusted.overlay.opaque", "y"),
			xattr("user.empty", ""), xattr("user.overlay.redirect", "/"), xattr("user.x", "1"),
			xattr("com.apple.provenance", "x"), xattr("system.nfs4_acl", "x"))}}, "+x=X{security.capability=\x01,user.empty=,user.x=1}"},
		{"extended attributes of a symbolic link", []layer{{symlink("x", "y", xattr("security.a", "1"))}}, "+x->y{security.a=1}"},
		{"times", []layer{{file("a", "A", at(-1, 999_999_999)), file("b", "B", at(16_725_225_600, 0)), file("c", "C", at(-9_223_372_036, 0))}},
			"+a=A{@-1.999999999} +b=B{@16725225600} +c=C{@-9223372036}"},
		{"permissions", []layer{{file("x", "X", mode(0o7777)), dir("y", mode(0))}}, "+x=X{7777} +y/{0000}"},
		{"permissions of a symbolic link", []layer{{symlink("s", "t", mode(0o400), own(1, 2))}}, "+s->t{1:2}"},
		{"sparse files", []layer{{file("a", "A", size(1<<40), data(index.Extent{Off: 5, Len: 2}, index.Extent{Off: 1 << 39, Len: 1})), file("b", "B", size(9), data()), file("c", "C")}},
			"+a=A[{5 2} {549755813888 1}] +b=B[] +c=C"},
		{"odd names", []layer{{file("\xff\x01", "1"), file("\x1b[2J", "2"), file("a\nb", "3"), file("D", "4"), file(strings.Repeat("n", 255), "5")}},
			"+\x1b[2J=2 +D=4 +a\nb=3 +" + strings.Repeat("n", 255) + "=5 +\xff\x01=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := pile(append([]layer{base}, tt.layers...)...)
			m, err := tree.Merge(s.tocs)
			if err != nil {
				t.Fatal(err)
			}
			check(t, m)
			if got := changes(strings.Fields(baseWords), words(m, s.contents)); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestMergeErrors(t *testing.T) {
	long := strings.Repeat(strings.Repeat("n", 255)+"/", 16) // 4096 bytes
	deep := layer{symlink("s", strings.Repeat("a/", 2040)+"a"), symlink("t", "s/"+strings.Repeat("b/", 100))}
	tests := []struct {
		name  string
		layer layer
		want  string
	}{
		{"whiteout of nothing", layer{file("d/.wh.", "")}, `entry "d/.wh.": a whiteout of no name`},
		{"whiteout of .", layer{file("d/.wh..", "")}, "a whiteout of no name"},
		{"whiteout of ..", layer{file("d/.wh...", "")}, "a whiteout of no name"},
		{"root as a file", layer{file("", "X")}, "the root is not a directory"},
		{"root as a symbolic link", layer{symlink("", "d")}, "the root is not a directory"},
		{"root as a hard link", layer{hard("", "keep")}, "the root is not a directory"},
		{"hard link to nothing", layer{hard("x", "no")}, `entry "x": hard link to "no": no such file`},
		{"hard link to what was whited out", layer{wh("hl1"), hard("x", "hl1")}, `hard link to "hl1": no such file`},
		{"hard link to a directory", layer{hard("x", "d")}, `hard link to "d": it is a directory`},
		{"hard link to a directory that comes later", layer{hard("x", "y"), dir("y")}, `hard link to "y": it is a directory`},
		{"hard link to the root", layer{hard("x", "")}, `hard link to "": it is a directory`},
		{"hard link to itself", layer{hard("x", "x")}, "it leads back to itself"},
		{"hard link to itself, over a file", layer{hard("keep", "keep")}, "it leads back to itself"},
		{"hard links to each other", layer{hard("x", "y"), hard("y", "z"), hard("z", "x")}, "it leads back to itself"},
		{"hard link over its target's directory", layer{hard("d", "d/f")}, `hard link to "d/f": no such file`},
		{"hard link to a whiteout", layer{wh("x"), hard("y", ".wh.x")}, "no such file"},
		{"hard link below a file", layer{hard("x", "keep/y")}, "no such file"},
		{"symbolic links in a circle", layer{symlink("a", "b"), symlink("b", "a"), file("a/x", "X")}, "too many levels of symbolic links"},
		{"symbolic link to itself", layer{symlink("a", "a/b"), file("a/x", "X")}, "too many levels of symbolic links"},
		{"whiteout below symbolic links in a circle", layer{symlink("a", "a"), wh("a/x")}, "too many levels of symbolic links"},
		{"symbolic link to an empty name", layer{symlink("a", "")}, "a symbolic link"},
		{"type unknown", layer{file("a", "", kind(0o140000))}, "unsupported: a file of type 0140000"},
		{"no type", layer{file("a", "", kind(0))}, "a file of type 0"},
		{"path too long", layer{file(long, "X")}, "a path of 4096 bytes"},
		{"name too long", layer{file(strings.Repeat("n", 256), "X")}, "a name of 256 bytes"},
		{"parent's name too long", layer{file(strings.Repeat("n", 256)+"/x", "X")}, "a name of 256 bytes"},
		{"link too long", layer{symlink("x", long)}, "a link of 4096 bytes"},
		{"NUL in a name", layer{file("a\x00b", "X")}, "a NUL"},
		{"NUL in a link", layer{symlink("a", "a\x00b")}, "a symbolic link"},
		{"slash at the end", layer{file("x/", "X")}, `"" in its path`},
		{"slash at the start", layer{file("/x", "X")}, "a slash at its start"},
		{"two slashes", layer{file("x//y", "X")}, `"" in its path`},
		{"dot", layer{file("./x", "X")}, `"." in its path`},
		{"dots", layer{file("x/../y", "X")}, `".." in its path`},
		{"too deep", append(deep, file("t/x", "X")), "over the limit: more than 2048 directories deep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tree.Merge(pile(base, tt.layer).tocs)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			var e *tree.Error
			if !errors.As(err, &e) || e.Layer != 1 {
				t.Errorf("%v does not name layer 1", err)
			}
		})
	}
}

func TestMergeLimits(t *testing.T) {
	_, err := tree.Merge(make([]*index.TOC, 1<<16))
	if !errors.Is(err, index.ErrLimit) {
		t.Errorf("65536 layers: %v", err)
	}
	m, err := tree.Merge(nil)
	if err != nil || m.Len() != 1 || m.Attr(tree.Root).Mode != index.ModeDir|0o755 {
		t.Errorf("no layers: %v, %v", m, err)
	}
}

// TestMergeLinksBudget makes each of many entries lead along a long path.
func TestMergeLinksBudget(t *testing.T) {
	l := layer{symlink("s", strings.Repeat("a/", 2000)), symlink("t", "s"), symlink("u", "t")}
	for range 3_000 {
		l = append(l, file("u/x", "X"), file("s/y", "Y"))
	}
	if _, err := tree.Merge(pile(l).tocs); !errors.Is(err, index.ErrLimit) {
		t.Errorf("got %v", err)
	}
}

func TestMergeLayerNumbers(t *testing.T) {
	m, err := tree.Merge(pile(layer{dir("d"), file("f", "F")}, layer{file("d/g", "G"), hard("h", "f")}, layer{dir("d"), file("p/x", "X")}).tocs)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"": 0, "d": 2, "f": 0, "h": 0, "d/g": 1, "p": 2, "p/x": 2} {
		n, err := m.Walk(path, false)
		if err != nil || m.Attr(n).Layer != want {
			t.Errorf("%s: layer %d, error %v; want layer %d", path, m.Attr(n).Layer, err, want)
		}
	}
}
