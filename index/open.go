package index

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// ErrNoIndex says that a layer brings no table of contents that one could
// trust and use: Build is the way.
var ErrNoIndex = errors.New("no table of contents")

// ErrExternal is the ErrNoIndex of a layer whose table of contents is vouched
// for, and stored elsewhere: with it in Hints.TOC, Open will do.
var ErrExternal = fmt.Errorf("%w: it is stored elsewhere", ErrNoIndex)

// A Blob is a layer as it is stored. ReadAt costs a request each.
type Blob interface {
	io.ReaderAt
	Size() int64
}

// Open reads the table of contents that a layer brings: eStargz, also with
// the table elsewhere, and zstd:chunked, as Podman and as stargz-snapshotter
// write it. It makes one ranged read where the annotations say where the table
// lies, none where the table was given, and otherwise one of the blob's end
// and another if the table doesn't lie in that; an eStargz layer may need one
// more (see shown).
//
// The table is trusted because its digest stands among the annotations, and
// every chunk because its digest stands in the table. A layer without that is
// an ErrNoIndex, and so is one that Open knows that it would show differently
// from an unpacked one. A broken promise is a *DigestError, a table that can't
// be right a *FormatError, one that asks for too much an ErrLimit: then Build
// may still do. Errors of blob and ctx are passed on.
func Open(ctx context.Context, blob Blob, h Hints) (*TOC, error) {
	for _, d := range []digest.Digest{h.Digest, h.DiffID} {
		if err := d.Validate(); err != nil {
			return nil, fmt.Errorf("index: digest %q: %w", d, err)
		}
	}
	if blob.Size() < 0 {
		return nil, fmt.Errorf("index: a blob of %d bytes", blob.Size())
	}
	h.Limits = h.Limits.withDefaults()
	p, err := h.promise()
	if err != nil {
		return nil, err
	}
	o := &opener{h: h, promise: p, tail: tail{ctx: ctx, blob: blob, off: blob.Size()}}
	switch {
	case !p.made():
		return nil, ErrNoIndex
	case p.place != nil:
		return o.zstdChunked(*p.place)
	case h.TOC != nil && p.json != "":
		return o.external()
	}
	return o.byFooter()
}

// An opener is one call of Open.
type opener struct {
	h       Hints
	promise promise
	tail    tail
}

// The first read takes so much of the blob's end: most tables are a fiftieth
// of their blob or less, and the more a request brings the fewer follow; but
// what it brings in vain takes time, too.
const (
	tailShare = 64
	tailMin   = 256 << 10
	tailMax   = 1 << 20
)

// byFooter goes by what stands at the blob's end. A layer whose table is elsewhere
// has 46 bytes there that matter, but its annotations are those of any eStargz
// layer: it costs as much as others, which would pay for less with a request more.
func (o *opener) byFooter() (*TOC, error) {
	size := o.tail.blob.Size()
	n := min(size, max(tailMin, min(size/tailShare, tailMax)))
	end, err := o.tail.from(size - n)
	if err != nil {
		return nil, err
	}
	if at, ok := zstdFooter(end); ok {
		return o.zstdChunked(at)
	}
	switch f, err := gzipFooter(end); {
	case err != nil:
		return nil, &FormatError{Format: EStargz, Off: size - int64(len(end)), Err: err}
	case f.external:
		return nil, ErrExternal
	case f.n > 0 && o.promise.json != "":
		return o.estargz(f)
	}
	return nil, ErrNoIndex
}

// toc is the TOC of a layer whose table was read.
func (o *opener) toc(c *contents) *TOC {
	return &TOC{
		format: c.format,
		blob:   o.h.Digest, blobSize: o.tail.blob.Size(), diffID: o.h.DiffID,
		size:    c.size,
		entries: c.entries, nentries: c.n, files: c.files,
		tiling: &parts{format: c.format, size: c.size, end: c.end, b: c.parts, window: o.h.Limits.Window, pool: new(decoders)},
	}
}

// promised checks b against the digest that it was promised to have, if it was.
func promised(want digest.Digest, b []byte) error {
	if want == "" {
		return nil
	}
	return check("table of contents", want, want.Algorithm().FromBytes(b))
}

// table is the error for a table of contents of n bytes, if that is too much.
func (l Limits) table(n int64) error {
	if n > l.TOC {
		return fmt.Errorf("%w: a table of contents of %d bytes", ErrLimit, n)
	}
	return nil
}

// tail is the end of a blob, as far as it was read.
type tail struct {
	ctx  context.Context
	blob Blob
	off  int64 // where it begins
	b    []byte
}

// from is the blob from off on, which costs a read if it wasn't read yet.
func (t *tail) from(off int64) ([]byte, error) {
	if off < t.off {
		if err := t.ctx.Err(); err != nil {
			return nil, err
		}
		b := make([]byte, t.blob.Size()-off)
		if err := readAt(t.blob, b[:t.off-off], off); err != nil {
			return nil, err
		}
		copy(b[t.off-off:], t.b)
		t.off, t.b = off, b
	}
	return t.b[off-t.off:], nil
}

// readAt reads all of p.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil, err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}
