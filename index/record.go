package index

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

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
