package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// A Sink keeps what Build makes on its way through a layer. Its methods are
// called from one goroutine at a time, in order; the bytes are the caller's
// again when they return. An error of a Sink ends the pass.
type Sink interface {
	// Chunk keeps chunk i of the decoded space, which begins at off.
	Chunk(i int, off int64, p []byte) error
	// Window appends to the windows file, which Decode reads from.
	Window(p []byte) error
}

// Options are what is known of a layer before it is read. The zero value
// knows nothing and promises nothing.
type Options struct {
	Digest   digest.Digest // of the blob; "" if there is no promise to hold it to
	Size     int64         // of the blob; 0 if there is no promise
	DiffID   digest.Digest // of the decoded space; "" if there is no promise
	Span     int64         // a gzip layer's points are so many decoded bytes apart, MaxSpan at most; 0: ChunkSize, the least
	Format   Format        // Raw for a blob that is no archive; of all others the first bytes decide
	Limits   Limits
	Warn     func(msg string) // odd but harmless things; nil: nobody asks
	Progress func(blob int64) // bytes of the blob read so far; nil: nobody asks
}

// Build reads a layer from its first byte to its last, once, and returns its
// TOC. Of a blob that o says is Raw it makes one without entries. On the way it gives each decoded chunk to sink. It overlaps reading
// and hashing of the blob, decompression, and hashing, scanning and keeping
// of what comes out, in three goroutines with some 8 MiB of buffers; they
// have ended, and r is closed, when it returns.
//
// The blob's digest and size and the diffID are checked against the promises
// in o: a *DigestError says that one was broken, and then nothing that sink
// was given may be believed. A layer that can't be read is a *FormatError, one
// that asks for too much an ErrLimit, one of a kind unknown to ocifs an
// ErrUnsupported. Errors of r, of sink and of ctx are passed on.
func Build(ctx context.Context, r io.ReadCloser, sink Sink, o Options) (*TOC, error) {
	o.Limits = o.Limits.withDefaults()
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	in := newInput(ctx, r, o)
	defer in.close()
	b := &builder{ctx: ctx, sink: sink, o: o, in: in, toc: new(TOC), stream: new(stream)}
	if err := b.run(); err != nil {
		return nil, in.blame(err)
	}
	if err := in.finish(b.toc); err != nil {
		return nil, err
	}
	b.stream.format, b.stream.blob, b.stream.window = b.toc.format, b.toc.blobSize, o.Limits.Window
	b.toc.tiling = b.stream
	return b.toc, check("diffID", o.DiffID, b.toc.diffID)
}

// check is nil if a promise was kept, or none was made.
func check(what string, want, got digest.Digest) error {
	if want != "" && want != got {
		return &DigestError{What: what, Want: string(want), Got: string(got)}
	}
	return nil
}

// The first bytes of the formats.
var (
	magicGzip = []byte{0x1f, 0x8b}
	magicZstd = []byte{0x28, 0xb5, 0x2f, 0xfd}
	magicSkip = []byte{0x2a, 0x4d, 0x18} // after one byte 0x50 to 0x5f: a skippable frame
)

// foreign are compressions that aren't layers', by their first bytes, none of
// which begin an archive: a file name in its place would have to go on so.
var foreign = []struct{ name, magic string }{
	{"xz", "\xfd7zXZ\x00"},
	{"bzip2", "BZh?1AY&SY"}, // the digit is the level
	{"bzip2", "BZh?\x17\x72\x45\x38\x50\x90"},
	{"lz4", "\x04\x22\x4d\x18"},
	{"lz4", "\x02\x21\x4c\x18"},
	{"lzip", "LZIP\x01"},
	{"lzop", "\x89LZO\x00\r\n\x1a\n"},
	{"compress", "\x1f\x9d"},
}

// isForeign names the compression that b begins with, "" if it is none.
func isForeign(b []byte) string {
	for _, f := range foreign {
		fits := len(b) >= len(f.magic)
		for i := 0; fits && i < len(f.magic); i++ {
			fits = b[i] == f.magic[i] || f.magic[i] == '?' && '1' <= b[i] && b[i] <= '9'
		}
		if fits {
			return f.name
		}
	}
	return ""
}

// sniff decides the format by the blob's first bytes.
func sniff(in *input, o Options) (Format, error) {
	if o.Format == Raw {
		return Raw, nil
	}
	b, err := in.peek(10)
	if err != nil && err != io.EOF {
		return 0, err
	}
	if name := isForeign(b); name != "" {
		return 0, fmt.Errorf("%w with %s", ErrCompression, name)
	}
	switch {
	case bytes.HasPrefix(b, magicGzip):
		return Gzip, nil
	case bytes.HasPrefix(b, magicZstd), len(b) > 3 && b[0]&0xf0 == 0x50 && bytes.Equal(b[1:4], magicSkip):
		return Zstd, nil
	}
	return Tar, nil
}

// A builder is one pass: it decodes in one goroutine and takes in what comes
// out in the caller's.
type builder struct {
	ctx  context.Context
	sink Sink
	o    Options
	in   *input

	toc    *TOC    // all but its tiling, which is
	stream *stream // this one
}

func (b *builder) run() error {
	var err error
	if b.toc.format, err = sniff(b.in, b.o); err != nil {
		return err
	}
	dec, err := b.decoder()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	p := newPipe(ctx, dec)
	err = newIntake(b, p).run()
	if err != nil && !malformed(err) {
		b.in.close() // so that the decoder isn't left waiting for it
	}
	cancel()
	p.wait()
	dec.close()
	return err
}

// A decoder turns a blob into its decoded space.
type decoder interface {
	io.Reader
	// found are the places that decoding can begin at, as far as they are
	// known by now and weren't given before.
	found() []mark
	close()
}

func (b *builder) decoder() (decoder, error) {
	switch b.toc.format {
	case Gzip:
		return newGunzip(b.in, b.o.Span, b.o.Warn), nil
	case Zstd:
		return newUnzstd(b.in, b.o.Limits.Window, b.o.Warn)
	case Tar, Raw:
		return plain{b.in}, nil
	}
	return nil, errors.ErrUnsupported
}

// plain decodes what isn't encoded.
type plain struct{ io.Reader }

func (plain) found() []mark { return nil }
func (plain) close()        {}
