// Package diff compares two merged trees, or one with a directory of this
// machine ([Dir]).
//
// Metadata decide most: names, types, attributes, sizes. Of two files of equal
// size, what a Kin knows of their layers decides; only what is left is read,
// and no farther than to the first difference.
package diff

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A Source is one side of a comparison: *image.Image, *Dir.
type Source interface {
	Tree() *tree.Tree
	// ReadAt reads the content of the regular file n, in the manner of
	// io.ReaderAt. It may be called concurrently.
	ReadAt(n tree.Node, p []byte, off int64) (int, error)
}

// An Aspect is something that two files can differ in. Aspects can be ORed.
type Aspect uint

// The aspects.
const (
	Mode    Aspect = 1 << iota // permissions
	Owner                      // user and group
	MTime                      // modification time
	Size                       // of a regular file
	Content                    // of a regular file of the same size
	Target                     // of a symbolic link
	Device                     // number of a device
	Xattrs                     // extended attributes
	Links                      // how many names a file has; not of directories
)

// aspects are their names, in order.
var aspects = []string{"mode", "owner", "mtime", "size", "content", "target", "device", "xattr", "links"}

// Names are the names of the aspects in a.
func (a Aspect) Names() []string {
	var names []string
	for i, name := range aspects {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// ParseAspects is the aspects of a list as in "mtime,owner".
func ParseAspects(list string) (a Aspect, err error) {
	for name := range strings.SplitSeq(list, ",") {
		i := slices.Index(aspects, name)
		if i < 0 {
			return 0, fmt.Errorf("no aspect %q of a file (there are %s)", name, strings.Join(aspects, ", "))
		}
		a |= 1 << i
	}
	return a, nil
}

// A Status says what became of a file.
type Status byte

// The statuses, by the letters of git diff --name-status.
const (
	Added    Status = 'A' // only in the new tree
	Deleted  Status = 'D' // only in the old tree
	Modified Status = 'M' // of the same type in both
	Retyped  Status = 'T' // of another type
)

// A Change is a file that is not the same in both trees.
type Change struct {
	Path     string // relative to where the comparison began; "" is that itself
	Status   Status
	What     Aspect    // if it is Modified
	Old, New tree.Node // of which Added and Deleted have one
}

// Options say what to compare. The zero value compares everything, by reading
// where need be.
type Options struct {
	// Ignore are aspects that don't matter. Content that doesn't isn't read.
	Ignore Aspect
	// Same says, of two regular files of the same size, whether their contents
	// are the same, where that is known. nil: nothing is.
	Same func(old, new tree.Node) (same, known bool)
}

// Trees compares what is at and below from in old with to in new. The changes
// come in the order of tree.All, a deleted directory followed by what was in
// it. Errors are those of reading, with the path, and the cause of ctx.
func Trees(ctx context.Context, old, new Source, from, to tree.Node, o Options) ([]Change, error) {
	c := &comparison{old: old, new: new, a: old.Tree(), b: new.Tree(), o: o}
	c.pair("", from, to)
	if err := c.read(ctx); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(c.list, func(ch Change) bool { return ch.Status == Modified && ch.What == 0 }), nil
}

// A comparison is one under way.
type comparison struct {
	old, new Source
	a, b     *tree.Tree
	o        Options
	list     []Change // among them what is only perhaps modified: see unread
	unread   []int    // in list: their contents have to be read
}

// pair compares two files of the same name, and what is below them.
func (c *comparison) pair(path string, m, n tree.Node) {
	p, q := c.a.Attr(m), c.b.Attr(n)
	switch kind := p.Mode & index.ModeType; {
	case kind != q.Mode&index.ModeType:
		c.list = append(c.list, Change{path, Retyped, 0, m, n})
		c.only(path, c.a, m, Deleted)
		c.only(path, c.b, n, Added)
	case kind == index.ModeDir:
		c.modified(path, m, n, c.attrs(p, q, m, n))
		c.children(path, m, n)
	default:
		c.file(path, p, q, m, n)
	}
}

// modified notes what is not the same.
func (c *comparison) modified(path string, m, n tree.Node, what Aspect) {
	if what &^= c.o.Ignore; what != 0 {
		c.list = append(c.list, Change{path, Modified, what, m, n})
	}
}

// file compares two files of a type that isn't a directory's.
func (c *comparison) file(path string, p, q tree.Attr, m, n tree.Node) {
	what, unread := c.attrs(p, q, m, n), false
	if p.Nlink != q.Nlink {
		what |= Links
	}
	switch p.Mode & index.ModeType {
	case index.ModeSymlink:
		if c.a.Readlink(m) != c.b.Readlink(n) {
			what |= Target
		}
	case index.ModeChar, index.ModeBlock:
		if p.Major != q.Major || p.Minor != q.Minor {
			what |= Device
		}
	case index.ModeRegular:
		var more Aspect
		more, unread = c.content(p.Size, q.Size, m, n)
		what |= more
	}
	if unread { // a change for now, which read may find to be none
		c.unread = append(c.unread, len(c.list))
		c.list = append(c.list, Change{path, Modified, what &^ c.o.Ignore, m, n})
		return
	}
	c.modified(path, m, n, what)
}

// content compares two contents of these sizes, unless they have to be read.
func (c *comparison) content(p, q int64, m, n tree.Node) (what Aspect, unread bool) {
	switch {
	case p != q:
		return Size, false
	case p == 0 || c.o.Ignore&Content != 0:
		return 0, false
	case c.o.Same != nil:
		if same, known := c.o.Same(m, n); same {
			return 0, false
		} else if known {
			return Content, false
		}
	}
	return 0, true
}

// attrs compares what every file has.
func (c *comparison) attrs(p, q tree.Attr, m, n tree.Node) (what Aspect) {
	if p.Mode != q.Mode {
		what |= Mode
	}
	if p.UID != q.UID || p.GID != q.GID {
		what |= Owner
	}
	if p.Sec != q.Sec || p.Nsec != q.Nsec {
		what |= MTime
	}
	if !slices.Equal(c.a.Xattrs(m), c.b.Xattrs(n)) {
		what |= Xattrs
	}
	return what
}

// children compares two directories, name by name.
func (c *comparison) children(path string, m, n tree.Node) {
	i, k := c.a.Dirents(m)
	j, l := c.b.Dirents(n)
	for k, l = i+k, j+l; i < k || j < l; {
		var x, y string
		var u, v tree.Node
		if i < k {
			x, u = c.a.Dirent(i)
		}
		if j < l {
			y, v = c.b.Dirent(j)
		}
		switch {
		case j == l || i < k && x < y:
			c.whole(join(path, x), c.a, u, Deleted)
			i++
		case i == k || y < x:
			c.whole(join(path, y), c.b, v, Added)
			j++
		default:
			c.pair(join(path, x), u, v)
			i, j = i+1, j+1
		}
	}
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// whole notes n and all below it as one that only one side has.
func (c *comparison) whole(path string, t *tree.Tree, n tree.Node, s Status) {
	c.list = append(c.list, lone(path, n, s))
	c.only(path, t, n, s)
}

// only notes what is below n.
func (c *comparison) only(path string, t *tree.Tree, n tree.Node, s Status) {
	for below, x := range t.All(n) {
		if below != "" {
			c.list = append(c.list, lone(join(path, below), x, s))
		}
	}
}

func lone(path string, n tree.Node, s Status) Change {
	if s == Added {
		return Change{Path: path, Status: s, New: n}
	}
	return Change{Path: path, Status: s, Old: n}
}
