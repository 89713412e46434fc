package index

import (
	"fmt"
	"io"
)

// A tiling is how a decoded space is cut into chunks: the interval that each
// is, the bytes of the blob that it takes, how it is decoded and verified.
// There is one for each way in which a layer can tell of its chunks, and the
// format says which; TOC's methods of these names give the contracts.
type tiling interface {
	Len() int
	Bounds(i int) (start, end int64)
	At(off int64) int
	extent(first, last int) (off, n int64)
	restart(i int) int
	// decode is TOC.Decode; its ChunkErrors need not name the blob.
	decode(src io.Reader, windows io.ReaderAt, first, last int, emit func(i int, p []byte) error) error
	// append appends the stored form, a section of the file.
	append(b []byte) []byte
	// stored is how many bytes append appends.
	stored() int64
}

var _ = []tiling{(*stream)(nil), (*parts)(nil), (*spans)(nil), (*unread)(nil)}

// parseTiling reads the section of a stored TOC that its format calls for, to
// the section's end. It checks every number, so that no method of the tiling
// can panic or reach beyond the blob.
func (t *TOC) parseTiling(f *fields, l Limits) (tiling, error) {
	switch t.format {
	case Tar, Gzip, Zstd, Raw:
		s, err := parseStream(f, t.format, t.size, t.blobSize, l.Window)
		if err == nil && !s.proves(t.diffID) {
			err = fmt.Errorf("%w: the chain does not end in the diffID", errFile)
		}
		return s, err
	case EStargz, ZstdChunked:
		return parseParts(f, t.format, t.size, t.blobSize, l)
	case SOCI:
		return parseSpans(f, t.size, t.blobSize, l)
	}
	return nil, fmt.Errorf("%w: an unknown format", errFile)
}
