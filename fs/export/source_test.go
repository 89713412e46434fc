package export_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A source is an image of uncompressed layers in memory.
type source struct {
	tree   *tree.Tree
	layers [][]byte
	failAt tree.Node // reads of it fail; 0: of none
}

// sink is an index.Sink that keeps nothing.
type sink struct{}

func (sink) Chunk(int, int64, []byte) error { return nil }
func (sink) Window([]byte) error            { return nil }

func newSource(layers ...[]byte) (*source, error) {
	s := &source{layers: layers}
	var tocs []*index.TOC
	for _, l := range layers {
		toc, err := index.Build(context.Background(), io.NopCloser(bytes.NewReader(l)), sink{}, index.Options{})
		if err != nil {
			return nil, err
		}
		tocs = append(tocs, toc)
	}
	var err error
	s.tree, err = tree.Merge(tocs)
	return s, err
}

func mustSource(t testing.TB, layers ...[]byte) *source {
	t.Helper()
	s, err := newSource(layers...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *source) Tree() *tree.Tree { return s.tree }

func (s *source) ReadAt(n tree.Node, p []byte, off int64) (int, error) {
	if s.failAt != 0 && n == s.failAt {
		return 0, io.ErrUnexpectedEOF
	}
	d := s.tree.Data(n)
	layer := s.layers[d.Layer]
	if d.Extents == nil {
		return copy(p, layer[d.Off+off:d.Off+d.Size]), nil
	}
	clear(p)
	at := d.Off
	for _, x := range d.Extents {
		from, to := max(x.Off, off), min(x.Off+x.Len, off+int64(len(p)))
		if from < to {
			copy(p[from-off:to-off], layer[at+from-x.Off:])
		}
		at += x.Len
	}
	return len(p), nil
}

// tell tells all that s shows, a line for each path.
func (s *source) tell() []string {
	var lines []string
	first := map[tree.Node]string{}
	for p, n := range s.tree.All(tree.Root) {
		if first[n] != "" {
			lines = append(lines, fmt.Sprintf("%q = %q", p, first[n]))
			continue
		}
		first[n] = p
		a := s.tree.Attr(n)
		a.Layer = 0
		d := s.tree.Data(n)
		body := map[int64]string{} // of a block by its offset, but for zeros
		for _, x := range data(d) {
			for off := x.Off &^ 511; off < x.Off+x.Len; off += 512 {
				block := make([]byte, min(512, d.Size-off))
				s.ReadAt(n, block, off)
				if strings.Trim(string(block), "\x00") != "" {
					body[off] = string(block)
				}
			}
		}
		lines = append(lines, fmt.Sprintf("%q %+v %q %q %v %q", p, a, s.tree.Readlink(n), s.tree.Xattrs(n), d.Extents != nil, fmt.Sprint(body)))
	}
	return lines
}

func data(d tree.Data) []index.Extent {
	if d.Extents == nil {
		return []index.Extent{{Len: d.Size}}
	}
	return d.Extents
}
