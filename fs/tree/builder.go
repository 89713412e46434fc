package tree

import (
	"fmt"
	"io/fs"
	"math"
	"strings"

	"ocifs.dev/ocifs/index"
)

// A Builder makes a tree of other trees, or parts of them, and of single
// files. Where they come from is for the caller to know: a layer's number is
// that of a decoded space, and the Builder gives the numbers of a tree that it
// takes over new ones. Nodes are numbered as in every tree, so that the same
// parts make the same tree. It is for one goroutine; after Tree, or an error
// of Graft, it is of no use.
type Builder struct{ m *merger }

// NewBuilder makes a Builder of an empty root directory, with room for so many
// names; it takes more, too.
func NewBuilder(names int) *Builder { return &Builder{newMerger(names)} }

// Add makes the file that e tells of, at e.Name, whose content lies in the
// decoded space of that number; hard links can't be made. Directories on the
// way are made if need be. Where a file is already, or is on the way, the error
// is fs.ErrExist, and nothing was made. Two directories are one, with what the
// later entry says of it. A name that begins
// with ".wh." is a name like any other.
func (b *Builder) Add(layer int, e *index.Entry) error {
	err := checkEntry(e)
	if err == nil && (e.HardLink || layer < 0 || layer > math.MaxUint16) {
		err = fs.ErrInvalid
	}
	if err == nil {
		err = checkPath(e.Name)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", e.Name, err)
	}
	b.m.layer = layer
	isDir := e.Mode&index.ModeType == index.ModeDir
	if b.blocked(e.Name, isDir) {
		return fmt.Errorf("%q: %w", e.Name, fs.ErrExist)
	}
	dir, base := split(e.Name)
	d, err := b.dir(dir)
	if err != nil {
		return fmt.Errorf("%q: %w", e.Name, err)
	}
	if e.Name == "" {
		return b.m.root(e)
	}
	return b.m.put(d, base, e)
}

// blocked says whether name can't be made: a file has it, or one is on the way.
func (b *Builder) blocked(name string, isDir bool) bool {
	d := rootDent
	for name != "" {
		part, rest, more := strings.Cut(name, "/")
		c, ok := b.m.lookup(d, part)
		if !ok {
			return false
		}
		if !b.m.inodes[b.m.dents.list[c].inode].is(index.ModeDir) {
			return true
		}
		if !more {
			return !isDir
		}
		d, name = c, rest
	}
	return !isDir
}

// dir is the directory at a path, which is made if need be.
func (b *Builder) dir(path string) (did, error) {
	d := rootDent
	for path != "" {
		part, rest, _ := strings.Cut(path, "/")
		path = rest
		c, err := b.m.name(d, part)
		if err != nil {
			return 0, err
		}
		switch i := b.m.dents.list[c].inode; {
		case i == 0:
			b.m.mkdir(c)
		case !b.m.inodes[i].is(index.ModeDir):
			return 0, fmt.Errorf("%q is no directory: %w", part, fs.ErrExist)
		}
		d = c
	}
	return d, nil
}

// Graft puts what is below directory n of t, and n's own attributes, on the
// directory at path, which is made if need be. Where both have a directory it
// is one, with t's attributes; else t's file replaces what is there. layers are
// the new numbers of t's layers, by their old ones.
func (b *Builder) Graft(path string, t *Tree, n Node, layers []int) error {
	if !t.IsDir(n) {
		return fmt.Errorf("%q: not a directory", t.Path(n))
	}
	err := checkPath(path)
	for _, l := range layers {
		if l < 0 || l > math.MaxUint16 {
			err = fmt.Errorf("%w: layer number %d", index.ErrLimit, l)
		}
	}
	var d did
	if err == nil {
		d, err = b.dir(path)
	}
	if err == nil {
		g := graft{m: b.m, t: t, layers: layers, several: map[Node]ino{}}
		err = g.dir(d, n)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	return nil
}

// Tree is what has been built.
func (b *Builder) Tree() (*Tree, error) { return b.m.freeze() }

// A graft is a tree on its way into a merger.
type graft struct {
	m       *merger
	t       *Tree
	layers  []int
	several map[Node]ino // files with several names, of which one has been seen
}

// dir makes d what n is.
func (g *graft) dir(d did, n Node) error {
	g.describe(g.m.dents.list[d].inode, n)
	first, count := g.t.Dirents(n)
	for k := first; k < first+count; k++ {
		name, child := g.t.Dirent(k)
		c, err := g.m.name(d, name)
		if err != nil {
			return err
		}
		if err := g.put(c, child); err != nil {
			return err
		}
	}
	return nil
}

// put makes c, which may have been something else, a name of n.
func (g *graft) put(c did, n Node) error {
	i, isDir := g.m.dents.list[c].inode, g.t.IsDir(n)
	if i != 0 && !(isDir && g.m.inodes[i].is(index.ModeDir)) {
		g.m.remove(c)
		i = 0
	}
	if i == 0 {
		g.m.give(c, g.inode(n))
	}
	if isDir {
		return g.dir(c, n)
	}
	return nil
}

// inode is n's inode, a new one unless a name of it was seen before.
func (g *graft) inode(n Node) ino {
	if i, ok := g.several[n]; ok {
		return i
	}
	i := g.m.newInode()
	g.describe(i, n)
	if !g.t.IsDir(n) && g.t.nodes[n].nlink > 1 {
		g.several[n] = i
	}
	return i
}

// describe gives an inode n's type and attributes. Where it is a directory it
// stays where it is.
func (g *graft) describe(i ino, n Node) {
	f, v := &g.t.nodes[n], &g.m.inodes[i]
	where, links := v.where, v.nlink
	v.node, v.extra = *f, 0
	v.nlink = links
	v.layer = uint16(g.layer(int(f.layer)))
	v.owner = g.m.owner(g.t.owners[f.owner])
	g.m.scratch = appendSet(g.m.scratch[:0], g.t.Xattrs(n))
	v.xattr = g.m.intern(g.m.scratch)
	switch f.mode & index.ModeType {
	case index.ModeDir:
		v.where = where
	case index.ModeSymlink:
		v.where = uint64(len(g.m.links))
		g.m.links = append(g.m.links, g.t.Readlink(n))
	case index.ModeRegular:
		if data := g.t.extentsOf(n); data != nil {
			g.m.data = append(g.m.data, data)
			v.extra = uint32(len(g.m.data))
		}
	}
}

// layer is the new number of a layer. What no layer has told of, a directory,
// may be said to be of one that a tree without layers hasn't got.
func (g *graft) layer(old int) int {
	if old < len(g.layers) {
		return g.layers[old]
	}
	return 0
}
