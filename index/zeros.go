package index

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"slices"
)

// A zeros is a chunk that is told to be zeros alone, of which no bytes are read
// from the blob, and the digest that it is told to have.
type zeros struct {
	n    int64
	sum  [sha256.Size]byte
	name string // of its file
}

// zerosAtOnce is how many such chunks are held to their digests at once. That
// takes hashing as many zeros as the longest has, at most Limits.Chunk.
const zerosAtOnce = 1 << 16

var errZeros = errors.New("a chunk of zeros whose digest is not that of zeros")

// hole takes in a chunk of n zeros.
func (c *contents) hole(n int64, sum [sha256.Size]byte) error {
	if err := c.room(n); err != nil {
		return err
	}
	c.holes += n
	c.zeros = append(c.zeros, zeros{n, sum, c.name})
	if len(c.zeros) < zerosAtOnce {
		return nil
	}
	return c.proveZeros()
}

// proveZeros holds the chunks of zeros that were taken in to their digests. The
// shorter are each the beginning of the longer, so all are hashed as one.
func (c *contents) proveZeros() error {
	slices.SortFunc(c.zeros, func(a, b zeros) int { return cmp.Compare(a.n, b.n) })
	h, buf, done := sha256.New(), make([]byte, 1<<16), int64(0)
	var got [sha256.Size]byte
	for _, z := range c.zeros {
		for done < z.n {
			m, _ := h.Write(buf[:min(z.n-done, int64(len(buf)))]) // never fails
			done += int64(m)
		}
		if h.Sum(got[:0]); got != z.sum {
			return &FormatError{Format: c.format, Off: int64(c.json.i), Name: z.name, Err: errZeros}
		}
	}
	c.zeros = c.zeros[:0]
	return nil
}
