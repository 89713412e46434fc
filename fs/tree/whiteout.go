package tree

import (
	"ocifs.dev/ocifs/index"
)

// whiteout hides what the layers below have at name in dir. What this layer
// has there stays, whichever came first.
func (m *merger) whiteout(dir, name string) error {
	d, ok, err := m.hiding(dir)
	if err != nil || !ok {
		return err
	}
	c, ok := m.lookup(d, name)
	switch {
	case !ok:
	case m.dents.list[c].seen != m.stamp():
		m.remove(c)
	case m.inodes[m.dents.list[c].inode].is(index.ModeDir):
		m.forget(c)
		m.clear(c)
	}
	return nil
}

// opaque hides what the layers below have in dir.
func (m *merger) opaque(dir string) error {
	d, ok, err := m.hiding(dir)
	if err == nil && ok {
		m.clear(d)
	}
	return err
}

// hiding finds the directory that a whiteout or a marker is in. Those only
// hide: where there is no such directory, they don't make it.
func (m *merger) hiding(dir string) (did, bool, error) {
	if err := checkPath(dir); err != nil {
		return 0, false, err
	}
	return m.walk(rootDent, dir, own)
}

// forget takes away a directory's attributes if they are from a layer below.
func (m *merger) forget(c did) {
	if i := m.dents.list[c].inode; m.inodes[i].layer != uint16(m.layer) {
		m.plain(i)
	}
}

// clear hides what the layers below have in directory d. It looks at each
// directory once in a layer, so that no layer can make it go on for ever.
func (m *merger) clear(d did) {
	base := len(m.stack)
	for m.stack = append(m.stack, d); len(m.stack) > base; {
		d := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		if m.dents.list[d].clear == m.stamp() {
			continue
		}
		m.dents.list[d].clear = m.stamp()
		kept := rootDent
		for k := m.dents.list[d].child; k != 0; {
			e := &m.dents.list[k]
			c := k
			k, e.next = e.next, 0
			switch {
			case e.inode == 0:
				e.listed = false
			case e.seen != m.stamp():
				e.listed = false
				m.remove(c)
			default:
				e.next, kept = kept, c
				if m.inodes[e.inode].is(index.ModeDir) {
					m.forget(c)
					m.stack = append(m.stack, c)
				}
			}
		}
		m.dents.list[d].child = kept
	}
}

// vanish takes away the layer's names that are not for anybody to see.
func (m *merger) vanish() {
	for _, c := range m.hidden {
		if m.dents.list[c].inode != 0 {
			m.remove(c)
		}
	}
	m.hidden = m.hidden[:0]
}
