package fs

import (
	"io"
	"sort"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/tree"
)

// Read fills buf, which is go-fuse's own and goes to the kernel as it is,
// from the source. It is all or nothing: the kernel would take less than was
// asked for, before the end of the file, for a file that has become shorter.
//
// An interrupt is not heeded. Programs that know nothing of it would see
// EINTR from a page fault, and what is on its way serves the next reader.
func (v *view) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	v.count.add(opRead)
	n, ok := v.node(in.NodeId)
	if !ok {
		return nil, errStale
	}
	off, size := int64(in.Offset), v.tree.Attr(n).Size
	if off < 0 || off >= size {
		return fuse.ReadResultData(nil), fuse.OK
	}
	buf = buf[:min(int64(len(buf)), size-off)]
	got, err := v.src.ReadAt(n, buf, off)
	if got < len(buf) && (err == nil || err == io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		return nil, v.readFailed(n, off, err)
	}
	v.count.read.Add(uint64(got))
	return fuse.ReadResultData(buf), fuse.OK
}

// Lseek answers SEEK_DATA and SEEK_HOLE; other seeks the kernel does itself.
func (v *view) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	v.count.add(opLseek)
	n, ok := v.node(in.NodeId)
	if !ok {
		return errStale
	}
	off, size := int64(in.Offset), v.tree.Attr(n).Size
	if off < 0 || off >= size {
		return errBeyond
	}
	d := v.tree.Data(n)
	switch in.Whence {
	case unix.SEEK_DATA:
		out.Offset = uint64(nextData(d, off))
	case unix.SEEK_HOLE:
		out.Offset = uint64(nextHole(d, off))
	default:
		return fuse.EINVAL
	}
	if out.Offset >= uint64(size) && in.Whence == unix.SEEK_DATA {
		return errBeyond // from off on, all is hole
	}
	return fuse.OK
}

// nextData is the first offset from off on, within the file, that has data;
// the file's size if there is none.
func nextData(d tree.Data, off int64) int64 {
	if d.Extents == nil { // all of it is data
		return off
	}
	for _, x := range d.Extents[extentAt(d, off):] {
		if x.Len > 0 {
			return max(off, x.Off)
		}
	}
	return d.Size
}

// nextHole is the first offset from off on that has none; the end of the file
// counts as a hole.
func nextHole(d tree.Data, off int64) int64 {
	if d.Extents == nil {
		return d.Size
	}
	for _, x := range d.Extents[extentAt(d, off):] {
		if x.Off > off {
			break
		}
		off = x.Off + x.Len // the next one may begin just there
	}
	return off
}

// extentAt is the first extent of a sparse file that ends behind off.
func extentAt(d tree.Data, off int64) int {
	return sort.Search(len(d.Extents), func(i int) bool { return d.Extents[i].Off+d.Extents[i].Len > off })
}
