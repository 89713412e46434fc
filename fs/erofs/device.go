package erofs

import (
	"io"

	"ocifs.dev/ocifs/fs"
)

// A Device is the second device of a tree's EROFS file system: the contents of
// all regular files, each from the beginning of a block on, with zeros up to the
// end of its last one. It is safe for concurrent use.
type Device struct {
	src   fs.Source
	space *space
	size  int64
}

// NewDevice makes the device of a tree's layout.
func NewDevice(l *Layout, src fs.Source) *Device { return newDevice(l, src, newSpace(l.tree)) }

func newDevice(l *Layout, src fs.Source, s *space) *Device {
	return &Device{src, s, int64(l.dataBlocks) * blockSize}
}

// Size is the length of the device, in bytes.
func (d *Device) Size() int64 { return d.size }

// ReadAt implements io.ReaderAt. It fails if any file fails that it comes by: the
// kernel reads ahead, and then anew what somebody waits for.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= d.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), d.size-off)]
	i := d.space.at(uint32(off >> blockBits))
	for n := 0; n < len(p); i++ {
		m, err := d.file(i, p[n:], off+int64(n))
		if err != nil {
			return 0, err
		}
		n += m
	}
	if off+int64(len(p)) == d.size {
		return len(p), io.EOF
	}
	return len(p), nil
}

// file reads from the file with that index, and the zeros behind it, until the
// next one begins. It returns how much that is.
func (d *Device) file(i int, p []byte, off int64) (int, error) {
	end := d.size
	if i+1 < len(d.space.files) {
		end = int64(d.space.start[d.space.files[i+1]]) << blockBits
	}
	p = p[:min(int64(len(p)), end-off)]
	if i < 0 { // a tree without contents
		clear(p)
		return len(p), nil
	}
	n := d.space.files[i]
	off -= int64(d.space.start[n]) << blockBits
	data := p[:max(0, min(int64(len(p)), d.src.Tree().Attr(n).Size-off))]
	if len(data) > 0 {
		got, err := d.src.ReadAt(n, data, off)
		if got < len(data) && (err == nil || err == io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF {
			return 0, &fs.ReadError{Tree: d.src.Tree(), Node: n, Off: off, Err: err}
		}
	}
	clear(p[len(data):])
	return len(p), nil
}
