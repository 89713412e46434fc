package tree

import (
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"ocifs.dev/ocifs/index"
)

// What Linux allows, and so any unpacker can make.
const (
	maxName  = 255  // NAME_MAX
	maxPath  = 4095 // PATH_MAX, without its NUL
	maxLinks = 40   // MAXSYMLINKS: symbolic links followed in one path
)

// Walk finds the file at path as a process with this tree as its root
// directory would: a leading slash makes no difference, symbolic links on the
// way are followed, and ".." ends at the root. A symbolic link at the end is
// followed if follow says so, or a slash stands behind it.
//
// The error is a *fs.PathError with the errno that open(2) gives: ENOENT
// (which is fs.ErrNotExist), ENOTDIR, ELOOP or ENAMETOOLONG.
func (t *Tree) Walk(path string, follow bool) (Node, error) {
	n, err := t.walk(path, follow)
	if err != 0 {
		return 0, &fs.PathError{Op: "walk", Path: path, Err: err}
	}
	return n, nil
}

func (t *Tree) walk(path string, follow bool) (Node, syscall.Errno) {
	n, links := Root, 0
	for path = dirSuffix(path); path != ""; {
		part, rest, more := strings.Cut(path, "/")
		path = rest
		if !t.IsDir(n) {
			return 0, syscall.ENOTDIR
		}
		next, err := t.step(n, part)
		if err != 0 {
			return 0, err
		}
		if !t.nodes[next].is(index.ModeSymlink) || !more && !follow {
			n = next
			continue
		}
		if links++; links > maxLinks {
			return 0, syscall.ELOOP
		}
		target := t.Readlink(next)
		if strings.HasPrefix(target, "/") {
			n = Root
		}
		if more {
			target += "/" + rest
		}
		path = dirSuffix(target)
	}
	return n, 0
}

// dirSuffix writes a slash at the end of a path as "/.", which only a
// directory has.
func dirSuffix(path string) string {
	if strings.HasSuffix(path, "/") {
		return path + "."
	}
	return path
}

// step is one part of a path, seen from dir.
func (t *Tree) step(dir Node, part string) (Node, syscall.Errno) {
	switch {
	case part == "" || part == ".":
		return dir, 0
	case part == "..":
		return t.Parent(dir), 0
	case len(part) > maxName:
		return 0, syscall.ENAMETOOLONG
	}
	n, ok := t.Lookup(dir, part)
	if !ok {
		return 0, syscall.ENOENT
	}
	return n, 0
}

// Path is the path of n, of the first one if it has several: without a leading
// slash, "" for the root. Its bytes are the archive's; quote them.
func (t *Tree) Path(n Node) string {
	var parts []string
	for n != Root {
		i := t.firstDirent(n)
		parts = append(parts, t.name(i))
		n = t.holder(i)
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/")
}
