package index

import (
	"errors"
	"fmt"
)

// ErrUnsupported says that a layer is sound, as far as one can tell, but of a
// kind that ocifs doesn't read.
var ErrUnsupported = errors.New("unsupported")

// ErrCompression says that a layer, which is an ErrUnsupported then, is
// compressed in a way that ocifs doesn't read.
var ErrCompression = fmt.Errorf("%w: a layer compressed", ErrUnsupported)

// ErrLimit says that a layer asks for more than Limits allows.
var ErrLimit = errors.New("over the limit")

// A DigestError says that bytes are not those that a descriptor or a
// configuration promised.
type DigestError struct {
	What      string // "layer", "layer size", "diffID" or "table of contents"
	Want, Got string
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("%s: want %s, got %s", e.What, e.Want, e.Got)
}

// A ChunkError says that a chunk was decoded to other bytes than those first
// seen or promised: the blob, or the stored TOC's windows, have changed, or
// the layer's own table of contents was wrong.
type ChunkError struct {
	Chunk  int
	Digest string // the blob's
	Err    error  // why it couldn't be decoded where it should lie; nil: it has another digest
}

func (e *ChunkError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("layer %s: chunk %d is not where it should be: %v", e.Digest, e.Chunk, e.Err)
	}
	return fmt.Sprintf("layer %s: chunk %d is not what it was", e.Digest, e.Chunk)
}

func (e *ChunkError) Unwrap() error { return e.Err }

// A FormatError says what is wrong with a layer, and where.
type FormatError struct {
	Format Format
	Off    int64 // in the decoded space, in the blob, or in a table of contents
	Name   string
	Err    error
}

func (e *FormatError) Error() string {
	if e.Name != "" {
		return fmt.Sprintf("%s: entry %q at %d: %v", e.Format, e.Name, e.Off, e.Err)
	}
	return fmt.Sprintf("%s: at %d: %v", e.Format, e.Off, e.Err)
}

func (e *FormatError) Unwrap() error { return e.Err }

// malformed says that the layer's bytes, not what carries or keeps them, are
// to blame for err.
func malformed(err error) bool {
	var f *FormatError
	return errors.As(err, &f)
}
