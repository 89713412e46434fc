package tree_test

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// The reference merges layers the way overlayfs shows them: each layer is
// unpacked into a directory of its own, its whiteouts written down beside it,
// and laid over the finished tree below. It is slow, and as plain as can be.

var errReference = errors.New("no such tree")

// A ref is a file of the reference. One that a hard link waits for has no
// type.
type ref struct {
	member
	layer    int
	implicit bool // a directory that has no entry
	fresh    bool // a directory that took the place of a file of its own layer
	names    map[string]*ref
}

func (r *ref) is(mode uint32) bool { return r.Mode&index.ModeType == mode }
func (r *ref) isDir() bool         { return r.is(index.ModeDir) }

// A refLayer is a layer being unpacked into upper.
type refLayer struct {
	number       int
	lower, upper *ref
	hides        map[string]bool // paths of the lower tree
	opaques      map[string]bool // directories of the lower tree
	waiting      []*ref
}

func (l *refLayer) newDir() *ref {
	return &ref{member: dir("", at(0, 0)), layer: l.number, implicit: true, names: map[string]*ref{}}
}

// reference merges a stack, and tells the tree in words.
func reference(layers []layer) ([]string, error) {
	lower := (&refLayer{}).newDir()
	for i, entries := range layers {
		l := &refLayer{number: i, lower: lower, hides: map[string]bool{}, opaques: map[string]bool{}}
		l.upper = l.newDir()
		for _, m := range entries {
			if err := l.entry(m); err != nil {
				return nil, err
			}
		}
		if err := l.settle(); err != nil {
			return nil, err
		}
		l.upper.vanish()
		lower = l.view()
	}
	return lower.words(), nil
}

// view is the tree as it looks at the moment.
func (l *refLayer) view() *ref { return l.over("", l.lower, l.upper) }

func (l *refLayer) over(path string, low, up *ref) *ref {
	if l.hides[path] || up != nil && up.fresh {
		low = nil
	}
	if up == nil && (low == nil || !low.isDir()) || up != nil && !up.isDir() {
		return cmp.Or(up, low)
	}
	if low == nil || !low.isDir() {
		low = &ref{implicit: true}
	}
	if up == nil {
		up = &ref{implicit: true}
	}
	out := &ref{names: map[string]*ref{}, member: up.member, layer: up.layer}
	if up.implicit && low.isDir() {
		out.member, out.layer = low.member, low.layer
	}
	both := maps.Clone(up.names)
	if both == nil {
		both = map[string]*ref{}
	}
	lower := low.names
	if l.opaques[path] {
		lower = nil
	}
	for name := range lower {
		both[name] = nil
	}
	for name := range both {
		if f := l.over(join(path, name), lower[name], up.names[name]); f != nil {
			out.names[name] = f
		}
	}
	return out
}

func join(dir, name string) string { return strings.TrimPrefix(dir+"/"+name, "/") }

func (l *refLayer) entry(m member) error {
	if m.Name == "" {
		if m.HardLink || m.Mode&index.ModeType != index.ModeDir {
			return errReference
		}
		l.upper.member, l.upper.implicit = m, false
		return nil
	}
	parts := strings.Split(m.Name, "/")
	if slices.ContainsFunc(parts, func(s string) bool { return s == "" || s == "." || s == ".." }) {
		return errReference
	}
	base := parts[len(parts)-1]
	parts = parts[:len(parts)-1]
	hides, isWhiteout := strings.CutPrefix(base, ".wh.")
	switch {
	case isWhiteout && (hides == "" || hides == "." || hides == ".."):
		return errReference
	case isWhiteout && !strings.HasPrefix(hides, ".wh.") || hides == ".wh..opq":
		return l.whiteout(parts, hides)
	}
	d, err := l.directory(parts)
	switch {
	case err != nil:
		return err
	case m.HardLink:
		d.names[base] = &ref{member: m, layer: l.number}
		d.names[base].Mode = 0
		return l.link(d, base)
	}
	if m.Mode&index.ModeType == index.ModeSymlink {
		m.Mode |= 0o777
	}
	old, f := d.names[base], &ref{member: m, layer: l.number}
	if f.isDir() && old != nil && old.isDir() {
		old.member, old.layer, old.implicit = m, l.number, false
		return nil
	}
	if f.isDir() {
		f.names, f.fresh = map[string]*ref{}, old != nil
	}
	d.names[base] = f
	return nil
}

// directory makes a directory of the upper tree.
func (l *refLayer) directory(parts []string) (*ref, error) {
	way := []*ref{l.upper}
	for _, part := range parts {
		rest, links := []string{part}, 0
		for len(rest) > 0 {
			part, rest = rest[0], rest[1:]
			d := way[len(way)-1]
			switch part {
			case "", ".":
				continue
			case "..":
				way = way[:max(1, len(way)-1)]
				continue
			}
			f := d.names[part]
			switch {
			case f == nil:
				f = l.newDir()
			case f.is(index.ModeSymlink):
				if links++; links > 40 {
					return nil, errReference
				}
				rest = append(strings.Split(f.Link, "/"), rest...)
				if strings.HasPrefix(f.Link, "/") {
					way = way[:1]
				}
				continue
			case !f.isDir():
				f = l.newDir()
				f.fresh = true
			}
			d.names[part] = f
			way = append(way, f)
		}
	}
	return way[len(way)-1], nil
}

// find goes along a path in the tree as it looks at the moment; through
// symbolic links, of this layer only or all.
func (l *refLayer) find(parts []string, all bool) (path []string, f *ref, err error) {
	way := []*ref{l.view()}
	for links := 0; len(parts) > 0; {
		part := parts[0]
		parts = parts[1:]
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			way, path = way[:max(1, len(way)-1)], path[:max(0, len(path)-1)]
			continue
		}
		f := way[len(way)-1].names[part]
		switch {
		case f == nil:
			return nil, nil, nil
		case f.is(index.ModeSymlink) && (all || l.own(append(path, part)) == f):
			if links++; links > 40 {
				return nil, nil, errReference
			}
			parts = append(strings.Split(f.Link, "/"), parts...)
			if strings.HasPrefix(f.Link, "/") {
				way, path = way[:1], nil
			}
		case !f.isDir():
			return nil, nil, nil
		default:
			way, path = append(way, f), append(path, part)
		}
	}
	return path, way[len(way)-1], nil
}

// own is what the upper tree alone has at a path.
func (l *refLayer) own(path []string) *ref {
	f := l.upper
	for _, part := range path {
		if f == nil {
			return nil
		}
		f = f.names[part]
	}
	return f
}

func (l *refLayer) whiteout(parts []string, name string) error {
	path, d, err := l.find(parts, false)
	switch {
	case d == nil:
	case name == ".wh..opq":
		l.opaques[strings.Join(path, "/")] = true
	default:
		l.hides[strings.Join(append(path, name), "/")] = true
	}
	return err
}

// link gives the hard link called base in d its target, if that is there.
func (l *refLayer) link(d *ref, base string) error {
	f := d.names[base]
	target, err := l.target(f)
	switch {
	case err != nil:
		return err
	case target == nil || target == f:
		l.waiting = append(l.waiting, f)
	default:
		d.names[base] = target
	}
	return nil
}

func (l *refLayer) target(f *ref) (*ref, error) {
	parts := strings.Split(f.Link, "/")
	_, d, err := l.find(parts[:len(parts)-1], true)
	if d == nil {
		return nil, err
	}
	target := d.names[parts[len(parts)-1]]
	if f.Link == "" || target != nil && target.isDir() {
		return nil, errReference
	}
	return target, nil
}

// settle goes through the hard links that wait until none does.
func (l *refLayer) settle() error {
	for len(l.waiting) > 0 {
		n := len(l.waiting)
		l.waiting = slices.DeleteFunc(l.waiting, func(f *ref) bool {
			target, err := l.target(f)
			if err != nil || target == nil || target.is(0) {
				return false
			}
			l.upper.replace(f, target)
			return true
		})
		if len(l.waiting) == n {
			return errReference
		}
	}
	return nil
}

func (r *ref) replace(f, by *ref) {
	for name, child := range r.names {
		if child == f {
			r.names[name] = by
		}
		child.replace(f, by)
	}
}

func (r *ref) vanish() {
	for name, child := range r.names {
		if strings.HasPrefix(name, ".wh.") {
			delete(r.names, name)
		}
		child.vanish()
	}
}

func (r *ref) words() []string {
	nlink := map[*ref]uint32{}
	var count func(f *ref)
	count = func(f *ref) {
		nlink[f]++
		for _, child := range f.names {
			count(child)
		}
	}
	count(r)
	var list []string
	first := map[*ref]string{}
	var walk func(path string, f *ref)
	walk = func(path string, f *ref) {
		s := sight{first: first[f], link: f.Link, content: f.content, xattrs: f.Xattrs, attr: tree.Attr{
			Mode: f.Mode, UID: f.UID, GID: f.GID, Nlink: nlink[f], Major: f.Major, Minor: f.Minor,
			Sec: f.ModTime.Unix(), Nsec: uint32(f.ModTime.Nanosecond()), Layer: f.layer,
		}}
		if t := f.Mode & index.ModeType; t != index.ModeRegular && t != index.ModeDir {
			s.xattrs = nil // they are a user's
		}
		list = append(list, s.show(path))
		if first[f] == "" {
			first[f] = path
		}
		for _, name := range slices.Sorted(maps.Keys(f.names)) {
			walk(join(path, name), f.names[name])
		}
	}
	walk("", r)
	return list
}
