package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Format is the way layers are written in.
type Format string

// The formats.
const (
	EStargz     Format = "estargz"      // gzip, with a table of contents
	ZstdChunked Format = "zstd:chunked" // zstd, with a table of contents
	Gzip        Format = "gzip"
	Zstd        Format = "zstd"
)

// Formats are all there are.
var Formats = []Format{EStargz, ZstdChunked, Gzip, Zstd}

// What the formats' annotations are called.
const (
	tocDigest        = estargz.TOCJSONDigestAnnotation
	uncompressedSize = estargz.StoreUncompressedSizeAnnotation
)

// write writes the archive in tar as a layer, into a file without a name.
func write(ctx context.Context, tar *io.SectionReader, o Options) (_ Blob, diffID digest.Digest, err error) {
	f, err := nameless(o.TempDir)
	if err != nil {
		return Blob{}, "", err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	sum := digest.Canonical.Digester()
	out := io.MultiWriter(f, sum.Hash())
	d := ocispec.Descriptor{}
	switch o.Format {
	case EStargz, ZstdChunked:
		d, diffID, err = chunked(ctx, out, tar, o)
	case Gzip, Zstd:
		d, diffID, err = whole(out, tar, o)
	default:
		err = fmt.Errorf("unknown format %q", o.Format)
	}
	if err != nil {
		return Blob{}, "", err
	}
	d.Digest = sum.Digest()
	if d.Size, err = f.Seek(0, io.SeekCurrent); err != nil {
		return Blob{}, "", err
	}
	return Blob{d, f, f}, diffID, nil
}

// nameless is a file that goes when it is closed.
func nameless(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "ocifs-convert-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// chunked writes a format that has a table of contents.
func chunked(ctx context.Context, w io.Writer, tar *io.SectionReader, o Options) (d ocispec.Descriptor, diffID digest.Digest, err error) {
	full, err := expanded(ctx, tar, o.TempDir)
	if err != nil {
		return d, "", err
	}
	if full != nil {
		defer full.Close()
		size, err := full.Seek(0, io.SeekEnd)
		if err != nil {
			return d, "", err
		}
		tar = io.NewSectionReader(full, 0, size)
	}
	missing := []string{} // estargz adds to it; that a layer lacks a file is no error
	opts := []estargz.Option{
		estargz.WithContext(ctx),
		estargz.WithChunkSize(o.ChunkSize),
		estargz.WithPrioritizedFiles(o.First),
		estargz.WithAllowPrioritizeNotFound(&missing),
		estargz.WithParallelism(1), // the same bytes on every machine
	}
	d.MediaType, d.Annotations = ocispec.MediaTypeImageLayerGzip, map[string]string{}
	if o.Format == ZstdChunked {
		d.MediaType = ocispec.MediaTypeImageLayerZstd
		opts = append(opts, estargz.WithCompression(&zstdChunked{
			Compressor: &zstdchunked.Compressor{CompressionLevel: zstdLevel(o.Level), Metadata: d.Annotations},
		}))
	} else if o.Level != 0 {
		opts = append(opts, estargz.WithCompressionLevel(o.Level))
	}
	b, err := estargz.Build(tar, opts...)
	if err != nil {
		return d, "", err
	}
	_, err = io.Copy(w, b)
	if err := errors.Join(err, b.Close()); err != nil {
		return d, "", err
	}
	size, err := b.UncompressedSize()
	d.Annotations[tocDigest] = b.TOCDigest().String()
	d.Annotations[uncompressedSize] = strconv.FormatInt(size, 10)
	return d, b.DiffID(), err
}

// zstdChunked is both halves of what estargz calls a compression.
type zstdChunked struct {
	*zstdchunked.Compressor
	zstdchunked.Decompressor
}

// whole writes a format that has to be read from its beginning.
func whole(w io.Writer, tar io.Reader, o Options) (d ocispec.Descriptor, diffID digest.Digest, err error) {
	var z io.WriteCloser
	if o.Format == Zstd {
		d.MediaType = ocispec.MediaTypeImageLayerZstd
		z, err = zstd.NewWriter(w, zstd.WithEncoderLevel(zstdLevel(o.Level)))
	} else {
		d.MediaType = ocispec.MediaTypeImageLayerGzip
		level := gzip.DefaultCompression
		if o.Level != 0 {
			level = o.Level
		}
		z, err = gzip.NewWriterLevel(w, level)
	}
	if err != nil {
		return d, "", err
	}
	sum := digest.Canonical.Digester()
	_, err = io.Copy(io.MultiWriter(z, sum.Hash()), tar)
	return d, sum.Digest(), errors.Join(err, z.Close())
}

func zstdLevel(level int) zstd.EncoderLevel {
	if level == 0 {
		return zstd.SpeedDefault
	}
	return zstd.EncoderLevelFromZstd(level)
}
