package index

import (
	"crypto/sha256"
	"hash"
	"io"

	"ocifs.dev/ocifs/index/internal/inflate"
	"ocifs.dev/ocifs/index/internal/ztoc"
)

// gzipSpans decodes a gzip layer, makes its checkpoints and hashes its spans.
//
// A checkpoint is where a block begins, or the first of a member, if so far
// nothing was decoded, or more than a span since the checkpoint before. That
// is not behind the last block of a member, where zlib's caller could stop,
// too.
type gzipSpans struct {
	gunzip
	o    SOCIOptions
	tap  *tap
	last int64 // where in the decoded space the last checkpoint is
	blob []byte
	err  error
}

func newGzipSpans(r io.Reader, o SOCIOptions) *gzipSpans {
	d := new(inflate.Decoder)
	s := &gzipSpans{o: o, tap: &tap{r: r, d: d}}
	d.Reset(s.tap)
	d.Blocks(s.block)
	s.gunzip = gunzip{d: d, in: d.Input(), warn: o.Warn}
	return s
}

// block is called before every block.
func (s *gzipSpans) block(bit, out int64) {
	if out > 0 && out-s.last <= s.o.Span || s.err != nil {
		return
	}
	if s.err = s.o.Limits.table(int64(len(s.blob))); s.err != nil {
		return // empty blocks cost a layer next to nothing
	}
	in := (bit + 7) / 8
	s.tap.cut(bit/8, in)
	s.blob = ztoc.AppendCheckpoint(s.blob, s.o.Span, &ztoc.Checkpoint{In: in, Bits: uint8(8*in - bit), Out: out, Window: s.d.Window()})
	s.last = out
}

func (s *gzipSpans) Read(p []byte) (int, error) {
	n, err := s.gunzip.Read(p)
	if s.err != nil {
		return 0, s.err
	}
	if err == io.EOF {
		if err := s.tap.drain(); err != nil {
			return n, err
		}
	}
	return n, err
}

func (s *gzipSpans) describe(h *ztoc.Header) {
	h.Algorithm, h.Checkpoints, h.Digests = ztoc.Gzip, s.blob, s.tap.digests.all()
}

// A tap is a decoder's input, hashed span by span, as far as it was decoded:
// only then it is known where a span ends.
type tap struct {
	r       io.Reader
	d       *inflate.Decoder
	buf     []byte // read and not hashed yet
	off     int64  // where that begins in the blob
	digests digests
}

func (t *tap) Read(p []byte) (int, error) {
	bits, _ := t.d.Pos()
	t.advance(bits / 8) // no span begins before
	n, err := t.r.Read(p)
	t.buf = append(t.buf, p[:n]...)
	return n, err
}

// advance hashes what is before off.
func (t *tap) advance(off int64) {
	if n := off - t.off; n > 0 {
		t.digests.Write(t.buf[:n])
		t.buf = t.buf[:copy(t.buf, t.buf[n:])]
		t.off = off
	}
}

// drain hashes what the decoder left.
func (t *tap) drain() error {
	t.advance(t.off + int64(len(t.buf)))
	_, err := io.Copy(&t.digests, t.r)
	return err
}

// cut ends a span before end, and begins the next one at start. The byte
// between them, if there is one, is both's.
func (t *tap) cut(start, end int64) {
	t.advance(start)
	t.digests.Write(t.buf[:end-start])
	t.digests.next()
}

// digests are SHA-256 digests of runs of bytes. What is written before the
// first next belongs to none of them.
type digests struct {
	done [][sha256.Size]byte
	open hash.Hash
}

func (d *digests) Write(p []byte) (int, error) {
	if d.open == nil {
		return len(p), nil
	}
	return d.open.Write(p)
}

// next begins the next run.
func (d *digests) next() {
	d.end()
	d.open = sha256.New()
}

func (d *digests) end() {
	if d.open != nil {
		d.done = append(d.done, [sha256.Size]byte(d.open.Sum(nil)))
	}
}

// all ends the last run and returns the digests of all.
func (d *digests) all() [][sha256.Size]byte {
	d.end()
	d.open = nil
	return d.done
}
