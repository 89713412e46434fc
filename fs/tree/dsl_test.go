package tree_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A member is an entry of a layer, and what its content is called in the tests.
type member struct {
	index.Entry
	content string
}

type layer []member

type option func(*index.Entry)

// noon is the time of entries that are given none.
const noon = 1_600_000_000

func entry(name string, mode uint32, options []option) member {
	e := index.Entry{Name: name, Mode: mode, ModTime: time.Unix(noon, 0).UTC()}
	for _, o := range options {
		o(&e)
	}
	return member{Entry: e}
}

func dir(name string, o ...option) member  { return entry(name, index.ModeDir|0o755, o) }
func fifo(name string, o ...option) member { return entry(name, index.ModeFIFO|0o644, o) }
func wh(name string, o ...option) member {
	d, base := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		d, base = name[:i+1], name[i+1:]
	}
	return entry(d+".wh."+base, index.ModeRegular|0o644, o)
}

func file(name, content string, o ...option) member {
	m := entry(name, index.ModeRegular|0o644, append([]option{size(1)}, o...))
	m.content = content
	return m
}

func symlink(name, target string, o ...option) member {
	return entry(name, index.ModeSymlink|0o777, append([]option{to(target)}, o...))
}

func hard(name, target string, o ...option) member {
	m := entry(name, index.ModeRegular|0o644, append([]option{to(target)}, o...))
	m.HardLink = true
	return m
}

func device(kind uint32, name string, major, minor uint32) member {
	m := entry(name, kind|0o644, nil)
	m.Major, m.Minor = major, minor
	return m
}

func mode(v uint32) option       { return func(e *index.Entry) { e.Mode = e.Mode&index.ModeType | v } }
func kind(v uint32) option       { return func(e *index.Entry) { e.Mode = e.Mode&index.ModePerm | v } }
func own(uid, gid uint32) option { return func(e *index.Entry) { e.UID, e.GID = uid, gid } }
func at(sec, nsec int64) option {
	return func(e *index.Entry) { e.ModTime = time.Unix(sec, nsec).UTC() }
}
func to(target string) option { return func(e *index.Entry) { e.Link = target } }
func size(n int64) option     { return func(e *index.Entry) { e.Size = n } }
func data(x ...index.Extent) option {
	return func(e *index.Entry) { e.Data = append([]index.Extent{}, x...) }
}
func xattr(name, value string) option {
	return func(e *index.Entry) { e.Xattrs = append(e.Xattrs, index.Xattr{Name: name, Value: value}) }
}

// A stack is an image: its layers' tables of contents, and how the contents
// are called that lie in them.
type stack struct {
	tocs     []*index.TOC
	contents map[place]string
}

type place struct {
	layer int
	off   int64
}

func pile(layers ...layer) stack {
	s := stack{contents: map[place]string{}}
	for i, l := range layers {
		off := int64(0)
		var entries []index.Entry
		for _, m := range l {
			if m.Size > 0 {
				off += 512
				m.Off = off
				s.contents[place{i, off}] = m.content
				off += m.Size
			}
			entries = append(entries, m.Entry)
		}
		s.tocs = append(s.tocs, index.New(entries))
	}
	return s
}

// A sight is a file as a reader of the tree sees it.
type sight struct {
	attr    tree.Attr
	content string // what it is called, and where its holes are
	link    string
	xattrs  []index.Xattr
	first   string // its first name, if this is another
}

// show tells what is seen at path, as a word: "d/", "f=content", "s->target",
// "h==first", and in braces what is not as usual.
func (s sight) show(path string) string {
	if s.first != "" {
		return path + "==" + s.first
	}
	usual, perm := uint32(0o644), s.attr.Mode&index.ModePerm
	word := path
	switch s.attr.Mode & index.ModeType {
	case index.ModeDir:
		word, usual = path+"/", 0o755
	case index.ModeRegular:
		word += "=" + s.content
	case index.ModeSymlink:
		word, usual = word+"->"+s.link, 0o777
	case index.ModeFIFO:
		word += "|"
	case index.ModeChar:
		word += fmt.Sprintf("=c%d,%d", s.attr.Major, s.attr.Minor)
	case index.ModeBlock:
		word += fmt.Sprintf("=b%d,%d", s.attr.Major, s.attr.Minor)
	}
	var odd []string
	add := func(is bool, format string, args ...any) {
		if is {
			odd = append(odd, fmt.Sprintf(format, args...))
		}
	}
	add(perm != usual, "%04o", perm)
	add(s.attr.UID|s.attr.GID != 0, "%d:%d", s.attr.UID, s.attr.GID)
	add(s.attr.Sec != noon && s.attr.Nsec == 0, "@%d", s.attr.Sec)
	add(s.attr.Nsec != 0, "@%d.%09d", s.attr.Sec, s.attr.Nsec)
	add(s.attr.Nlink > 1 && s.attr.Mode&index.ModeType != index.ModeDir, "x%d", s.attr.Nlink)
	for _, x := range s.xattrs {
		add(true, "%s=%s", x.Name, x.Value)
	}
	if odd != nil {
		word += "{" + strings.Join(odd, ",") + "}"
	}
	return word
}

// words tells a tree: a word for each path, depth first.
func words(t *tree.Tree, contents map[place]string) []string {
	var list []string
	first := map[tree.Node]string{}
	var walk func(path string, n tree.Node)
	walk = func(path string, n tree.Node) {
		s := sight{attr: t.Attr(n), link: t.Readlink(n), xattrs: t.Xattrs(n), first: first[n]}
		if d := t.Data(n); d.Size > 0 {
			s.content = contents[place{d.Layer, d.Off}]
			if d.Extents != nil {
				s.content += fmt.Sprint(d.Extents)
			}
		}
		list = append(list, s.show(path))
		if first[n] == "" {
			first[n] = path
		}
		if !t.IsDir(n) {
			return
		}
		for i, count := t.Dirents(n); count > 0; i, count = i+1, count-1 {
			name, child := t.Dirent(i)
			walk(strings.TrimPrefix(path+"/"+name, "/"), child)
		}
	}
	walk("", tree.Root)
	return list
}

// changes tells in words what is in b and not in a, and the other way round.
func changes(a, b []string) string {
	var list []string
	for _, w := range a {
		if !slices.Contains(b, w) {
			list = append(list, "-"+w)
		}
	}
	for _, w := range b {
		if !slices.Contains(a, w) {
			list = append(list, "+"+w)
		}
	}
	return strings.Join(list, " ")
}
