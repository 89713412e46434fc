package tree

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"ocifs.dev/ocifs/index"
)

// A freezer numbers the inodes of a finished merge and lays them out.
type freezer struct {
	m      *merger
	t      *Tree
	order  []ino    // by node
	number []uint32 // by ino: 1 + its node, 0 if it has none yet
	names  []did    // by directory entry
	keys   []key    // of the directory at hand
}

// A key sorts names: most differ in their first eight bytes.
type key struct {
	head uint64
	dent did
}

// freeze makes the tree of what has been merged. The merger is of no use
// afterwards.
func (m *merger) freeze() (*Tree, error) {
	f := &freezer{m: m, t: &Tree{owners: m.ownerList}, number: make([]uint32, len(m.inodes))}
	f.walk()
	f.writeNames()
	f.writeNodes()
	f.writeXattrs()
	if err := f.writeExtents(); err != nil {
		return nil, err
	}
	return f.t, nil
}

// walk numbers the inodes: directory by directory, in the order in which the
// directories themselves have got their numbers.
func (f *freezer) walk() {
	f.order = append(make([]ino, 0, len(f.m.inodes)-len(f.m.free)), rootInode)
	f.names = make([]did, 0, len(f.m.dents.list)-1)
	f.number[rootInode] = 1
	for n := 0; n < len(f.order); n++ {
		i := &f.m.inodes[f.order[n]]
		if !i.is(index.ModeDir) {
			continue
		}
		d := &f.m.dents.list[i.where]
		parent := f.m.dents.list[d.parent].inode
		i.where = pair(uint32(len(f.names)), f.number[parent]-1)
		i.nlink = 2
		f.t.dirs = append(f.t.dirs, Node(n))
		f.sort(d.child)
		i.size = int64(len(f.keys))
		for _, k := range f.keys {
			if f.visit(k.dent) {
				i.nlink++
			}
		}
	}
}

// sort sorts the names of a directory, of which child is the first, into keys.
func (f *freezer) sort(child did) {
	f.keys = f.keys[:0]
	for c := child; c != 0; c = f.m.dents.list[c].next {
		if f.m.dents.list[c].inode != 0 {
			f.keys = append(f.keys, key{head(f.m.dents.name(c)), c})
		}
	}
	slices.Reverse(f.keys) // the order of the archive, mostly that of names
	slices.SortFunc(f.keys, func(a, b key) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return bytes.Compare(f.m.dents.name(a.dent), f.m.dents.name(b.dent))
	})
}

// head is the first eight bytes of a name, as a number that compares as they
// do.
func head(name []byte) uint64 {
	if len(name) >= 8 {
		return binary.BigEndian.Uint64(name)
	}
	var b [8]byte
	copy(b[:], name)
	return binary.BigEndian.Uint64(b[:])
}

// visit makes the next directory entry of a name, and says whether it is a
// directory's.
func (f *freezer) visit(c did) bool {
	i := f.m.dents.list[c].inode
	if f.number[i] == 0 {
		f.order = append(f.order, i)
		f.number[i] = uint32(len(f.order))
	} else {
		f.t.others = append(f.t.others, uint32(len(f.names)))
	}
	f.names = append(f.names, c)
	return f.m.inodes[i].is(index.ModeDir)
}

func (f *freezer) writeNames() {
	size := 0
	for _, c := range f.names {
		size += int(f.m.dents.list[c].length)
	}
	var text strings.Builder
	text.Grow(size)
	f.t.nameOff = make([]uint32, len(f.names)+1)
	f.t.child = make([]Node, len(f.names))
	for k, c := range f.names {
		text.Write(f.m.dents.name(c))
		f.t.nameOff[k+1] = uint32(text.Len())
		f.t.child[k] = Node(f.number[f.m.dents.list[c].inode] - 1)
	}
	f.t.names = text.String()
}

func (f *freezer) writeNodes() {
	size := 0
	for _, i := range f.order {
		if v := &f.m.inodes[i]; v.is(index.ModeSymlink) {
			size += int(v.size)
		}
	}
	var links strings.Builder
	links.Grow(size)
	f.t.nodes = make([]node, len(f.order))
	for n, i := range f.order {
		v := f.m.inodes[i].node
		if v.is(index.ModeSymlink) {
			target := f.m.links[v.where]
			v.where = uint64(links.Len())
			links.WriteString(target)
		}
		f.t.nodes[n] = v
	}
	f.t.links = links.String()
}

// writeXattrs numbers the sets that are still in use, in the order of nodes.
func (f *freezer) writeXattrs() {
	number := make([]uint32, len(f.m.setList)) // 0: none yet
	f.t.sets = []uint64{0}
	var text []byte
	for n, i := range f.order {
		set := f.m.inodes[i].xattr
		if set == 0 {
			continue
		}
		if f.t.xattr == nil {
			f.t.xattr = make([]uint32, len(f.order))
		}
		if number[set] == 0 {
			number[set] = uint32(len(f.t.sets))
			f.t.sets = append(f.t.sets, uint64(len(text)))
			text = append(text, f.m.setList[set]...)
		}
		f.t.xattr[n] = number[set]
	}
	f.t.xattrs = string(text)
}

func (f *freezer) writeExtents() error {
	f.t.extents = []index.Extent{} // not nil: that would mean a file without holes
	for n, i := range f.order {
		v := &f.m.inodes[i]
		if !v.is(index.ModeRegular) {
			continue
		}
		if v.extra == 0 {
			f.t.bytes = add(f.t.bytes, v.size)
			continue
		}
		data := f.m.data[v.extra-1]
		if len(data) > math.MaxUint32-len(f.t.extents) {
			return fmt.Errorf("%w: more than %d extents of sparse files", index.ErrLimit, math.MaxUint32)
		}
		f.t.sparse = append(f.t.sparse, sparse{Node(n), uint32(len(f.t.extents)), uint32(len(data))})
		f.t.extents = append(f.t.extents, data...)
		for _, x := range data {
			f.t.bytes = add(f.t.bytes, x.Len)
		}
	}
	return nil
}

// add is a sum that ends at the largest number there is.
func add(sum uint64, n int64) uint64 {
	if uint64(n) > math.MaxUint64-sum {
		return math.MaxUint64
	}
	return sum + uint64(n)
}
