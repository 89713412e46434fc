package ztoc_test

import (
	"testing"

	"ocifs.dev/ocifs/index/internal/ztoc"
)

// FuzzZtoc reads any bytes at all: they are refused, or what was read is no
// larger than they are, and makes the same zTOC when it is written and read
// again.
func FuzzZtoc(f *testing.F) {
	for _, files := range [][]ztoc.File{nil, sample()[:1], sample()} {
		f.Add(marshal(f, header(ztoc.Gzip, 1, "\x01\x00\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00"), files))
		f.Add(marshal(f, header(ztoc.Uncompressed, 1, string(ztoc.Grid{Span: 4, Size: 9}.Marshal())), files))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := ztoc.Parse(b)
		if err != nil {
			return
		}
		files, n := make([]ztoc.File, z.NumFiles()), 0
		for i := range files {
			files[i] = z.File(i)
			n += len(files[i].Name) + len(files[i].Link)
			for _, r := range files[i].PAX {
				n += len(r.Key) + len(r.Value)
			}
		}
		if n > len(b) {
			t.Fatalf("%d bytes of strings in a buffer of %d", n, len(b))
		}
		_, _ = ztoc.Checkpoints(z.Checkpoints, z.CompressedSize)
		if g, err := ztoc.ParseGrid(z.Checkpoints); err == nil {
			_ = g.Len()
		}
		again := marshal(t, &z.Header, files)
		if z, err = ztoc.Parse(again); err != nil || z.NumFiles() != len(files) {
			t.Fatalf("written again: %v", err)
		}
	})
}
