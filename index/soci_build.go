package index

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"math"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index/internal/ztoc"
)

// SOCIOptions are what BuildSOCI is told. The zero value will do.
type SOCIOptions struct {
	Options

	// Span is how many bytes of the decoded space a span is to have: the last
	// of an uncompressed layer fewer, all but the last of a gzip layer more.
	// 0 means SOCISpan.
	Span int64

	// Tool is who made the zTOC, as soci-snapshotter's users see it. What
	// its own command writes is SOCITool.
	Tool string
}

// What soci-snapshotter's own command does if it isn't told otherwise.
const (
	SOCISpan = 4 << 20
	SOCITool = "AWS SOCI CLI v0.2"
)

// BuildSOCI reads a tar or gzip layer from its first byte to its last, once,
// and returns its zTOC: to the byte the one that soci-snapshotter makes of it
// with the same Span and Tool, in UTC. It reads, closes r, checks the promises
// in o and fails as Build does, and with ErrNoIndex for a layer that zTOCs
// can't tell of: one compressed otherwise, or with sparse files, say.
//
// Some layers soci-snapshotter makes no zTOC of, though it reads the one made
// here: those with bytes behind the last gzip member.
func BuildSOCI(ctx context.Context, r io.ReadCloser, o SOCIOptions) ([]byte, error) {
	o.Limits = o.Limits.withDefaults()
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Span <= 0 {
		o.Span = SOCISpan
	}
	in := newInput(ctx, r, o.Options)
	defer in.close()
	b := &sociBuilder{o: o, in: in}
	if err := b.run(ctx); err != nil {
		return nil, in.blame(err)
	}
	toc := new(TOC)
	if err := in.finish(toc); err != nil {
		return nil, err
	}
	if b.diffID != nil {
		if err := check("diffID", o.DiffID, b.diffID.Digest()); err != nil {
			return nil, err
		}
	}
	h := &ztoc.Header{Version: ztoc.Version, Tool: o.Tool, CompressedSize: toc.blobSize, UncompressedSize: b.end}
	b.spans.describe(h)
	return ztoc.Marshal(h, b.files)
}

// A sociBuilder is one pass of BuildSOCI.
type sociBuilder struct {
	o      SOCIOptions
	in     *input
	spans  spanMaker
	pipe   *pipe
	last   []byte // the run of decoded bytes under way
	size   int64  // of what was decoded
	diffID digest.Digester

	files []ztoc.File
	end   int64 // where archive/tar found the archive's end
}

// A spanMaker is a decoder that makes spans on its way.
type spanMaker interface {
	decoder
	// describe tells of them, once all is decoded.
	describe(h *ztoc.Header)
}

func (b *sociBuilder) run(ctx context.Context) error {
	format, err := sniff(b.in, b.o.Options)
	if err != nil {
		return err
	}
	switch format {
	case Gzip:
		b.spans = newGzipSpans(b.in, b.o)
	case Tar:
		b.spans = &tarSpans{r: b.in, grid: ztoc.Grid{Span: b.o.Span}}
	default:
		return fmt.Errorf("%w: zTOCs don't know %s", ErrNoIndex, format)
	}
	if b.o.DiffID != "" {
		b.diffID = b.o.DiffID.Algorithm().Digester()
	}
	ctx, cancel := context.WithCancel(ctx)
	b.pipe = newPipe(ctx, b.spans)
	err = b.take()
	if err != nil && !malformed(err) {
		b.in.close() // so that the decoder isn't left waiting for it
	}
	cancel()
	b.pipe.wait()
	b.spans.close()
	return err
}

// take lists the archive, and takes in what lies behind its end.
func (b *sociBuilder) take() error {
	err := b.list(&spaceReader{next: b.next, from: math.MaxInt64})
	for err == nil {
		_, err = b.next()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// next takes in some decoded bytes.
func (b *sociBuilder) next() ([]byte, error) {
	if b.last != nil {
		b.pipe.free <- b.last[:ChunkSize]
		b.last = nil
	}
	p, err := b.pipe.next()
	if err != nil {
		return nil, err
	}
	b.last = p.chunk
	b.size += int64(len(p.chunk))
	if b.diffID != nil {
		b.diffID.Hash().Write(p.chunk)
	}
	return p.chunk, b.o.Limits.decoded(b.size, b.in.n.Load())
}

func (b *sociBuilder) list(r *spaceReader) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		b.end = r.pos
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &FormatError{Format: Tar, Off: r.pos, Err: tarError(err)}
		}
		if len(b.files) == b.o.Limits.Entries {
			return fmt.Errorf("%w: more than %d entries", ErrLimit, b.o.Limits.Entries)
		}
		f, err := headerFile(h, r.pos)
		if err == nil {
			err = b.check(&f)
		}
		if err != nil {
			return &FormatError{Format: Tar, Off: r.pos, Name: h.Name, Err: err}
		}
		b.files = append(b.files, f)
	}
}

// check checks that f can be made an entry of, by OpenSOCI.
func (b *sociBuilder) check(f *ztoc.File) error {
	e, err := fileEntry(f)
	if err != nil {
		return err
	}
	if f.Size != e.Size {
		return fmt.Errorf("%w: zTOCs can't tell of a size without content", ErrNoIndex)
	}
	return b.o.Limits.check(e)
}

// tarSpans passes an uncompressed layer on, and hashes its spans.
type tarSpans struct {
	r       io.Reader
	grid    ztoc.Grid
	digests digests
}

func (s *tarSpans) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	for b := p[:n]; len(b) > 0; {
		if s.grid.Size%s.grid.Span == 0 {
			s.digests.next()
		}
		m := min(int64(len(b)), s.grid.Span-s.grid.Size%s.grid.Span)
		s.digests.Write(b[:m])
		s.grid.Size += m
		b = b[m:]
	}
	return n, err
}

func (s *tarSpans) describe(h *ztoc.Header) {
	h.Algorithm, h.Checkpoints, h.Digests = ztoc.Uncompressed, s.grid.Marshal(), s.digests.all()
}

func (s *tarSpans) found() []mark { return nil }
func (s *tarSpans) close()        {}
