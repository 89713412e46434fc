package image

import (
	"io"

	"ocifs.dev/ocifs/fetch"
)

// growing is bytes of a blob of which nobody knows how many will be read: they
// are asked for by one request after the other, each for as many as all before.
type growing struct {
	blob     *fetch.Blob
	off, end int64         // what was not asked for
	asked    int64         // bytes so far
	step     int64         // bytes that the next request is for
	r        io.ReadCloser // what the latest request gives
}

// grow begins with blob[off:off+step], and goes on to off+n at most.
func grow(blob *fetch.Blob, off, n, step int64) *growing {
	g := &growing{blob: blob, off: off, end: off + n, step: step}
	g.next()
	return g
}

// next asks for more.
func (g *growing) next() {
	n := min(g.step, g.end-g.off)
	g.r = g.blob.Range(g.off, n)
	g.off += n
	g.asked += n
	g.step = g.asked
}

func (g *growing) Read(p []byte) (int, error) {
	for {
		n, err := g.r.Read(p)
		if err != io.EOF || g.off == g.end {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		if err := g.r.Close(); err != nil {
			return 0, err
		}
		g.next()
	}
}

// Close must not be called while a Read is under way.
func (g *growing) Close() error { return g.r.Close() }
