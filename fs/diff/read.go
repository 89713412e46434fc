package diff

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

const (
	// reading contents are compared at a time, so that what has to be fetched is
	// under way together.
	reading = 8

	// readSize is what is read of each side at once.
	readSize = 256 << 10
)

// read compares the contents that nothing else has decided, in the order in
// which they lie in the new tree's layers; a pair of files with several names
// once.
func (c *comparison) read(ctx context.Context) error {
	type pair struct{ old, new tree.Node }
	names := map[pair][]int{}
	for _, i := range c.unread {
		p := pair{c.list[i].Old, c.list[i].New}
		names[p] = append(names[p], i)
	}
	pairs := make([]pair, 0, len(names))
	for p := range names {
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(p, q pair) int {
		d, e := c.b.Data(p.new), c.b.Data(q.new)
		return cmp.Or(cmp.Compare(d.Layer, e.Layer), cmp.Compare(d.Off, e.Off), cmp.Compare(p.new, q.new), cmp.Compare(p.old, q.old))
	})
	buffers := sync.Pool{New: func() any { return new([2][readSize]byte) }}
	differ := make([]bool, len(pairs))
	g, group := errgroup.WithContext(ctx)
	g.SetLimit(reading)
	for k, p := range pairs {
		if group.Err() != nil {
			break
		}
		g.Go(func() (err error) {
			b := buffers.Get().(*[2][readSize]byte)
			defer buffers.Put(b)
			if differ[k], err = c.differ(group, p.old, p.new, b); err != nil {
				return fmt.Errorf("%q: %w", c.list[names[p][0]].Path, err)
			}
			return nil
		})
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for k, p := range pairs {
		for _, i := range names[p] {
			if differ[k] {
				c.list[i].What |= Content
			}
		}
	}
	return err
}

// differ reads two files of the same size up to where they differ, and passes
// over what is a hole in both.
func (c *comparison) differ(ctx context.Context, m, n tree.Node, b *[2][readSize]byte) (bool, error) {
	for _, x := range union(c.a.Data(m), c.b.Data(n)) {
		for off, end := x.Off, x.Off+x.Len; off < end; off += readSize {
			if ctx.Err() != nil {
				return false, context.Cause(ctx)
			}
			k := min(readSize, end-off)
			if err := readFull(c.old, m, b[0][:k], off); err != nil {
				return false, err
			}
			if err := readFull(c.new, n, b[1][:k], off); err != nil {
				return false, err
			}
			if !bytes.Equal(b[0][:k], b[1][:k]) {
				return true, nil
			}
		}
	}
	return false, nil
}

// union is where either of two contents has data.
func union(d, e tree.Data) []index.Extent {
	if d.Extents == nil || e.Extents == nil {
		return []index.Extent{{Len: d.Size}}
	}
	list := slices.Concat(d.Extents, e.Extents)
	slices.SortFunc(list, func(x, y index.Extent) int { return cmp.Compare(x.Off, y.Off) })
	n := 0
	for _, x := range list {
		if n > 0 && x.Off <= list[n-1].Off+list[n-1].Len {
			list[n-1].Len = max(list[n-1].Len, x.Off+x.Len-list[n-1].Off)
			continue
		}
		list[n] = x
		n++
	}
	return list[:n]
}

// readFull fills p with what lies at off of a content.
func readFull(s Source, n tree.Node, p []byte, off int64) error {
	switch k, err := s.ReadAt(n, p, off); {
	case k == len(p):
		return nil
	case err == nil, errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	default:
		return err
	}
}
