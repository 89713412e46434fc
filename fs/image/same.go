package image

import (
	"bytes"
	"slices"

	"ocifs.dev/ocifs/fs/tree"
)

// Same says whether the regular files a of m and b of o, of the same size, have
// the same content, where that is known without reading either: they are the
// same bytes of the same layer, or tables of contents have the digests of all
// their chunks. Two layers with one diffID are one, however they are stored.
func (m *Image) Same(a tree.Node, o *Image, b tree.Node) (same, known bool) {
	d, e := m.tree.Data(a), o.tree.Data(b)
	if d.Stored() == 0 && e.Stored() == 0 {
		return true, true
	}
	if !slices.Equal(d.Extents, e.Extents) || (d.Extents == nil) != (e.Extents == nil) {
		return false, false
	}
	if d.Layer >= len(m.layers) || e.Layer >= len(o.layers) {
		return false, false // of a file that is in no layer
	}
	l, k := m.layers[d.Layer], o.layers[e.Layer]
	if d.Off == e.Off && l.sameSpace(k) {
		return true, true
	}
	return l.sameSums(d.Off, k, e.Off, d.Stored())
}

// sameSpace says whether two layers decode to the same bytes.
func (l *layer) sameSpace(k *layer) bool {
	if l.key != "" && l.key == k.key {
		return true
	}
	return l.diffID != "" && l.diffID == k.diffID && l.hasDiffID() && k.hasDiffID()
}

// hasDiffID says whether it is proved that the layer decodes to its diffID: by a
// pass, or by the audit of a pushed index. That of a SOCI index leaves the diffID
// out, and a layer known by its files has none as an archive.
func (l *layer) hasDiffID() bool {
	switch l.origin {
	case OriginRead, OriginCache:
		return true
	case OriginPushed:
		return l.audit == nil || l.audit.good.Load()
	}
	return false
}

// sameSums compares n bytes of two layers by their chunks' digests, if they
// have any and lie in the same way.
func (l *layer) sameSums(off int64, k *layer, at, n int64) (same, known bool) {
	i, j := l.toc.At(off), k.toc.At(at)
	for end := off + n; off < end; i, j = i+1, j+1 {
		sum, other := l.toc.Sum(i), k.toc.Sum(j)
		from, to := l.toc.Bounds(i)
		begin, stop := k.toc.Bounds(j)
		if sum == nil || other == nil || from != off || begin != at || to > end || to-from != stop-begin {
			return false, false
		}
		if !bytes.Equal(sum, other) {
			return false, true
		}
		off, at = to, stop
	}
	return true, true
}
