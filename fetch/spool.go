package fetch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A compression is told by a file's first bytes.
type compression string

const (
	plain     compression = ""
	gzipped   compression = "gzip"
	zstandard compression = "zstd"
)

func sniff(r io.ReaderAt) compression {
	var magic [4]byte
	n, _ := r.ReadAt(magic[:], 0)
	switch {
	case bytes.HasPrefix(magic[:n], []byte{0x1f, 0x8b}):
		return gzipped
	case bytes.Equal(magic[:n], []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstandard
	}
	return plain
}

const (
	// maxSpool bounds what a compressed archive may unpack to.
	maxSpool = 64 << 30
	// maxWindow bounds what a zstd frame may ask the decoder to remember.
	maxWindow = 128 << 20
)

// uncompressed returns f itself or, if f is compressed as a whole, a file
// without a name in dir with what f unpacks to; f is closed then. On error it
// returns f, still open.
func uncompressed(ctx context.Context, f *os.File, dir string) (*os.File, error) {
	var r io.Reader
	switch sniff(f) {
	case plain:
		return f, nil
	case gzipped:
		z, err := gzip.NewReader(f)
		if err != nil {
			return f, err
		}
		defer z.Close()
		r = z
	case zstandard:
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return f, err
		}
		defer z.Close()
		r = z
	}
	out, err := spool(ctx, r, dir, maxSpool)
	if err != nil {
		return f, fmt.Errorf("unpack: %w", err)
	}
	f.Close()
	return out, nil
}

// spool writes all of r, at most limit bytes, to a file without a name.
func spool(ctx context.Context, r io.Reader, dir string, limit int64) (*os.File, error) {
	f, err := os.CreateTemp(dir, "ocifs-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	n, err := io.Copy(f, io.LimitReader(&bounded{ctx, r}, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("%w: more than %d bytes", ErrUnsupported, limit)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// bounded ends a reader with its context.
type bounded struct {
	ctx context.Context
	r   io.Reader
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}
