package layertest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A Stat is all that can be seen of one path in a real directory tree.
type Stat struct {
	Mode         uint32 // st_mode
	UID, GID     uint32
	Major, Minor uint32 // of a device
	Sec, Nsec    int64  // of the modification time
	Size         int64  // 0 for directories, whose size means nothing
	Nlink        uint64 // 0 for directories, whose count is each file system's own affair
	Link         string // of a symbolic link
	Names        string // all names of this inode in the tree, sorted, if it has several
	Xattrs       map[string]string
	Sum          string // SHA-256 of a regular file's content
}

// ignoredXattrs are put on files by the host and are in no image.
var ignoredXattrs = []string{"security.selinux", "system.nfs4_acl"}

// Walk looks at everything in and below dir. The map's keys are slash-separated
// paths; "." is dir itself. It follows no link.
func Walk(t testing.TB, dir string) map[string]Stat {
	t.Helper()
	type inode struct{ dev, ino uint64 }
	tree := map[string]Stat{}
	names := map[inode][]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return fmt.Errorf("lstat %s: %w", path, err)
		}
		s, err := look(path, &st)
		if err != nil {
			return err
		}
		tree[name] = s
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			id := inode{st.Dev, st.Ino}
			names[id] = append(names[id], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, same := range names {
		sort.Strings(same)
		if len(same) == 1 {
			continue
		}
		for _, name := range same {
			s := tree[name]
			s.Names = strings.Join(same, " ")
			tree[name] = s
		}
	}
	return tree
}

func look(path string, st *unix.Stat_t) (s Stat, err error) {
	s = Stat{
		Mode: st.Mode, UID: st.Uid, GID: st.Gid,
		Sec: int64(st.Mtim.Sec), Nsec: int64(st.Mtim.Nsec),
		Size: st.Size, Nlink: uint64(st.Nlink),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		s.Size, s.Nlink = 0, 0
	case unix.S_IFCHR, unix.S_IFBLK:
		s.Major, s.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
	case unix.S_IFLNK:
		s.Link, err = os.Readlink(path)
	case unix.S_IFREG:
		s.Sum, err = sum(path, st.Size)
	}
	if err == nil {
		s.Xattrs, err = xattrs(path)
	}
	return s, err
}

func sum(path string, size int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := f.WriteTo(h)
	if err == nil && n != size {
		err = fmt.Errorf("%s: %d bytes read, its size is %d", path, n, size)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

func xattrs(path string) (map[string]string, error) {
	list := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Llistxattr(path, list)
	if errors.Is(err, unix.ENOTSUP) || n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listxattr %s: %w", path, err)
	}
	var m map[string]string
	value := make([]byte, 64<<10) // XATTR_SIZE_MAX
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if slices.Contains(ignoredXattrs, name) {
			continue
		}
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, fmt.Errorf("getxattr %s %s: %w", path, name, err)
		}
		if m == nil {
			m = map[string]string{}
		}
		m[name] = string(value[:n])
	}
	return m, nil
}
