package index

import (
	"archive/tar"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"ocifs.dev/ocifs/index/internal/ztoc"
)

// A zTOC's file is what archive/tar says of a member, so entries are made of
// it as they are made of members.

// fileEntry is the Entry that f tells.
func fileEntry(f *ztoc.File) (*Entry, error) {
	h, err := fileHeader(f)
	if err != nil {
		return nil, err
	}
	return entry(h, &spaceReader{pos: f.Off})
}

func fileHeader(f *ztoc.File) (*tar.Header, error) {
	flag := slices.IndexFunc(fileTypes, func(t fileType) bool { return t.name == f.Type })
	if flag < 0 {
		return nil, fmt.Errorf("a file of type %q", f.Type)
	}
	modTime, err := parseModTime(f.ModTime)
	if err != nil {
		return nil, err
	}
	if int64(f.UID) > math.MaxInt || int64(f.GID) > math.MaxInt {
		return nil, fmt.Errorf("%w: an owner numbered %d, %d", ErrUnsupported, f.UID, f.GID)
	}
	h := &tar.Header{
		Typeflag: fileTypes[flag].flag,
		Name:     f.Name, Linkname: f.Link,
		Mode: f.Mode, Uid: int(f.UID), Gid: int(f.GID),
		Size: f.Size, ModTime: modTime,
		Devmajor: f.Devmajor, Devminor: f.Devminor,
	}
	if len(f.PAX) > 0 {
		h.PAXRecords = make(map[string]string, len(f.PAX))
	}
	for _, r := range f.PAX {
		h.PAXRecords[r.Key] = r.Value
	}
	return h, plainFile(h)
}

// headerFile is what a zTOC says of a member whose content begins at off.
func headerFile(h *tar.Header, off int64) (ztoc.File, error) {
	flag := slices.IndexFunc(fileTypes, func(t fileType) bool { return t.flag == h.Typeflag })
	if flag < 0 {
		return ztoc.File{}, fmt.Errorf("%w: zTOCs can't tell of a tar entry of type %q", ErrNoIndex, h.Typeflag)
	}
	if err := plainFile(h); err != nil {
		return ztoc.File{}, err
	}
	uid, errUID := id(h.Uid)
	gid, errGID := id(h.Gid)
	f := ztoc.File{
		Name: h.Name, Type: fileTypes[flag].name,
		Off: off, Size: h.Size,
		Link: h.Linkname,
		Mode: h.Mode, UID: uid, GID: gid,
		Uname: h.Uname, Gname: h.Gname,
		Devmajor: h.Devmajor, Devminor: h.Devminor,
	}
	if t, err := h.ModTime.UTC().MarshalText(); err == nil {
		f.ModTime = string(t)
	}
	for _, k := range slices.Sorted(maps.Keys(h.PAXRecords)) {
		f.PAX = append(f.PAX, ztoc.Record{Key: k, Value: h.PAXRecords[k]})
	}
	return f, errors.Join(errUID, errGID)
}

type fileType struct {
	flag byte
	name string
}

// fileTypes are all that a zTOC can tell. The last is what only old archives
// have, and all unpackers take for the first.
var fileTypes = []fileType{
	{tar.TypeReg, ztoc.Regular},
	{tar.TypeDir, ztoc.Dir},
	{tar.TypeLink, ztoc.HardLink},
	{tar.TypeSymlink, ztoc.Symlink},
	{tar.TypeChar, ztoc.Char},
	{tar.TypeBlock, ztoc.Block},
	{tar.TypeFifo, ztoc.FIFO},
	{tar.TypeCont, ztoc.Regular},
}

// plainFile says whether a zTOC can tell of a member's content: a sparse
// file's holes it can't.
func plainFile(h *tar.Header) error {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return fmt.Errorf("%w: zTOCs can't tell of sparse files", ErrNoIndex)
		}
	}
	return nil
}
