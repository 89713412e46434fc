package tree

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"strings"

	"ocifs.dev/ocifs/index"
)

// A did is a dent's index in dents.list.
type did uint32

// rootDent is the root directory's. Where a dent is asked for it also stands
// for none: the root is nobody's child.
const rootDent did = 0

// A dent is a name in a directory. It is never deleted: a name that is taken
// away has no inode until it is given another.
type dent struct {
	parent did
	child  did    // of a directory: the first name in it
	next   did    // in the same directory
	text   uint32 // where the name begins in dents.text
	inode  ino    // 0: none
	seen   uint32 // stamp of the last layer that made this name or put something below it
	clear  uint32 // of a directory: stamp of the last layer that hides what the ones before had in it
	depth  uint16
	length uint8
	listed bool // among the parent's children
}

// maxDents bounds what a merge takes: some 100 bytes for each, 3 GiB at most.
const maxDents = 32 << 20

// maxDepth is as deep as a path can reach: one byte per name, one per slash.
const maxDepth = (maxPath + 1) / 2

// dents are all names, and a hash table that finds them by directory and text.
// Its order is never seen.
type dents struct {
	list []dent
	text []byte
	// The table is probed linearly, and a quarter of it at least is empty. A
	// slot is hash << 32 | did, so that most dents that aren't meant needn't be
	// looked at; 0 is an empty one.
	table []uint64
	seed  maphash.Seed
}

// newDents makes a table with the root, and room for n names more.
func newDents(n int) dents {
	return dents{
		list:  append(make([]dent, 0, n+1), dent{inode: rootInode}),
		text:  make([]byte, 0, 16*n),
		table: make([]uint64, max(16, 1<<bits.Len(uint(n+n/3)))),
		seed:  maphash.MakeSeed(),
	}
}

func (d *dents) hash(parent did, name string) uint32 {
	// A product of 128 bits, folded, lets every bit of both reach every other.
	h, l := bits.Mul64(maphash.String(d.seed, name)^0x9e3779b97f4a7c15, uint64(parent)<<1|0xbf58476d00000001)
	return uint32(h ^ l)
}

// find returns the dent of a name, which may be one without an inode, or 0.
func (d *dents) find(parent did, name string, hash uint32) did {
	mask := uint32(len(d.table) - 1)
	for i := hash & mask; d.table[i] != 0; i = (i + 1) & mask {
		if h, c := unpair(d.table[i]); h == hash && d.is(did(c), parent, name) {
			return did(c)
		}
	}
	return 0
}

func (d *dents) is(c, parent did, name string) bool {
	return d.list[c].parent == parent && string(d.name(c)) == name
}

func (d *dents) name(c did) []byte {
	e := &d.list[c]
	return d.text[e.text : e.text+uint32(e.length)]
}

// add makes a dent for a name that has none.
func (d *dents) add(parent did, name string, hash uint32) (did, error) {
	depth := d.list[parent].depth + 1
	switch {
	case len(d.list) >= maxDents:
		return 0, fmt.Errorf("%w: more than %d names", index.ErrLimit, maxDents)
	case len(d.text) > math.MaxUint32-len(name):
		return 0, fmt.Errorf("%w: names of more than 4 GiB", index.ErrLimit)
	case depth > maxDepth:
		return 0, fmt.Errorf("%w: more than %d directories deep", index.ErrLimit, maxDepth)
	}
	if len(d.list) > len(d.table)/4*3 {
		d.grow()
	}
	c := did(len(d.list))
	d.list = append(d.list, dent{parent: parent, text: uint32(len(d.text)), length: uint8(len(name)), depth: depth})
	d.text = append(d.text, name...)
	d.insert(pair(hash, uint32(c)))
	return c, nil
}

func (d *dents) insert(slot uint64) {
	hash, _ := unpair(slot)
	mask := uint32(len(d.table) - 1)
	i := hash & mask
	for d.table[i] != 0 {
		i = (i + 1) & mask
	}
	d.table[i] = slot
}

func (d *dents) grow() {
	old := d.table
	d.table = make([]uint64, 2*len(old))
	for _, slot := range old {
		if slot != 0 {
			d.insert(slot)
		}
	}
}

// lookup finds a name that has an inode.
func (m *merger) lookup(dir did, name string) (did, bool) {
	c := m.dents.find(dir, name, m.dents.hash(dir, name))
	return c, c != 0 && m.dents.list[c].inode != 0
}

// name finds or makes the dent of a name in dir.
func (m *merger) name(dir did, name string) (did, error) {
	hash := m.dents.hash(dir, name)
	if c := m.dents.find(dir, name, hash); c != 0 {
		return c, nil
	}
	if err := checkName(name); err != nil {
		return 0, err
	}
	return m.dents.add(dir, name, hash)
}

func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%q in its path", name)
	case len(name) > maxName:
		return fmt.Errorf("a name of %d bytes", len(name))
	case strings.IndexByte(name, 0) >= 0:
		return errors.New("a NUL in its path")
	}
	return nil
}

// checkPath checks the names in a path that need not lead to any dents.
func checkPath(path string) error {
	for path != "" {
		name, rest, more := strings.Cut(path, "/")
		if err := checkName(name); err != nil {
			return err
		}
		if path = rest; more && rest == "" {
			return checkName("")
		}
	}
	return nil
}

// give gives inode i to a name that has none. A new directory has nothing from
// the layers below in it.
func (m *merger) give(c did, i ino) {
	e := &m.dents.list[c]
	e.inode, e.seen, e.clear = i, m.stamp(), m.stamp()
	m.inodes[i].nlink++
	if m.inodes[i].is(index.ModeDir) {
		m.inodes[i].where = uint64(c)
	}
	if !e.listed {
		dir := &m.dents.list[e.parent]
		e.listed, e.next, dir.child = true, dir.child, c
	}
	if name := m.dents.name(c); len(name) >= len(whiteout) && string(name[:len(whiteout)]) == whiteout {
		m.hidden = append(m.hidden, c)
	}
}

// take takes a name's inode away; what it has below is not looked at.
func (m *merger) take(c did) {
	i := m.dents.list[c].inode
	if k := m.inodes[i].mode & index.ModeType; k == index.ModeDir || k == index.ModeSymlink {
		m.path.reset()
	}
	m.dents.list[c].inode = 0
	m.drop(i)
}

// remove takes away a name and all that is below it.
func (m *merger) remove(c did) {
	base := len(m.stack)
	for m.stack = append(m.stack, c); len(m.stack) > base; {
		c := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		for k := m.dents.list[c].child; k != 0; {
			e := &m.dents.list[k]
			if e.inode != 0 {
				m.stack = append(m.stack, k)
			}
			k, e.next, e.listed = e.next, 0, false
		}
		m.dents.list[c].child = 0
		m.take(c)
	}
}
