package export

import (
	"context"
	"fmt"
	"io"
	"path"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// Tar writes items to w as a tar archive, in their order; see the package
// comment. The same items of the same tree give the same bytes, always. What
// has been written when it fails is no archive. An error in the middle of a file is a
// *FileError.
func Tar(ctx context.Context, w io.Writer, src Source, items ...Item) error {
	a := &archive{w: w, tree: src.Tree(), contents: contents{src: src}, first: map[tree.Node]string{}}
	for _, it := range items {
		for below, n := range a.tree.All(it.Node) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := a.member(ctx, path.Join(it.Name, below), n); err != nil {
				return err
			}
		}
	}
	return a.write(make([]byte, 2*tarBlock)) // the end
}

// An archive is one being written.
type archive struct {
	w     io.Writer
	tree  *tree.Tree
	first map[tree.Node]string // the name under which a file with several was written
	contents
}

// kinds are the type flags of what has no content.
var kinds = map[uint32]byte{
	index.ModeDir: typeDir, index.ModeSymlink: typeSymlink, index.ModeChar: typeChar,
	index.ModeBlock: typeBlock, index.ModeFIFO: typeFIFO, index.ModeRegular: typeFile,
}

// member writes the file n as name, "" for the root.
func (a *archive) member(ctx context.Context, name string, n tree.Node) error {
	attr := a.tree.Attr(n)
	h := &header{name: name, kind: kinds[attr.Mode&index.ModeType], attr: attr, link: a.tree.Readlink(n)}
	if h.kind == typeDir {
		h.name += "/"
		if name == "" {
			h.name = "./"
		}
	} else if attr.Nlink > 1 {
		if first, again := a.first[n]; again {
			h.kind, h.link = typeLink, first
			return a.write(h.append(nil))
		}
		a.first[n] = name
	}
	h.records = xattrRecords(a.tree.Xattrs(n))
	if h.kind != typeFile {
		return a.write(h.append(nil))
	}
	return failedAt(ctx, name, a.file(ctx, h, n))
}

// file writes a regular file: its header, and its data without holes.
func (a *archive) file(ctx context.Context, h *header, n tree.Node) error {
	data := a.tree.Data(n)
	parts := extents(data)
	var holes []byte
	h.size = data.Size
	if data.Extents != nil {
		parts = blocks(data)
		holes = sparseMap(parts)
		h.size = int64(len(holes))
		for _, x := range parts {
			h.size += x.Len
		}
		dir, base := path.Split(h.name)
		h.records = append(h.records,
			record{"GNU.sparse.major", "1"}, record{"GNU.sparse.minor", "0"},
			record{"GNU.sparse.name", h.name}, record{"GNU.sparse.realsize", fmt.Sprint(data.Size)})
		h.name = dir + "GNUSparseFile.0/" + base
	}
	if err := a.write(append(h.append(nil), holes...)); err != nil {
		return err
	}
	for _, x := range parts {
		if err := a.pour(ctx, a.w, n, x.Off, x.Len); err != nil {
			return err
		}
	}
	return a.write(make([]byte, padding(h.size)))
}

// blocks are the data extents of a sparse file, grown to whole blocks: GNU tar
// takes each to begin in a block of its own. An empty one at the end tells the
// size, where there is no data.
func blocks(d tree.Data) (list []index.Extent) {
	end := int64(0) // of the last one
	for _, x := range d.Extents {
		off, to := x.Off&^(tarBlock-1), min(x.Off+x.Len+padding(x.Off+x.Len), d.Size)
		if n := len(list); n > 0 && off <= end {
			list[n-1].Len = max(end, to) - list[n-1].Off
		} else if x.Len > 0 {
			list = append(list, index.Extent{Off: off, Len: to - off})
		} else {
			continue
		}
		end = max(end, to)
	}
	if end < d.Size || len(list) == 0 {
		list = append(list, index.Extent{Off: d.Size})
	}
	return list
}

// sparseMap is the blocks before the content of a sparse file: how many
// extents, then offset and length of each, a decimal number a line.
func sparseMap(list []index.Extent) []byte {
	b := fmt.Appendf(nil, "%d\n", len(list))
	for _, x := range list {
		b = fmt.Appendf(b, "%d\n%d\n", x.Off, x.Len)
	}
	return append(b, make([]byte, padding(int64(len(b))))...)
}

func (a *archive) write(b []byte) error {
	_, err := a.w.Write(b)
	return err
}
