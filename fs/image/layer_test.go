package image

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestWiden makes what comes along: all of a frame that must be decoded from
// its beginning, also where only its end is in the way, and the neighbourhood.
func TestWiden(t *testing.T) {
	noise := make([]byte, 40*index.ChunkSize)
	rand.NewChaCha8([32]byte{}).Read(noise)
	archive := lt.Tar(lt.File("f", string(noise))) // 41 chunks
	for _, c := range []struct {
		name        string
		blob        []byte
		first, last int
		from, to    int
	}{
		{"a large frame's middle", lt.Zstd(archive), 20, 21, 0, 41},
		{"a large frame's beginning", lt.Zstd(archive), 0, 3, 0, 3},
		{"a small frame's middle", lt.ZstdFrames(archive, 10), 7, 8, 5, 9},
		{"a small frame's beginning", lt.ZstdFrames(archive, 10), 5, 6, 5, 9},
		{"across frames", lt.ZstdFrames(archive, 10), 7, 10, 5, 13},
		{"gzip", lt.Gzip(archive, 1), 7, 8, 7, 8},
		{"tar", archive, 7, 9, 7, 9},
		{"few points", lt.Gzip(make([]byte, 40*index.ChunkSize), 1), 3, 4, 0, 40},
	} {
		toc, err := index.Build(context.Background(), io.NopCloser(bytes.NewReader(c.blob)), nowhere{}, index.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if from, to := (tiles{toc}).Widen(c.first, c.last); from != c.from || to != c.to {
			t.Errorf("%s: chunks %d to %d are widened to %d to %d, want %d to %d", c.name, c.first, c.last, from, to, c.from, c.to)
		}
	}
}
