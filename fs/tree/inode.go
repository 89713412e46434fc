package tree

import (
	"ocifs.dev/ocifs/index"
)

// An ino is an inode's index in merger.inodes. 0 stands for none.
type ino uint32

const (
	rootInode  ino = 1
	firstInode ino = 2
)

// An inode is a node that has no number yet. Until it has, where is
//
//	for a directory       its dent
//	for a symbolic link   the index of its target in merger.links
//
// and a mode of 0 says that it stands in for the target of a hard link that
// has not come yet.
type inode struct {
	node
	xattr uint32 // index in merger.sets
	extra uint32 // 1 + index in merger.data of a sparse file's extents, or in merger.pending
}

// newInode makes an inode that has no name and no type.
func (m *merger) newInode() ino {
	if n := len(m.free); n > 0 {
		i := m.free[n-1]
		m.free = m.free[:n-1]
		m.inodes[i] = inode{}
		return i
	}
	m.inodes = append(m.inodes, inode{})
	return ino(len(m.inodes) - 1)
}

// drop takes one name, or one other reason to be there, away from an inode.
func (m *merger) drop(i ino) {
	if m.inodes[i].nlink--; m.inodes[i].nlink == 0 {
		m.free = append(m.free, i)
	}
}

// describe gives an inode the type and attributes that an entry tells. A
// directory stays where it is.
func (m *merger) describe(i ino, e *index.Entry) {
	v := &m.inodes[i]
	v.mode = uint16(e.Mode & (index.ModeType | index.ModePerm))
	v.layer = uint16(m.layer)
	v.owner = m.owner(owner{e.UID, e.GID})
	v.sec, v.nsec = e.ModTime.Unix(), uint32(e.ModTime.Nanosecond())
	v.xattr = m.set(e.Mode&index.ModeType, e.Xattrs)
	switch v.mode & index.ModeType {
	case index.ModeRegular:
		v.size, v.where = e.Size, uint64(e.Off)
		if e.Data != nil {
			m.data = append(m.data, e.Data)
			v.extra = uint32(len(m.data))
		}
	case index.ModeSymlink:
		v.mode |= 0o777 // Linux knows no other
		v.size, v.where = int64(len(e.Link)), uint64(len(m.links))
		m.links = append(m.links, e.Link)
	case index.ModeChar, index.ModeBlock:
		v.where = pair(e.Major, e.Minor)
	}
}

// plain makes an inode a directory that no entry tells of.
func (m *merger) plain(i ino) {
	v := &m.inodes[i]
	v.node = node{
		mode: index.ModeDir | 0o755, owner: m.owner(owner{}), layer: uint16(m.layer),
		nlink: v.nlink, where: v.where,
	}
	v.xattr = 0
}

// owner is the number of an owner.
func (m *merger) owner(o owner) uint32 {
	if n := len(m.ownerList); n > 0 && m.ownerList[m.lastOwner] == o {
		return m.lastOwner
	}
	i, ok := m.owners[o]
	if !ok {
		i = uint32(len(m.ownerList))
		m.owners[o] = i
		m.ownerList = append(m.ownerList, o)
	}
	m.lastOwner = i
	return i
}

// set is the number of the set of those extended attributes that a file of that
// type can show, 0 for an empty one.
func (m *merger) set(typ uint32, list []index.Xattr) uint32 {
	if len(list) == 0 {
		return 0
	}
	m.scratch = appendXattrs(m.scratch[:0], typ, list)
	return m.intern(m.scratch)
}

// intern is the number of a set that is encoded already.
func (m *merger) intern(set []byte) uint32 {
	i, ok := m.sets[string(set)]
	if !ok {
		i = uint32(len(m.setList))
		s := string(set)
		m.sets[s] = i
		m.setList = append(m.setList, s)
	}
	return i
}
