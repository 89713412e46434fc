package index

import (
	"archive/tar"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strings"
)

// The prefixes under which PAX records hold extended attributes: star's and
// everybody's, and libarchive's, whose names are URL-encoded and whose values
// are base64.
const (
	schilyXattr     = "SCHILY.xattr."
	libarchiveXattr = "LIBARCHIVE.xattr."
)

// scan reads a tar archive's headers from r and hands each member to emit. It
// is archive/tar that reads them, here as everywhere in ocifs: containerd,
// Podman and umoci see the archive through the same parser, so nothing can
// appear in a mount that an unpack would not show.
func scan(r *spaceReader, l Limits, emit func(*Entry) error) error {
	tr := tar.NewReader(r)
	end := int64(0)
	for n := 0; ; n++ {
		r.record(align(end))
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if r.err != nil { // it is not the archive that failed
			return r.err
		}
		if err != nil {
			return &FormatError{Format: Tar, Off: align(end), Err: tarError(err)}
		}
		if n >= l.Entries {
			return fmt.Errorf("%w: more than %d entries", ErrLimit, l.Entries)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			end = r.pos // archive/tar has read it whole, and unpackers ignore it
			continue
		}
		e, err := entry(h, r)
		if err == nil {
			err = l.check(e)
		}
		if err == nil {
			err = emit(e)
		}
		if r.err != nil {
			return r.err
		}
		if err != nil {
			return &FormatError{Format: Tar, Off: align(end), Name: h.Name, Err: err}
		}
		if end = r.pos + e.stored(); end < r.pos {
			return &FormatError{Format: Tar, Off: r.pos, Name: h.Name, Err: errors.New("a size beyond all bounds")}
		}
	}
}

// align is where the next header begins after content that ends at n: headers
// and contents are padded to 512-byte blocks.
func align(n int64) int64 { return (n + blockSize - 1) &^ (blockSize - 1) }

const blockSize = 512

func tarError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the archive ends in the middle of an entry")
	}
	return err
}

// entry is the Entry that h tells; r stands where its content begins.
func entry(h *tar.Header, r *spaceReader) (*Entry, error) {
	e := &Entry{Name: clean(h.Name), ModTime: h.ModTime.UTC(), Mode: uint32(h.Mode) & ModePerm}
	var err error
	if e.UID, err = id(h.Uid); err != nil {
		return nil, err
	}
	if e.GID, err = id(h.Gid); err != nil {
		return nil, err
	}
	if err := setType(e, h); err != nil {
		return nil, err
	}
	if e.Xattrs, err = xattrs(h.PAXRecords); err != nil {
		return nil, err
	}
	if e.Mode&ModeType == ModeRegular && !e.HardLink && h.Size > 0 {
		e.Size, e.Off = h.Size, r.pos
		if e.Data, err = sparseData(h, r.recorded()); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func setType(e *Entry, h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		e.Mode |= ModeRegular
	case tar.TypeLink:
		e.Mode |= ModeRegular
		e.HardLink, e.Link = true, clean(h.Linkname)
	case tar.TypeSymlink:
		e.Mode, e.Link = ModeSymlink|0o777, h.Linkname // a symbolic link has no mode of its own
	case tar.TypeDir:
		e.Mode |= ModeDir
	case tar.TypeFifo:
		e.Mode |= ModeFIFO
	case tar.TypeChar, tar.TypeBlock:
		e.Mode |= ModeChar
		if h.Typeflag == tar.TypeBlock {
			e.Mode = e.Mode&ModePerm | ModeBlock
		}
		if h.Devmajor < 0 || h.Devmajor > maxMajor || h.Devminor < 0 || h.Devminor > maxMinor {
			return fmt.Errorf("a device %d:%d", h.Devmajor, h.Devminor)
		}
		e.Major, e.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	default:
		return fmt.Errorf("%w: a tar entry of type %q", ErrUnsupported, h.Typeflag)
	}
	return nil
}

// xattrs are the extended attributes among PAX records, sorted by name. Where
// both encodings give one, star's is right.
func xattrs(records map[string]string) ([]Xattr, error) {
	var x []Xattr
	for k, v := range records {
		if name, ok := strings.CutPrefix(k, schilyXattr); ok {
			x = append(x, Xattr{name, v})
		} else if name, ok := strings.CutPrefix(k, libarchiveXattr); ok {
			a, err := libarchive(name, v)
			if err != nil {
				return nil, err
			}
			if _, both := records[schilyXattr+a.Name]; !both {
				x = append(x, a)
			}
		}
	}
	slices.SortFunc(x, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return x, nil
}

func libarchive(name, value string) (Xattr, error) {
	n, err := url.PathUnescape(name)
	if err != nil {
		return Xattr{}, fmt.Errorf("extended attribute %q: %w", name, err)
	}
	v, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil {
		return Xattr{}, fmt.Errorf("extended attribute %q: %w", name, err)
	}
	return Xattr{n, string(v)}, nil
}

// A spaceReader is a decoded space as archive/tar wants it: a reader that can
// skip, and that remembers the headers it read, for the parts of them that
// archive/tar keeps to itself.
type spaceReader struct {
	next func() ([]byte, error) // the next run of decoded bytes, valid until the next call; io.EOF after the last
	err  error                  // what next failed with, unless it was io.EOF
	buf  []byte
	pos  int64
	from int64 // bytes from here on are recorded …
	rec  []byte
}

// record begins a new record at offset from of the decoded space, which must
// not have been read yet.
func (r *spaceReader) record(from int64) { r.from, r.rec = from, r.rec[:0] }

func (r *spaceReader) recorded() []byte { return r.rec }

func (r *spaceReader) fill() error {
	for len(r.buf) == 0 {
		b, err := r.next()
		if err != nil {
			if err != io.EOF {
				r.err = err
			}
			return err
		}
		r.buf = b
	}
	return nil
}

func (r *spaceReader) Read(p []byte) (int, error) {
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.buf)
	if r.pos+int64(n) > r.from {
		r.rec = append(r.rec, p[max(0, r.from-r.pos):n]...)
	}
	r.skip(n)
	return n, nil
}

func (r *spaceReader) skip(n int) { r.buf, r.pos = r.buf[n:], r.pos+int64(n) }

// Seek moves forward only, which is all that archive/tar asks of it.
func (r *spaceReader) Seek(off int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || off < 0 || off > math.MaxInt64-r.pos {
		return 0, errors.ErrUnsupported
	}
	for off > 0 {
		if err := r.fill(); err == io.EOF {
			return r.pos, io.ErrUnexpectedEOF
		} else if err != nil {
			return r.pos, err
		}
		n := min(off, int64(len(r.buf)))
		r.skip(int(n))
		off -= n
	}
	return r.pos, nil
}
