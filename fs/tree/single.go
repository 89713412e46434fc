package tree

import (
	"slices"
	"strings"

	"ocifs.dev/ocifs/index"
)

// The attribute that makes a directory opaque to an overlayfs above, in the
// namespace that it looks at: this one, or, where it was mounted with userxattr
// (by a user in a namespace of their own), the other one.
const (
	OpaqueTrusted = "trusted.overlay.opaque"
	OpaqueUser    = "user.overlay.opaque"
)

// Single makes a tree of one layer by itself, in the form in which overlayfs
// stacks it over others: a whiteout is a character device 0/0, an opaque
// directory has the attribute called opaque, with the value "y". Otherwise it
// is what Merge would show of the layer. A directory that only whiteouts are
// in is made for them.
//
// Hard links whose targets only the layers below have are left out; lost is
// how many.
func Single(t *index.TOC, opaque string) (_ *Tree, lost int, err error) {
	m := newMerger(t.NumEntries())
	m.lone = &lone{opaque: opaque}
	if err := m.merge(0, t); err != nil {
		return nil, 0, err
	}
	for _, h := range m.lone.hides {
		if err := m.show(h); err != nil {
			return nil, 0, &Error{0, h.entry.Name, err}
		}
	}
	s, err := m.freeze()
	return s, m.lone.lost, err
}

// A lone layer's whiteouts are shown when all else of it is there: what the
// layer has itself is not hidden.
type lone struct {
	opaque string
	hides  []hiding
	lost   int // hard links without a target
}

// hiding is a whiteout or an opaque marker.
type hiding struct {
	dir, name string // name is "" for a marker
	entry     index.Entry
}

// note keeps a whiteout for later, or a marker, which hides no name.
func (l *lone) note(dir, hides string, e *index.Entry) error {
	l.hides = append(l.hides, hiding{dir, hides, index.Entry{
		Name: e.Name, Mode: index.ModeChar, UID: e.UID, GID: e.GID, ModTime: e.ModTime,
	}})
	return checkPath(dir)
}

// show makes what overlayfs takes for the whiteout.
func (m *merger) show(h hiding) error {
	d, err := m.directory(h.dir)
	if err != nil {
		return err
	}
	if h.name == "" {
		m.makeOpaque(m.dents.list[d].inode)
		return nil
	}
	c, err := m.name(d, h.name)
	if err != nil {
		return err
	}
	switch i := m.dents.list[c].inode; {
	case i == 0:
		i = m.newInode()
		m.describe(i, &h.entry)
		m.give(c, i)
	case m.inodes[i].is(index.ModeDir):
		m.makeOpaque(i)
	}
	return nil
}

func (m *merger) makeOpaque(i ino) {
	v := &m.inodes[i]
	var list []index.Xattr
	if v.xattr != 0 {
		list = decodeSet(m.setList[v.xattr])
	}
	if slices.ContainsFunc(list, func(x index.Xattr) bool { return x.Name == m.lone.opaque }) {
		return
	}
	list = append(list, index.Xattr{Name: m.lone.opaque, Value: "y"})
	slices.SortFunc(list, func(a, b index.Xattr) int { return strings.Compare(a.Name, b.Name) })
	m.scratch = appendSet(m.scratch[:0], list)
	v.xattr = m.intern(m.scratch)
}
