package index_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// discard is a Sink that keeps nothing.
type discard struct{}

func (discard) Chunk(int, int64, []byte) error { return nil }
func (discard) Window([]byte) error            { return nil }

// library is a layer of real files: the sources of Go's standard library, and
// its tools.
func library(b *testing.B) []byte {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Skipf("no Go sources to read: %v", err)
	}
	var entries []lt.Entry
	size := 0
	for _, dir := range []string{"src", "pkg/tool"} {
		err := filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || size > 96<<20 {
				return err
			}
			c, err := os.ReadFile(path)
			size += len(c)
			entries = append(entries, lt.File(path, string(c)))
			return err
		})
		if err != nil {
			b.Skipf("no Go sources to read: %v", err)
		}
	}
	return lt.Tar(entries...)
}

// BenchmarkBuild is the one pass over a layer that nobody has indexed; bytes
// are those of the decoded space, windows-% is the windows file's share of the blob.
func BenchmarkBuild(b *testing.B) {
	data := library(b)
	for name, blob := range map[string][]byte{"tar": data, "gzip": lt.Gzip(data, 6), "zstd": lt.Zstd(data)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			var windows int64
			for b.Loop() {
				toc, err := index.Build(context.Background(), io.NopCloser(bytes.NewReader(blob)), discard{}, index.Options{})
				if err != nil {
					b.Fatal(err)
				}
				windows = toc.WindowsSize()
			}
			b.ReportMetric(100*float64(windows)/float64(len(blob)), "windows-%")
		})
	}
}

// BenchmarkDecode is one chunk, from compressed bytes in memory.
func BenchmarkDecode(b *testing.B) {
	data := library(b)
	for name, blob := range map[string][]byte{"tar": data, "gzip": lt.Gzip(data, 6), "zstd": lt.ZstdFrames(data, 256)} {
		toc, k, err := build(blob, index.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(index.ChunkSize)
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + 7) % (toc.Len() - 1) {
				off, n := toc.Extent(i, i+1)
				err := toc.Decode(bytes.NewReader(blob[off:off+n]), bytes.NewReader(k.windows), i, i+1, func(int, []byte) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParse is the opening of a stored TOC, and the walk of its entries;
// bytes are those of the TOC.
func BenchmarkParse(b *testing.B) {
	toc, _, err := build(library(b), index.Options{})
	if err != nil {
		b.Fatal(err)
	}
	stored := toc.Append(nil)
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	for b.Loop() {
		t, err := index.Parse(stored, index.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		for range t.Entries() {
		}
	}
	b.ReportMetric(float64(len(stored))/float64(toc.NumEntries()), "B/entry")
}
