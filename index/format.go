package index

import "fmt"

// A Format is the way a layer is stored.
type Format uint8

// The formats. Their numbers are stored (FORMAT.md) and never change.
const (
	Tar  Format = iota + 1 // uncompressed: the blob is the decoded space
	Gzip                   // RFC 1952, any number of members
	Zstd                   // RFC 8878, any number of frames

	// These two came with a table of contents of their own, which Open read;
	// Build sees Gzip and Zstd.
	EStargz
	ZstdChunked

	// For this one a table of contents was made and kept elsewhere, which
	// OpenSOCI read; Build sees Tar and Gzip.
	SOCI

	// Raw is no archive at all: the blob is the decoded space, and nobody looks
	// into it. It has no entries.
	Raw
)

// plain says whether the blob is the decoded space.
func (f Format) plain() bool { return f == Tar || f == Raw }

// String is the format's name as people write it.
func (f Format) String() string {
	switch f {
	case Tar:
		return "tar"
	case Gzip:
		return "gzip"
	case Zstd:
		return "zstd"
	case EStargz:
		return "estargz"
	case ZstdChunked:
		return "zstd:chunked"
	case SOCI:
		return "soci"
	case Raw:
		return "raw"
	}
	return fmt.Sprintf("format %d", uint8(f))
}

// ChunkSize is the length of every chunk but the last of a tar, gzip or zstd
// layer, and of a raw blob: 256 KiB. One chunk is what a small read costs: at 256 KiB some 0.25 ms
// of inflate and a checkpoint index of under 3 % of the layer; a smaller one
// doubles the index, a larger one the latency. It is a multiple of SHA-256's
// 64-byte block, which chain.go builds on.
const ChunkSize = 1 << 18
