package diff

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A Dir is a directory of this machine as a [Source]. What is in it must not
// change while it is used.
type Dir struct {
	root string
	tree *tree.Tree
}

// ReadDir looks at everything in and below the directory called root, and
// follows no symbolic link but root itself. Sockets, which no image has, are
// left out.
func ReadDir(ctx context.Context, root string) (*Dir, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	w := &walker{first: map[[2]uint64]string{}}
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err == nil {
			err = w.entry(path, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	t, err := tree.Merge([]*index.TOC{index.New(w.entries)})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", root, err)
	}
	return &Dir{root, t}, nil
}

// Tree is what the directory shows.
func (d *Dir) Tree() *tree.Tree { return d.tree }

// ReadAt reads the content of the regular file n.
func (d *Dir) ReadAt(n tree.Node, p []byte, off int64) (int, error) {
	f, err := os.OpenFile(filepath.Join(d.root, d.tree.Path(n)), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.ReadAt(p, off)
}

// A walker turns files into entries of a layer.
type walker struct {
	entries []index.Entry
	first   map[[2]uint64]string // by device and inode, of files with several names
	end     int64                // of the contents so far
}

// entry takes in the file at path, whose name is to be name.
func (w *walker) entry(path, name string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	e := index.Entry{Name: name, Mode: st.Mode & (index.ModeType | index.ModePerm), UID: st.Uid, GID: st.Gid, ModTime: time.Unix(st.Mtim.Unix())}
	if name == "." {
		e.Name = ""
	}
	if strings.HasPrefix(filepath.Base(name), ".wh.") {
		return fmt.Errorf("%s: a name that hides others in images", path)
	}
	kind := e.Mode & index.ModeType
	if kind == unix.S_IFSOCK {
		return nil
	}
	if id := [2]uint64{st.Dev, st.Ino}; kind != index.ModeDir && st.Nlink > 1 {
		if first := w.first[id]; first != "" {
			e.HardLink, e.Link = true, first
			w.entries = append(w.entries, e)
			return nil
		}
		w.first[id] = name
	}
	var err error
	switch kind {
	case index.ModeSymlink:
		e.Link, err = os.Readlink(path)
	case index.ModeChar, index.ModeBlock:
		e.Major, e.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
	case index.ModeRegular:
		e.Size, e.Off = st.Size, w.end
		if st.Blocks*512 < st.Size {
			e.Data, err = extentsOf(path, st.Size)
		}
		w.end += e.Size
	}
	if err == nil {
		e.Xattrs, err = xattrs(path)
	}
	w.entries = append(w.entries, e)
	return err
}

// extentsOf asks the file system where a file has data; nil if it can't tell.
func extentsOf(path string, size int64) ([]index.Extent, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list := []index.Extent{}
	for off := int64(0); off < size; {
		data, err := f.Seek(off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole up to the end
		}
		if err != nil {
			return nil, nil
		}
		if off, err = f.Seek(data, unix.SEEK_HOLE); err != nil {
			return nil, nil
		}
		off = min(off, size)
		list = append(list, index.Extent{Off: data, Len: off - data})
	}
	return list, nil
}

// hostXattrs are put on files by the machine, and are no image's.
var hostXattrs = []string{"security.selinux", "security.ima", "security.evm", "system.nfs4_acl"}

// xattrs are a file's extended attributes, sorted by name.
func xattrs(path string) (list []index.Xattr, err error) {
	buf := make([]byte, 64<<10) // XATTR_LIST_MAX, and XATTR_SIZE_MAX
	n, err := unix.Llistxattr(path, buf)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "listxattr", Path: path, Err: err}
	}
	for name := range strings.SplitSeq(string(buf[:n]), "\x00") {
		if name == "" || slices.Contains(hostXattrs, name) {
			continue
		}
		k, err := unix.Lgetxattr(path, name, buf)
		if err != nil {
			return nil, &fs.PathError{Op: "getxattr", Path: path, Err: err}
		}
		list = append(list, index.Xattr{Name: name, Value: string(buf[:k])})
	}
	slices.SortFunc(list, func(a, b index.Xattr) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
