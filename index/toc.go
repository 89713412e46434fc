package index

import (
	"crypto/sha256"
	"iter"

	"github.com/opencontainers/go-digest"
)

// A TOC is the table of contents of one layer: its entries in archive order,
// and how its decoded space is tiled by chunks, found in the blob and
// verified. It is immutable and safe for concurrent use.
type TOC struct {
	format   Format
	blob     digest.Digest // of the compressed bytes
	blobSize int64
	diffID   digest.Digest // of the decoded space
	size     int64         // of the decoded space

	entries  []byte // see entries.go
	nentries int
	tiling   tiling // see tiling.go
	files    []fileSum
}

// A fileSum is the digest that a table of contents has of a whole file, where it
// has others of its chunks.
type fileSum struct {
	entry  int // counts from 0
	digest [sha256.Size]byte
}

// New makes a TOC of entries with no data behind them, for building trees by
// hand: its decoded space is empty, whatever the entries say.
func New(entries []Entry) *TOC {
	t := &TOC{nentries: len(entries), tiling: new(stream)}
	var d delta
	for i := range entries {
		t.entries = appendEntry(t.entries, &entries[i], &d)
	}
	return t
}

// Format says how the layer is stored.
func (t *TOC) Format() Format { return t.format }

// Digest is the digest of the blob: as Build found it by reading all of it,
// or, where the TOC came from elsewhere, as it was promised.
func (t *TOC) Digest() digest.Digest { return t.blob }

// BlobSize is the length of the blob.
func (t *TOC) BlobSize() int64 { return t.blobSize }

// DiffID is the digest of the decoded archive: as Build found it, or as it was
// promised.
func (t *TOC) DiffID() digest.Digest { return t.diffID }

// Size is the length of the decoded space: the archive, or, where its chunks
// are those of eStargz and zstd:chunked, the contents of its files.
func (t *TOC) Size() int64 { return t.size }

// NumEntries is the number of entries.
func (t *TOC) NumEntries() int { return t.nentries }

// Stored is the length of t's stored form, of which it keeps all in memory, but
// for some hundred bytes.
func (t *TOC) Stored() int64 {
	strings := int64(len(t.blob) + len(t.diffID))
	return int64(len(fileMagic)) + 8 + 5*8 + 2*2 + strings + t.tiling.stored() + int64(len(t.entries))
}

// Entries walks the entries in archive order. The Entry is valid until the
// next step; its strings and slices are valid for ever.
func (t *TOC) Entries() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		c, e := cursor{b: t.entries}, new(Entry)
		for c.next(e) && yield(e) {
		}
	}
}

// Len is the number of chunks.
func (t *TOC) Len() int { return t.tiling.Len() }

// Bounds is the interval [start, end) of the decoded space that chunk i tiles.
func (t *TOC) Bounds(i int) (start, end int64) { return t.tiling.Bounds(i) }

// At is the chunk that holds byte off of the decoded space.
func (t *TOC) At(off int64) int { return t.tiling.At(off) }
