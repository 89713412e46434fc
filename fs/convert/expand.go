package convert

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"strings"
)

// paxSparse begins the names of the PAX records that tell of a sparse file.
const paxSparse = "GNU.sparse."

func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, paxSparse) {
			return true
		}
	}
	return false
}

// sparse says whether there is a sparse file in the archive.
func sparse(r io.Reader) (bool, error) {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			return false, nil
		}
		if err != nil || isSparse(h) {
			return err == nil, err
		}
	}
}

// expanded is the archive with the holes of its sparse files filled in, as the
// formats' library can tell of no others: in a file without a name, which has the
// holes again. It is nil if there is nothing to fill in.
func expanded(ctx context.Context, archive *io.SectionReader, dir string) (_ *os.File, err error) {
	again := func() io.Reader { return io.NewSectionReader(archive, 0, archive.Size()) }
	if any, err := sparse(again()); !any {
		return nil, err
	}
	f, err := nameless(dir)
	if err != nil {
		return nil, err
	}
	out := &holey{f: f}
	if err = errors.Join(expand(ctx, out, again()), out.end()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// expand writes all that r's archive has to w's.
func expand(ctx context.Context, w io.Writer, r io.Reader) error {
	from, to := tar.NewReader(r), tar.NewWriter(w)
	buf := make([]byte, 1<<16)
	for ctx.Err() == nil {
		h, err := from.Next()
		if err == io.EOF {
			return to.Close()
		}
		if err != nil {
			return err
		}
		if isSparse(h) {
			h.Typeflag, h.Format = tar.TypeReg, tar.FormatPAX
			h.PAXRecords = maps.Clone(h.PAXRecords)
			maps.DeleteFunc(h.PAXRecords, func(k, _ string) bool { return strings.HasPrefix(k, paxSparse) })
		}
		if err := to.WriteHeader(h); err != nil {
			return err
		}
		for n := int64(0); n < h.Size && ctx.Err() == nil; {
			m, err := from.Read(buf)
			if _, err := to.Write(buf[:m]); err != nil {
				return err
			}
			if n += int64(m); err != nil && (err != io.EOF || n < h.Size) {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

// holey writes a new file, and leaves out what is zeros.
type holey struct {
	f    *os.File
	size int64
}

func (w *holey) Write(p []byte) (int, error) {
	at := w.size
	w.size += int64(len(p))
	if len(bytes.Trim(p, "\x00")) == 0 {
		return len(p), nil
	}
	return w.f.WriteAt(p, at)
}

func (w *holey) end() error { return w.f.Truncate(w.size) }
