package main

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// What the commands that look into an image share: finding a path, and saying
// what a file is.

// find is the file at a path of the image, which counts from its root with or
// without a leading slash.
func (i *openedImage) find(name string, follow bool) (tree.Node, error) {
	n, err := i.Tree().Walk(name, follow)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return n, notFoundf("%s: %s", quote(rooted(name)), reason(err)).with(i.nearby(name)...)
	}
	return n, fmt.Errorf("%s: %s", quote(rooted(name)), reason(err))
}

// reason is the part of an error behind its path.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// nearby is a hint: the name that was probably meant, in the same directory,
// or the last directory on the way that exists.
func (i *openedImage) nearby(name string) []string {
	dir, base := path.Split(rooted(name))
	t := i.Tree()
	d, err := t.Walk(dir, true)
	if err != nil || !t.IsDir(d) {
		return nil
	}
	var names []string
	for first, n := t.Dirents(d); n > 0 && len(names) < 10_000; first, n = first+1, n-1 {
		s, _ := t.Dirent(first)
		names = append(names, s)
	}
	if s := nearest(base, names); s != "" {
		return []string{"did you mean " + quote(path.Join(dir, s)) + "?"}
	}
	return nil
}

// rooted is a path as seen from the image's root.
func rooted(name string) string { return "/" + strings.TrimLeft(name, "/") }

// A fileInfo is a file of an image, for JSON. Names that are not UTF-8 have
// their bytes, in base64, beside them.
type fileInfo struct {
	Path         string `json:"path"`
	PathBase64   string `json:"path_base64,omitempty"`
	Type         string `json:"type"` // file, dir, symlink, char, block, fifo
	Mode         string `json:"mode"` // permissions, octal
	UID          uint32 `json:"uid"`
	GID          uint32 `json:"gid"`
	Size         int64  `json:"size"`
	ModTime      string `json:"mtime"` // RFC 3339, though years may have more than four digits
	Inode        uint64 `json:"inode"`
	Links        uint32 `json:"nlink"`
	Device       string `json:"device,omitempty"` // major:minor
	Target       string `json:"target,omitempty"` // of a symbolic link
	TargetBase64 string `json:"target_base64,omitempty"`
	Layer        int    `json:"layer"` // from 0, base first
}

// info is what there is to say of a file at a path.
func (i *openedImage) info(name string, n tree.Node) fileInfo {
	if i.inodes == nil {
		i.inodes = inodesOf(i.Tree())
	}
	return infoAt(i.Tree(), i.inodes, name, n)
}

func infoAt(t *tree.Tree, inodes func(tree.Node) uint64, name string, n tree.Node) fileInfo {
	a := t.Attr(n)
	f := fileInfo{
		Type: typeNames[a.Mode&index.ModeType], Mode: fmt.Sprintf("%04o", a.Mode&index.ModePerm),
		UID: a.UID, GID: a.GID, Size: sizeOf(a), ModTime: modTime(a).Format(time.RFC3339Nano),
		Inode: inodes(n), Links: a.Nlink, Layer: a.Layer,
	}
	f.Path, f.PathBase64 = forJSON(name)
	f.Target, f.TargetBase64 = forJSON(t.Readlink(n))
	if t := a.Mode & index.ModeType; t == index.ModeChar || t == index.ModeBlock {
		f.Device = fmt.Sprintf("%d:%d", a.Major, a.Minor)
	}
	return f
}

// forJSON is a name for JSON, whose strings cannot hold bytes that are not
// UTF-8: the text then has U+FFFD for them, and b64 has all the bytes.
func forJSON(name string) (text, b64 string) {
	if utf8.ValidString(name) {
		return name, ""
	}
	return strings.ToValidUTF8(name, "\uFFFD"), base64.StdEncoding.EncodeToString([]byte(name))
}

var typeNames = map[uint32]string{
	index.ModeRegular: "file", index.ModeDir: "dir", index.ModeSymlink: "symlink",
	index.ModeChar: "char", index.ModeBlock: "block", index.ModeFIFO: "fifo",
}

// sizeOf is st_size as the mount has it, where a directory has a block.
func sizeOf(a tree.Attr) int64 {
	if a.Mode&index.ModeType == index.ModeDir {
		return 4096
	}
	return a.Size
}

func modTime(a tree.Attr) time.Time { return time.Unix(a.Sec, int64(a.Nsec)).UTC() }

// modeString is a mode as ls -l has it: drwxr-xr-t.
func modeString(mode uint32) string {
	letters := map[uint32]byte{
		index.ModeRegular: '-', index.ModeDir: 'd', index.ModeSymlink: 'l',
		index.ModeChar: 'c', index.ModeBlock: 'b', index.ModeFIFO: 'p',
	}
	b := []byte{cmp.Or(letters[mode&index.ModeType], '?')}
	for i, c := range []byte("rwxrwxrwx") {
		if mode&(0o400>>i) == 0 {
			c = '-'
		}
		b = append(b, c)
	}
	for _, s := range []struct {
		bit         uint32
		at          int
		with, alone byte
	}{{0o4000, 3, 's', 'S'}, {0o2000, 6, 's', 'S'}, {0o1000, 9, 't', 'T'}} {
		if mode&s.bit == 0 {
			continue
		}
		if b[s.at] == 'x' {
			b[s.at] = s.with
		} else {
			b[s.at] = s.alone
		}
	}
	return string(b)
}

func isRegular(t *tree.Tree, n tree.Node) bool {
	return t.Attr(n).Mode&index.ModeType == index.ModeRegular
}
