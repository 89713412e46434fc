package tree

import (
	"sort"

	"ocifs.dev/ocifs/index"
)

// Attr is what stat(2) tells of a node.
type Attr struct {
	Mode         uint32 // type and permissions, as st_mode
	UID, GID     uint32
	Major, Minor uint32 // of a device
	Sec          int64  // modification time, seconds since the epoch, …
	Nsec         uint32 // … and nanoseconds after that
	Size         int64  // of a regular file or a symbolic link
	Nlink        uint32 // for a directory, 2 and its subdirectories
	Layer        int    // which layer the attributes are from, 0 is the base
}

// Attr returns n's attributes.
func (t *Tree) Attr(n Node) Attr {
	f := &t.nodes[n]
	o := t.owners[f.owner]
	a := Attr{
		Mode: uint32(f.mode), UID: o.uid, GID: o.gid, Sec: f.sec, Nsec: f.nsec,
		Size: f.size, Nlink: f.nlink, Layer: int(f.layer),
	}
	switch f.mode & index.ModeType {
	case index.ModeDir:
		a.Size = 0
	case index.ModeChar, index.ModeBlock:
		a.Major, a.Minor = unpair(f.where)
	}
	return a
}

// Readlink is the target of a symbolic link, as it is in the archive; "" for
// anything else.
func (t *Tree) Readlink(n Node) string {
	f := &t.nodes[n]
	if !f.is(index.ModeSymlink) {
		return ""
	}
	return t.links[f.where : f.where+uint64(f.size)]
}

// Data says where the content of a regular file is.
type Data struct {
	Layer     int            // which layer's decoded space; 0 is the base
	Off, Size int64          // as in index.Entry
	Extents   []index.Extent // as index.Entry.Data; not to be written to
}

// Stored is how many bytes of the decoded space the content takes: its size
// without holes.
func (d Data) Stored() int64 {
	if d.Extents == nil {
		return d.Size
	}
	var n int64
	for _, x := range d.Extents {
		n += x.Len
	}
	return n
}

// Data says where n's content is. For anything but a regular file there is
// none, and its Size is 0.
func (t *Tree) Data(n Node) Data {
	f := &t.nodes[n]
	if !f.is(index.ModeRegular) {
		return Data{Layer: int(f.layer)}
	}
	return Data{Layer: int(f.layer), Off: int64(f.where), Size: f.size, Extents: t.extentsOf(n)}
}

func (t *Tree) extentsOf(n Node) []index.Extent {
	i := sort.Search(len(t.sparse), func(i int) bool { return t.sparse[i].node >= n })
	if i == len(t.sparse) || t.sparse[i].node != n {
		return nil
	}
	first, end := t.sparse[i].first, t.sparse[i].first+t.sparse[i].n
	return t.extents[first:end:end]
}
