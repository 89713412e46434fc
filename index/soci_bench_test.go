package index_test

import (
	"bytes"
	"testing"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// BenchmarkBuildSOCI is the one pass that makes a zTOC; bytes are those of the
// decoded space.
func BenchmarkBuildSOCI(b *testing.B) {
	data := library(b)
	blob := lt.Gzip(data, 6)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		z, err := buildSOCI(blob, index.SOCIOptions{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(100*float64(len(z))/float64(len(blob)), "ztoc-%")
	}
}

// BenchmarkOpenSOCI is the opening of a zTOC.
func BenchmarkOpenSOCI(b *testing.B) {
	data := library(b)
	blob := lt.Gzip(data, 6)
	z, err := buildSOCI(blob, index.SOCIOptions{})
	if err != nil {
		b.Fatal(err)
	}
	h := index.Hints{Digest: digest.FromBytes(blob), DiffID: digest.FromBytes(data)}
	b.SetBytes(int64(len(z)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		toc, err := index.OpenSOCI(z, int64(len(blob)), h)
		if err != nil {
			b.Fatal(err)
		}
		n += toc.NumEntries()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/entry")
}

// BenchmarkDecodeSOCI is one span, from compressed bytes in memory.
func BenchmarkDecodeSOCI(b *testing.B) {
	data := library(b)
	blob := lt.Gzip(data, 6)
	z, err := buildSOCI(blob, index.SOCIOptions{})
	if err != nil {
		b.Fatal(err)
	}
	toc, err := openSOCI(z, blob, data)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(toc.Size() / int64(toc.Len()))
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 7) % toc.Len() {
		off, n := toc.Extent(i, i+1)
		if err := toc.Decode(bytes.NewReader(blob[off:off+n]), nil, i, i+1, func(int, []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
