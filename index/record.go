package index

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A record is one element of the list. Its slices are parts of the JSON.
type record struct {
	name, kind, link, modTime      []byte
	digest, chunkDigest, chunkKind []byte

	size, mode, uid, gid, major, minor int64
	off, skip, chunkOff, chunkSize     int64

	xattrs []Xattr
	seen   uint32 // which keys
}

// entry is the Entry that r tells, without its content.
func (r *record) entry() (*Entry, error) {
	for _, s := range [][]byte{r.name, r.link} {
		if lossy(s) {
			return nil, fmt.Errorf("%w: %q may be no Unicode", ErrNoIndex, s)
		}
	}
	h := &tar.Header{Linkname: string(r.link), Devmajor: r.major, Devminor: r.minor}
	var ok bool
	if h.Typeflag, ok = typeflags[string(r.kind)]; !ok {
		return nil, fmt.Errorf("an entry of type %q", r.kind)
	}
	e := &Entry{Name: clean(string(r.name)), Mode: uint32(r.mode) & ModePerm, Xattrs: r.xattrs}
	var err error
	if e.UID, err = id(int(r.uid)); err != nil {
		return nil, err
	}
	if e.GID, err = id(int(r.gid)); err != nil {
		return nil, err
	}
	e.ModTime = time.Unix(0, 0).UTC()
	if len(r.modTime) > 0 {
		if err := e.ModTime.UnmarshalText(r.modTime); err != nil {
			return nil, err
		}
		e.ModTime = e.ModTime.UTC()
	}
	return e, setType(e, h)
}

// lossy is whether s may stand for bytes that JSON has no way to tell.
func lossy(s []byte) bool { return bytes.ContainsRune(s, utf8.RuneError) }

// typeflags are archive/tar's for what the table calls types.
var typeflags = map[string]byte{
	"reg":      tar.TypeReg,
	"hardlink": tar.TypeLink,
	"symlink":  tar.TypeSymlink,
	"dir":      tar.TypeDir,
	"char":     tar.TypeChar,
	"block":    tar.TypeBlock,
	"fifo":     tar.TypeFifo,
}

// keys are those of a record that matter, by their number in record.seen.
var keys = []string{"name", "type", "linkName", "modtime", "digest", "chunkDigest", "chunkType",
	"size", "mode", "uid", "gid", "devMajor", "devMinor",
	"offset", "innerOffset", "chunkOffset", "chunkSize", "xattrs"}

// read reads r, an object.
func (r *record) read(c *contents) {
	j := &c.json
	texts := [...]*[]byte{&r.name, &r.kind, &r.link, &r.modTime, &r.digest, &r.chunkDigest, &r.chunkKind}
	numbers := [...]*int64{&r.size, &r.mode, &r.uid, &r.gid, &r.major, &r.minor,
		&r.off, &r.skip, &r.chunkOff, &r.chunkSize}
	j.object(func(key []byte) {
		k := slices.Index(keys, string(key))
		if k < 0 {
			c.odd(key, keys...)
			return
		}
		if r.seen&(1<<k) != 0 {
			j.fail(errTwice)
		}
		r.seen |= 1 << k
		switch {
		case j.null(): // as if it weren't there
		case k < len(texts):
			*texts[k] = j.string()
		case k-len(texts) < len(numbers):
			*numbers[k-len(texts)] = j.int()
		default:
			r.readXattrs(c)
		}
	})
}

// readXattrs reads extended attributes: an object of values in base64.
func (r *record) readXattrs(c *contents) {
	j := &c.json
	j.object(func(key []byte) {
		if lossy(key) {
			j.fail(fmt.Errorf("%w: attribute %q may be no Unicode", ErrNoIndex, key))
		}
		name := string(key)
		v, err := base64.StdEncoding.DecodeString(string(j.string()))
		if err != nil {
			j.fail(fmt.Errorf("extended attribute %q: %w", name, err))
		}
		r.xattrs = append(r.xattrs, Xattr{name, string(v)})
		if len(r.xattrs) > c.limits.Xattrs {
			j.fail(fmt.Errorf("%w: more than %d extended attributes", ErrLimit, c.limits.Xattrs))
		}
	})
	slices.SortFunc(r.xattrs, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(r.xattrs); i++ {
		if r.xattrs[i].Name == r.xattrs[i-1].Name {
			j.fail(errTwice)
		}
	}
}
