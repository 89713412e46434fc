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
// (archive/tar allows no more), for the name, the target, all records, and the map
// of a sparse file.
var headers = [...]int64{3 * blockSize, 8 << 10, 128 << 10, 4<<20 + 8<<10}

// CheckHeader says whether e's content has e's header before it in data, which
// is the archive that some table says e is in: one that ends where the content
// begins, and of which Build would make e, in all that an Entry tells. The
// content before, as that table says, ends at after, 0 if there is none: what
// lies before that is no header of e. Times that the table gives in whole
// seconds may be rounded ones.
//
// A *MismatchError says what differs first; errors of data are passed on.
// Nothing is said of an entry that has no content.
func CheckHeader(data io.ReaderAt, e *Entry, after int64) error {
	if e.stored() == 0 {
		return nil
	}
	for _, n := range headers {
		start := max(align(after), e.Off-n)
		block, err := before(data, e.Off, e.Off-start)
		if err != nil {
			return err
		}
		found, whole := headerIn(block, e.Off)
		if !whole && start > align(after) {
			continue // what lies before may belong to it
		}
		if found != nil {
			return new(checker).entry(e, found)
		}
		break
	}
	return &MismatchError{Name: e.Name, What: "header", Table: e.String(), Blob: "none there"}
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

// headerIn makes an entry of the header that b ends in, with all that extends
// it, if there is one; off is where b ends in the archive. whole says that
// nothing before b belongs to it, as b has another member's header before it.
func headerIn(b []byte, off int64) (found *Entry, whole bool) {
	for at := len(b) - blockSize; at >= 0; at -= blockSize {
		r := bytes.NewReader(b[at:])
		e, err := headerAt(r, off)
		switch {
		case err != nil:
		case r.Len() == 0:
			found = e
		case found != nil: // by r, another one
			return found, true
		}
	}
	return found, false
}

// headerAt makes an entry of the header that r begins with; off is where r ends
// in the archive.
func headerAt(r *bytes.Reader, off int64) (*Entry, error) {
	start := off - int64(r.Len())
	space := &spaceReader{pos: start, next: func() ([]byte, error) {
		b := make([]byte, min(r.Len(), blockSize))
		if n, _ := r.Read(b); n == 0 {
			return nil, io.EOF
		}
		return b, nil
	}}
	space.record(start)
	h, err := tar.NewReader(space).Next()
	if err != nil {
		return nil, err
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil, fmt.Errorf("%w: a header of no entry", ErrUnsupported)
	}
	return entry(h, space)
}
