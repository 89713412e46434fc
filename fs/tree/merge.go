package tree

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"ocifs.dev/ocifs/index"
)

// Names that mean something else.
const (
	whiteout = ".wh."         // .wh.x hides x
	reserved = ".wh..wh."     // AUFS's own files, of which only one is spoken of in the specification:
	opaque   = ".wh..wh..opq" // hides what the directory has in the layers below
)

// An Error says which entry of which layer cannot be part of a tree.
type Error struct {
	Layer int // 0 is the base
	Entry string
	Err   error
}

func (e *Error) Error() string {
	return fmt.Sprintf("layer %d: entry %q: %v", e.Layer+1, e.Entry, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Merge makes the tree of an image's layers, base first. No layers make an
// empty root directory. The error is an *Error if it is one entry's fault;
// index.ErrLimit is among its causes if the image is only too large.
func Merge(layers []*index.TOC) (*Tree, error) {
	if len(layers) > math.MaxUint16 {
		return nil, fmt.Errorf("%w: %d layers", index.ErrLimit, len(layers))
	}
	n := 0
	for _, t := range layers {
		n += t.NumEntries()
	}
	m := newMerger(n)
	for i, t := range layers {
		if err := m.merge(i, t); err != nil {
			return nil, err
		}
	}
	return m.freeze()
}

// A merger is a tree being made. It holds names apart from inodes: a name
// (dent) is in one directory and has one inode, an inode may have several
// names. Both live in slices and are spoken of by index.
type merger struct {
	layer int // the one being merged

	dents  dents
	inodes []inode
	free   []ino // inodes without names, to be used again

	owners    map[owner]uint32
	ownerList []owner
	lastOwner uint32
	sets      map[string]uint32 // sets of extended attributes by their encoding
	setList   []string
	links     []string         // targets of symbolic links
	data      [][]index.Extent // of sparse files

	path     path // where the entry before this one was
	pending  []pending
	hidden   []did // names that are to vanish when the layer ends
	lone     *lone // nil unless a layer is to be shown by itself
	followed int   // bytes of paths made by following symbolic links
	scratch  []byte
	stack    []did
}

// newMerger makes a merger whose tree is an empty root directory, with room
// for n names.
func newMerger(n int) *merger {
	n = min(n, 1<<20)
	m := &merger{
		dents:   newDents(n),
		inodes:  make([]inode, firstInode, int(firstInode)+n),
		owners:  map[owner]uint32{},
		sets:    map[string]uint32{"": 0},
		setList: []string{""},
	}
	m.inodes[rootInode].nlink = 1
	m.plain(rootInode)
	return m
}

func (m *merger) merge(layer int, t *index.TOC) error {
	m.layer = layer
	m.dents.list[rootDent].seen = m.stamp()
	m.path.reset()
	n := 0
	for e := range t.Entries() {
		if err := m.entry(e); err != nil {
			return &Error{layer, e.Name, err}
		}
		n++
	}
	if n != t.NumEntries() {
		return fmt.Errorf("layer %d: %d of its %d entries are there", layer+1, n, t.NumEntries())
	}
	if err := m.settle(); err != nil {
		return err
	}
	m.vanish()
	return nil
}

// stamp is the layer's number in dents, where 0 stands for none.
func (m *merger) stamp() uint32 { return uint32(m.layer) + 1 }

// entry adds one entry of the current layer.
func (m *merger) entry(e *index.Entry) error {
	if err := checkEntry(e); err != nil {
		return err
	}
	if e.Name == "" {
		return m.root(e)
	}
	dir, base := split(e.Name)
	if strings.HasPrefix(base, whiteout) {
		hides := base[len(whiteout):]
		switch {
		case base == opaque && m.lone != nil:
			return m.lone.note(dir, "", e)
		case base == opaque:
			return m.opaque(dir)
		case strings.HasPrefix(base, reserved):
			// A file like any other, until the layer ends.
		case hides == "" || hides == "." || hides == "..":
			return errors.New("a whiteout of no name")
		case m.lone != nil:
			return m.lone.note(dir, hides, e)
		default:
			return m.whiteout(dir, hides)
		}
	}
	d, err := m.directory(dir)
	if err != nil {
		return err
	}
	return m.put(d, base, e)
}

func (m *merger) root(e *index.Entry) error {
	if e.HardLink || e.Mode&index.ModeType != index.ModeDir {
		return errors.New("the root is not a directory")
	}
	m.describe(rootInode, e)
	return nil
}

// put makes the entry that is called base in directory d.
func (m *merger) put(d did, base string, e *index.Entry) error {
	c, err := m.name(d, base)
	if err != nil {
		return err
	}
	isDir := e.Mode&index.ModeType == index.ModeDir && !e.HardLink
	if i := m.dents.list[c].inode; i != 0 {
		if isDir && m.inodes[i].is(index.ModeDir) {
			m.dents.list[c].seen = m.stamp()
			m.describe(i, e)
			return nil
		}
		m.remove(c)
	}
	if e.HardLink {
		return m.hardLink(c, e)
	}
	i := m.newInode()
	m.describe(i, e)
	m.give(c, i)
	return nil
}

func split(name string) (dir, base string) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], name[i+1:]
}

func checkEntry(e *index.Entry) error {
	switch {
	case strings.HasPrefix(e.Name, "/"):
		return errors.New("a slash at its start")
	case len(e.Name) > maxPath:
		return fmt.Errorf("a path of %d bytes", len(e.Name))
	case len(e.Link) > maxPath:
		return fmt.Errorf("a link of %d bytes", len(e.Link))
	case e.HardLink:
		return nil
	}
	switch e.Mode & index.ModeType {
	case index.ModeSymlink:
		if e.Link == "" || strings.IndexByte(e.Link, 0) >= 0 {
			return fmt.Errorf("a symbolic link to %q", e.Link)
		}
	case index.ModeRegular, index.ModeDir, index.ModeChar, index.ModeBlock, index.ModeFIFO:
	default:
		return fmt.Errorf("%w: a file of type %#o", index.ErrUnsupported, e.Mode&index.ModeType)
	}
	return nil
}
