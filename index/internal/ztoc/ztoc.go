package ztoc

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
)

// ErrInvalid is what a damaged zTOC is refused with.
var ErrInvalid = errors.New("invalid ztoc")

// An Algorithm is how the layer is compressed.
type Algorithm uint8

// The algorithms that zTOCs know.
const (
	Gzip         Algorithm = 1
	Uncompressed Algorithm = 2
)

// Version is that of all zTOCs there are.
const Version = "0.9"

// A Header is what a zTOC says of a layer as a whole.
type Header struct {
	Version string
	Tool    string // that built it

	// The lengths of the layer and of the archive in it: up to where
	// archive/tar finds its end, which may be before the stream's.
	CompressedSize, UncompressedSize int64

	Algorithm   Algorithm
	Digests     [][sha256.Size]byte // of each span's compressed bytes
	Checkpoints []byte              // see Checkpoints and Grid
}

// The types of files.
const (
	Regular  = "reg"
	Dir      = "dir"
	HardLink = "hardlink"
	Symlink  = "symlink"
	Char     = "char"
	Block    = "block"
	FIFO     = "fifo"
)

// A File is one member of the archive: what archive/tar says of it, and where
// in the decoded space its content begins.
type File struct {
	Name, Type         string
	Off, Size          int64
	Link               string
	Mode               int64
	UID, GID           uint32
	Uname, Gname       string
	ModTime            string // RFC 3339 with nanoseconds; "" for what that can't tell
	Devmajor, Devminor int64
	PAX                []Record // all of the member's, sorted by key
}

// A Record is a PAX record.
type Record struct{ Key, Value string }

// Fields of the tables, by their places in the schema.
const (
	ztocVersion, ztocTool               = 0, 1
	ztocCompressed, ztocUncompressed    = 2, 3
	ztocTOC, ztocInfo                   = 4, 5
	ztocFields                          = 6
	tocFiles                            = 0
	tocFields                           = 1
	infoAlgorithm, infoLastSpan         = 0, 1
	infoDigests, infoCheckpoints        = 2, 3
	infoFields                          = 4
	fileName, fileType                  = 0, 1
	fileOff, fileSize, fileLink         = 2, 3, 4
	fileMode, fileUID, fileGID          = 5, 6, 7
	fileUname, fileGname, fileModTime   = 8, 9, 10
	fileDevmajor, fileDevminor, filePAX = 11, 12, 13
	fileFields                          = 14
	recordKey, recordValue              = 0, 1
	recordFields                        = 2
)

// A Ztoc is one that was read. It is immutable.
type Ztoc struct {
	Header
	s     string // all of it
	files int    // the place of the vector of files in s
	n     int    // how many they are
}

// Parse reads a zTOC. It keeps a copy of b but for the checkpoints, which are
// a part of it. The error is ErrInvalid.
func Parse(b []byte) (*Ztoc, error) {
	f := &flat{s: string(b)}
	root := f.table(f.follow(0))
	z := &Ztoc{s: f.s, Header: Header{
		Version:          root.string(ztocVersion),
		Tool:             root.string(ztocTool),
		CompressedSize:   root.int64(ztocCompressed),
		UncompressedSize: root.int64(ztocUncompressed),
	}}
	z.files, z.n = root.table(ztocTOC).vector(tocFiles, size32)
	for i := 0; i < z.n && !f.bad; i++ {
		z.file(f, i)
	}
	if err := z.readInfo(root.table(ztocInfo), b); err != nil {
		return nil, err
	}
	switch {
	case f.bad:
		return nil, fmt.Errorf("%w: a reference out of bounds", ErrInvalid)
	case z.CompressedSize < 0 || z.UncompressedSize < 0:
		return nil, fmt.Errorf("%w: a layer of negative size", ErrInvalid)
	case z.Algorithm != Gzip && z.Algorithm != Uncompressed:
		return nil, fmt.Errorf("%w: compression algorithm %d", ErrInvalid, z.Algorithm)
	}
	return z, nil
}

// readInfo reads how the layer is compressed.
func (z *Ztoc) readInfo(info table, b []byte) error {
	f := info.f
	z.Algorithm = Algorithm(info.number(infoAlgorithm, 1, uint64(Gzip)))
	last := int64(int32(info.number(infoLastSpan, size32, 0)))
	pos, n := info.vector(infoCheckpoints, 1)
	if f.bytes(pos, n); !f.bad {
		z.Checkpoints = b[pos : pos+n : pos+n]
	}
	pos, n = info.vector(infoDigests, size32)
	if f.bad {
		return nil // Parse says so
	}
	if last+1 != int64(n) {
		return fmt.Errorf("%w: %d spans have %d digests", ErrInvalid, last+1, n)
	}
	z.Digests = make([][sha256.Size]byte, n)
	for i := range z.Digests {
		at, n := f.vector(f.follow(pos+i*size32), 1)
		if f.bad {
			return nil
		}
		if !parseDigest(z.Digests[i][:], f.bytes(at, n)) {
			return fmt.Errorf("%w: the digest of span %d", ErrInvalid, i)
		}
	}
	return nil
}

const digestPrefix = "sha256:"

func parseDigest(to []byte, s string) bool {
	s, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(s) != hex.EncodedLen(len(to)) || s != strings.ToLower(s) {
		return false
	}
	_, err := hex.Decode(to, []byte(s))
	return err == nil
}

// NumFiles is the number of files.
func (z *Ztoc) NumFiles() int { return z.n }

// File is file i, in the order in which the zTOC has them.
func (z *Ztoc) File(i int) File {
	return z.file(&flat{s: z.s}, i)
}

// Off is the Off of file i.
func (z *Ztoc) Off(i int) int64 {
	f := &flat{s: z.s}
	return f.element(z.files, i).int64(fileOff)
}

func (z *Ztoc) file(f *flat, i int) File {
	t := f.element(z.files, i)
	file := File{
		Name:     t.string(fileName),
		Type:     t.string(fileType),
		Off:      t.int64(fileOff),
		Size:     t.int64(fileSize),
		Link:     t.string(fileLink),
		Mode:     t.int64(fileMode),
		UID:      uint32(t.number(fileUID, size32, 0)),
		GID:      uint32(t.number(fileGID, size32, 0)),
		Uname:    t.string(fileUname),
		Gname:    t.string(fileGname),
		ModTime:  t.string(fileModTime),
		Devmajor: t.int64(fileDevmajor),
		Devminor: t.int64(fileDevminor),
	}
	pos, n := t.vector(filePAX, size32)
	if n > 0 && !f.bad {
		file.PAX = make([]Record, 0, n)
	}
	for j := 0; j < n && !f.bad; j++ {
		r := f.element(pos, j)
		file.PAX = append(file.PAX, Record{r.string(recordKey), r.string(recordValue)})
	}
	return file
}

// maxSize is how long a buffer can be.
const maxSize = math.MaxInt32
