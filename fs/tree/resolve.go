package tree

import (
	"fmt"
	"strings"
	"syscall"

	"ocifs.dev/ocifs/index"
)

// A way is what to do where a path in an archive meets what isn't a directory.
type way int

const (
	// making is the way of an entry to its parent: names that are missing
	// become directories, symbolic links of the entry's own layer are
	// followed, and whatever else is no directory is replaced by one.
	making way = iota
	// own is the way of a whiteout: it makes nothing, and follows symbolic
	// links of its own layer.
	own
	// all is the way of a hard link to its target: it makes nothing and follows
	// every symbolic link.
	all
)

// maxFollowed bounds the bytes of the paths that symbolic links lead along, of
// all entries together. Real images have a few KiB of them.
const maxFollowed = 16 << 20

// A path remembers where the last entry was put: the directories on the way
// there. The next entry is mostly in the same directory, or not far away.
type path struct {
	dir   string
	steps []pathStep
}

type pathStep struct {
	end  int // of this directory's path in dir
	dent did
}

// reset forgets the path; it must be called when a directory or a symbolic
// link vanishes.
func (p *path) reset() { p.dir, p.steps = "", p.steps[:0] }

// shorten keeps those directories that are also on the way to dir. It returns
// the last of them, and where in dir the rest of the way begins.
func (p *path) shorten(dir string) (did, int) {
	n := 0
	for n < len(dir) && n < len(p.dir) && dir[n] == p.dir[n] {
		n++
	}
	for i := len(p.steps); i > 0; i-- {
		s := p.steps[i-1]
		if s.end <= n && (s.end == len(dir) || dir[s.end] == '/') {
			return s.dent, s.end + 1
		}
		p.steps = p.steps[:i-1]
	}
	return rootDent, 0
}

// directory is the directory of the tree that an entry's path dir means. It is
// made if need be.
func (m *merger) directory(dir string) (did, error) {
	if dir == "" {
		return rootDent, nil
	}
	d, at := m.path.shorten(dir)
	for at <= len(dir) {
		end := at + strings.IndexByte(dir[at:], '/')
		if end < at {
			end = len(dir)
		}
		next, target, err := m.step(d, dir[at:end], making)
		if err == nil && target != "" {
			next, err = m.follow(d, target)
		}
		if err != nil {
			return 0, err
		}
		d, at = next, end+1
		m.path.steps = append(m.path.steps, pathStep{end, d})
	}
	m.path.dir = dir
	return d, nil
}

// follow makes the directory that a symbolic link in d points to.
func (m *merger) follow(d did, target string) (did, error) {
	if err := m.lead(target); err != nil {
		return 0, err
	}
	d, _, err := m.walk(d, target, making)
	return d, err
}

// lead counts a path that a symbolic link leads along.
func (m *merger) lead(p string) error {
	if m.followed += len(p); m.followed > maxFollowed {
		return fmt.Errorf("%w: too many paths lead through symbolic links", index.ErrLimit)
	}
	return nil
}

// walk goes from directory d along path p, and says whether it got to its end;
// a path that begins with a slash begins at the root.
func (m *merger) walk(d did, p string, how way) (did, bool, error) {
	if strings.HasPrefix(p, "/") {
		d = rootDent
	}
	for links := 0; p != ""; {
		part, rest, _ := strings.Cut(p, "/")
		p = rest
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			d = m.dents.list[d].parent
			continue
		}
		next, target, err := m.step(d, part, how)
		if err != nil || next == rootDent && target == "" {
			return 0, false, err
		}
		if target == "" {
			d = next
			continue
		}
		if links++; links > maxLinks {
			return 0, false, syscall.ELOOP
		}
		if strings.HasPrefix(target, "/") {
			d = rootDent
		}
		p = target + "/" + rest
		if err := m.lead(p); err != nil {
			return 0, false, err
		}
	}
	return d, true, nil
}

// step goes from directory d to the directory called part in it. Where that is
// a symbolic link to be followed, it returns the target; where there is no way
// on, neither.
func (m *merger) step(d did, part string, how way) (next did, target string, err error) {
	var c did
	if how == making {
		c, err = m.name(d, part)
	} else {
		c, _ = m.lookup(d, part)
	}
	if err != nil || c == 0 {
		return 0, "", err
	}
	e := &m.dents.list[c]
	switch i := &m.inodes[e.inode]; {
	case e.inode == 0 && how != making:
		return 0, "", nil
	case e.inode == 0:
		m.mkdir(c)
		return c, "", nil
	case i.is(index.ModeDir):
		if how == making {
			e.seen = m.stamp()
		}
		return c, "", nil
	case i.is(index.ModeSymlink) && (how == all || e.seen == m.stamp()):
		return 0, m.links[i.where], nil
	case how != making:
		return 0, "", nil
	}
	m.take(c)
	m.mkdir(c)
	return c, "", nil
}

// mkdir makes a directory that no entry has told of yet.
func (m *merger) mkdir(c did) {
	i := m.newInode()
	m.plain(i)
	m.give(c, i)
}
