package tree

import (
	"errors"
	"fmt"
	"syscall"

	"ocifs.dev/ocifs/index"
)

// A hard link whose target has not come yet has an inode that stands in for
// it until the layer ends. Further links to that link share the stand-in.
type pending struct {
	entry  string // the link's name in the archive
	target string
	inode  ino   // the stand-in, whose nlink counts this record too
	names  []did // that have, or had, the stand-in
	busy   bool
}

// hardLink makes c, which has no inode, a name of the file that e links to.
func (m *merger) hardLink(c did, e *index.Entry) error {
	i, err := m.target(e.Link)
	switch {
	case err != nil && !errors.Is(err, syscall.ENOENT):
		return err
	case err != nil:
		i = m.newInode()
		m.inodes[i].nlink = 1
		m.pending = append(m.pending, pending{entry: e.Name, target: e.Link, inode: i})
		m.inodes[i].extra = uint32(len(m.pending))
	}
	if p := m.pendingOf(i); p != nil {
		p.names = append(p.names, c)
	}
	m.give(c, i)
	return nil
}

// target is the inode that a hard link's target has at the moment.
func (m *merger) target(name string) (ino, error) {
	dir, base := split(name)
	d, ok, err := m.walk(rootDent, dir, all)
	c := rootDent
	if ok && base != "" {
		c, ok = m.lookup(d, base)
	}
	if err == nil && !ok {
		err = syscall.ENOENT
	}
	i := m.dents.list[c].inode
	if err == nil && m.inodes[i].is(index.ModeDir) {
		err = errors.New("it is a directory")
	}
	if err != nil {
		return 0, fmt.Errorf("hard link to %q: %w", name, err)
	}
	return i, nil
}

// pendingOf is the record of a stand-in, nil for any other inode.
func (m *merger) pendingOf(i ino) *pending {
	if m.inodes[i].mode != 0 {
		return nil
	}
	return &m.pending[m.inodes[i].extra-1]
}

// settle gives the hard links of the layer that came before their targets the
// inodes that are there now.
func (m *merger) settle() error {
	var chain []*pending // each one's target is a name of the next
	for k := range m.pending {
		p := &m.pending[k]
		if p.names == nil {
			continue
		}
		i := p.inode
		for chain = chain[:0]; p != nil; p = m.pendingOf(i) {
			var err error
			if p.busy {
				err = fmt.Errorf("hard link to %q: it leads back to itself", p.target)
			} else {
				i, err = m.target(p.target)
			}
			if m.lone != nil && errors.Is(err, syscall.ENOENT) {
				i, err = 0, nil
			}
			if err != nil {
				return &Error{m.layer, p.entry, err}
			}
			p.busy = true
			chain = append(chain, p)
			if i == 0 {
				break
			}
		}
		for _, p := range chain {
			m.replace(p, i)
		}
	}
	m.pending = m.pending[:0]
	return nil
}

// replace puts inode i in the place of a stand-in; if there is none, its names
// go.
func (m *merger) replace(p *pending, i ino) {
	for _, c := range p.names {
		if e := &m.dents.list[c]; e.inode == p.inode {
			if e.inode = i; i != 0 {
				m.inodes[i].nlink++
			} else {
				m.lone.lost++
			}
			m.drop(p.inode)
		}
	}
	m.drop(p.inode)
	p.names = nil
}
