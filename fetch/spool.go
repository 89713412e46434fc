package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
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

// spoolFile unpacks f, compressed by c, to a file without a name in dir.
func spoolFile(ctx context.Context, f *os.File, c compression, dir string) (*os.File, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var r io.Reader = io.NewSectionReader(f, 0, fi.Size())
	if c == gzipped {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	} else {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	}
	return spool(ctx, r, dir, maxSpool)
}

// spool writes all of r, at most limit bytes, to a file without a name: in dir
// or, where that is read-only, in os.TempDir().
func spool(ctx context.Context, r io.Reader, dir string, limit int64) (*os.File, error) {
	f, err := os.CreateTemp(dir, "ocifs-")
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) {
		f, err = os.CreateTemp("", "ocifs-")
	}
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
		return nil, unpackError(err, filepath.Dir(f.Name()))
	}
	return f, nil
}

// unpackError explains why a file could not be unpacked into dir, where the
// copy's own name says nothing: it is gone.
func unpackError(err error, dir string) error {
	at := (*fs.PathError)(nil)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the archive is cut short")
	case errors.As(err, &at):
		return fmt.Errorf("in %s: %w", dir, at.Err)
	}
	return err
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
