package index

import (
	"io"

	"github.com/opencontainers/go-digest"
)

// Unread is the TOC of a raw blob that nobody has read yet: cut as Build would
// cut it, and without anything to verify a chunk by. What Decode gives is what
// src gave; only all of the blob together can be held to its digest. It can't
// be stored: Parse refuses it, unless the blob is empty.
func Unread(blob digest.Digest, size int64) *TOC {
	return &TOC{
		format: Raw, blob: blob, blobSize: size, size: size,
		tiling: &unread{stream{format: Raw, blob: size, size: size}},
	}
}

// unread is a stream without a chain.
type unread struct{ stream }

func (u *unread) decode(src io.Reader, _ io.ReaderAt, first, last int, emit func(i int, p []byte) error) error {
	buf := make([]byte, ChunkSize)
	for i := first; i < last; i++ {
		start, end := u.Bounds(i)
		p := buf[:end-start]
		if _, err := io.ReadFull(src, p); err != nil {
			return u.short(start, err)
		}
		if err := emit(i, p); err != nil {
			return err
		}
	}
	return nil
}
