package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
)

// pageSize is how much of a pushed windows file is fetched at a time: 128 KiB,
// some fifty states, which is enough for 12 MiB of the decoded space around
// the one that is read.
const pageSize = 128 << 10

// pages is a windows file in a registry, read through the cache. Its pages are
// not verified: what is decoded with them is. The cache has them under the
// digest that the index has of the whole, which nobody has held them to.
type pages struct {
	*cache.Space
	blob    *fetch.Blob
	renewed []atomic.Bool // pages
}

// renew has the pages that hold bytes [off, off+n) fetched anew when they are
// read next, as they led to wrong bytes: what is in the cache may be somebody
// else's lie. It does so once for each, and says whether it did for any.
func (p *pages) renew(off, n int64) (any bool) {
	g := grid(p.blob.Size())
	if n <= 0 || off+n > int64(g) {
		return false
	}
	for i := g.At(off); i <= g.At(off+n-1); i++ {
		if p.renewed[i].CompareAndSwap(false, true) {
			start, end := g.Bounds(i)
			p.Discard(start, end-start)
			any = true
		}
	}
	return any
}

// noted is a file that notes which of its bytes were read.
type noted struct {
	io.ReaderAt
	off, n int64 // by the latest ReadAt
}

func (r *noted) ReadAt(p []byte, off int64) (int, error) {
	r.off, r.n = off, int64(len(p))
	return r.ReaderAt.ReadAt(p, off)
}

// windows opens the windows file at d, which can be read until p's context
// ends.
func (p *planner) windows(d ocispec.Descriptor) (*pages, error) {
	blob, err := p.src.Blob(p.life, d)
	if err != nil {
		return nil, err
	}
	fill := func(first, last int, put func(i int, b []byte) error) error {
		g := grid(d.Size)
		start, _ := g.Bounds(first)
		_, end := g.Bounds(last - 1)
		b := make([]byte, end-start)
		if n, err := blob.ReadAt(b, start); n < len(b) {
			if errors.Is(err, fetch.ErrNotFound) { // the index was deleted since
				err = fs.ErrNotExist
			}
			return fmt.Errorf("windows: %w", err)
		}
		for i := first; i < last; i++ {
			from, to := g.Bounds(i)
			if err := put(i, b[from-start:to-start]); err != nil {
				return err
			}
		}
		return nil
	}
	s, err := p.store.Space(objectKey("windows", d.Digest), grid(d.Size), fill)
	if err != nil {
		return nil, err
	}
	return &pages{s, blob, make([]atomic.Bool, grid(d.Size).Len())}, nil
}

// Close ends the reads under way.
func (p *pages) Close() error {
	err := p.Space.Close()
	if e := p.blob.Close(); err == nil {
		err = e
	}
	return err
}

// A grid is a file of so many bytes, cut into pages.
type grid int64

func (g grid) Len() int { return int((int64(g) + pageSize - 1) / pageSize) }

func (g grid) Bounds(i int) (start, end int64) {
	start = int64(i) * pageSize
	return start, min(start+pageSize, int64(g))
}

func (g grid) At(off int64) int { return int(off / pageSize) }

// bytesAt is b as a file.
func bytesAt(b []byte) io.ReaderAt { return bytes.NewReader(b) }
