package index

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// headers are how many bytes before a content are looked through for its header,
// until it is found: that, and those that extend it, of 1 MiB at most each
// (archive/tar allows no more), for the name, the target and all records.
var headers = [...]int64{8 << 10, 128 << 10, 3<<20 + 8<<10}

// CheckHeader says whether e's content has its header before it in data, which is
// the archive that some table says e is in: of that name and size, and ending
// where the content begins. If not, that is a *MismatchError; errors of data are
// passed on. It says nothing of a sparse file, nor of an entry without content.
func CheckHeader(data io.ReaderAt, e *Entry) error {
	if e.Size == 0 || e.Data != nil {
		return nil
	}
	wrong := &MismatchError{Name: e.Name, What: "header", Table: fmt.Sprintf("%q of %d bytes", e.Name, e.Size), Blob: "none there"}
	block, err := before(data, e.Off, blockSize)
	if err != nil {
		return err
	}
	if h, err := tar.NewReader(bytes.NewReader(block)).Next(); err == nil {
		wrong.Blob = fmt.Sprintf("%q of %d bytes", h.Name, h.Size)
	}
	for _, n := range headers {
		if heads(block, e) {
			return nil
		}
		if block, err = before(data, e.Off, n); err != nil {
			return err
		}
		for at := len(block) - 2*blockSize; at >= 0; at -= blockSize {
			if heads(block[at:], e) {
				return nil
			}
		}
		if n >= e.Off {
			break
		}
	}
	return wrong
}

// before is up to n bytes of data before off; all if there are fewer.
func before(data io.ReaderAt, off, n int64) ([]byte, error) {
	b := make([]byte, max(0, min(n, off)))
	err := readAt(data, b, off-int64(len(b)))
	if errors.Is(err, io.ErrUnexpectedEOF) { // it ends before
		return nil, nil
	}
	return b, err
}

// heads says whether b is the header of e, to its last byte.
func heads(b []byte, e *Entry) bool {
	r := bytes.NewReader(b)
	h, err := tar.NewReader(r).Next()
	return err == nil && r.Len() == 0 && h.Size == e.Size && clean(h.Name) == e.Name &&
		(h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeCont || h.Typeflag == tar.TypeGNUSparse)
}
