// Package export writes files of a merged tree out: as a tar archive ([Tar])
// or below a directory ([Copier]).
//
// What is written is a list of items, each a file or a directory with all that
// is below it, under a name of its own. Both ways go through them in the same
// order, a directory before what is in it and names in the order of their
// bytes, and write a file with several names once, where it comes first; its
// other names are links to that.
//
// An archive depends on nothing but what the tree shows: not on the machine,
// the time, the order in layers, or the version of Go, whose archive/tar can
// write neither sparse files nor names that are no text. It is POSIX's ustar,
// with pax headers for what that has no place for: times with a fraction of a
// second, long names, large numbers, extended attributes (SCHILY.xattr), and
// sparse files (GNU's format 1.0).
//
// A copy never leaves its directory: each name is made in the directory it
// belongs to, which is held open; no symbolic link is followed, neither the
// image's nor one that was there.
package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A Source is an image: *image.Image.
type Source interface {
	Tree() *tree.Tree
	// ReadAt reads the content of the regular file n, holes as zeros, in the
	// manner of io.ReaderAt.
	ReadAt(n tree.Node, p []byte, off int64) (int, error)
}

// An Item is a file to be written, with all that is below it if it is a
// directory.
type Item struct {
	// Name is its path in the archive, or its name in the directory. "" is the
	// archive's root, or the directory itself, and needs a directory.
	Name string
	Node tree.Node
}

// blockSize bounds what is read of a content at once.
const blockSize = 1 << 20

// contents reads contents of regular files.
type contents struct {
	src Source
	buf []byte
}

// pour writes the bytes [off, off+n) of a file to w. Errors of the source are
// readErrors.
func (c *contents) pour(ctx context.Context, w io.Writer, node tree.Node, off, n int64) error {
	if c.buf == nil {
		c.buf = make([]byte, blockSize)
	}
	for end := off + n; off < end; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		k, err := c.src.ReadAt(node, c.buf[:min(int64(len(c.buf)), end-off)], off)
		if _, err := w.Write(c.buf[:k]); err != nil {
			return err
		}
		off += int64(k)
		if err != nil && !(errors.Is(err, io.EOF) && off == end) {
			return readError{err}
		}
	}
	return nil
}

// A readError is an error of the source.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// extents are the data extents of a regular file.
func extents(d tree.Data) []index.Extent {
	if d.Extents != nil || d.Size == 0 {
		return d.Extents
	}
	return []index.Extent{{Len: d.Size}}
}

// A FileError says which file an error is about.
type FileError struct {
	Path string // in the archive, or below the directory
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("%q: %v", e.Path, e.Err) }
func (e *FileError) Unwrap() error { return e.Err }

// failedAt makes err one about a file, unless it is the end of a context. What
// the system says of that file's name isn't said twice.
func failedAt(ctx context.Context, path string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return &FileError{path, bare(err)}
}

// bare is err without the names that package os puts before it.
func bare(err error) error {
	switch e := err.(type) {
	case *fs.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	case *problem:
		return &problem{bare(e.err)}
	}
	return err
}
