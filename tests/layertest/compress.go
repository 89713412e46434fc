package layertest

import (
	"bytes"
	"compress/gzip"

	"github.com/klauspost/compress/zstd"
)

// Gzip compresses b into one gzip member, at a level of compress/gzip.
func Gzip(b []byte, level int) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, level)
	must(err)
	_, err = w.Write(b)
	must(err)
	must(w.Close())
	return out.Bytes()
}

// MultiGzip compresses b into n gzip members, one behind the other.
func MultiGzip(b []byte, n int) []byte {
	return concat(b, n, func(p []byte) []byte { return Gzip(p, gzip.DefaultCompression) })
}

// Zstd compresses b into one zstd frame.
func Zstd(b []byte) []byte { return ZstdFrames(b, 1) }

// ZstdFrames compresses b into n zstd frames, one behind the other.
func ZstdFrames(b []byte, n int) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
	must(err)
	defer w.Close()
	return concat(b, n, func(p []byte) []byte { return w.EncodeAll(p, nil) })
}

// concat encodes n pieces of b, of almost the same length, one by one.
func concat(b []byte, n int, encode func([]byte) []byte) []byte {
	var out []byte
	for i := range n {
		out = append(out, encode(b[i*len(b)/n:(i+1)*len(b)/n])...)
	}
	return out
}

func must(err error) {
	if err != nil {
		panic("layertest: " + err.Error())
	}
}
