package fetch

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A compression is told by a file's first bytes.
type compression string

const (
	plain     compression = ""
	gzipped   compression = "gzip"
	zstandard compression = "zstd"
	xz        compression = "xz"
	bzip2     compression = "bzip2"
)

// magics are what compressed files begin with.
var magics = []struct {
	compression
	magic string
}{
	{gzipped, "\x1f\x8b"},
	{zstandard, "\x28\xb5\x2f\xfd"},
	{xz, "\xfd7zXZ\x00"},
	{bzip2, "BZh91AY&SY"}, // of levels below 9, too: see sniff
}

func sniff(r io.ReaderAt) compression {
	var head [10]byte
	n, _ := r.ReadAt(head[:], 0)
	if '1' <= head[3] && head[3] <= '8' && string(head[:3]) == "BZh" {
		head[3] = '9'
	}
	for _, m := range magics {
		if strings.HasPrefix(string(head[:n]), m.magic) {
			return m.compression
		}
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
	switch c := sniff(f); c {
	case plain:
		return f, nil
	case xz, bzip2:
		return f, fmt.Errorf("%w: compressed with %s: only gzip and zstd are read", ErrUnsupported, c)
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
