package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestLargeFrame reads the beginning of a large zstd frame: no more is asked for
// than that takes, by one request if the frame is compressed equally well.
func TestLargeFrame(t *testing.T) {
	const chunk = index.ChunkSize
	noise := func(chunks int) string {
		b := make([]byte, chunks*chunk)
		rand.NewChaCha8([32]byte{}).Read(b)
		return string(b)
	}
	zeros := func(chunks int) string { return string(make([]byte, chunks*chunk)) }
	for _, c := range []struct {
		name        string
		content     string
		cuts        []int // where frames but the first begin, in chunks
		first, last int
		requests    int
		from, to    float64 // what is asked for begins there, and ends before that, in frames
	}{
		{"at the beginning", noise(12), nil, 0, 1, 1, 0, 0.2},
		{"of the second", noise(18), []int{2, 14}, 2, 3, 1, 1, 1.2},
		{"across", noise(18), []int{2, 14}, 1, 3, 1, 0, 1.2},
		{"worse than the rest", noise(2) + zeros(12), nil, 0, 2, 3, 0, 1},
		{"better than the rest", zeros(2) + noise(12), nil, 0, 2, 1, 0, 0.3},
		{"its end", noise(20), []int{2, 19}, 2, 19, 2, 1, 2}, // pieces of 4 MiB
		{"all", noise(17), nil, 0, 18, 2, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			archive := lt.Tar(lt.File("f", c.content))
			var blob []byte
			var ends []int // of frames
			for i := 0; i <= len(c.cuts); i++ {
				frame := archive
				if i < len(c.cuts) {
					frame = frame[:c.cuts[i]*chunk]
				}
				if i > 0 {
					frame = frame[c.cuts[i-1]*chunk:]
				}
				blob = append(blob, lt.Zstd(frame)...)
				ends = append(ends, len(blob))
			}
			at := func(frames float64) int { // offset in the blob
				i, start := int(frames), 0
				if i > 0 {
					start = ends[i-1]
				}
				if i == len(ends) {
					return len(blob)
				}
				return start + int((frames-float64(i))*float64(ends[i]-start))
			}
			reg := registrytest.Start(t, registrytest.Options{})
			l := &layer{blob: blobOf(t, reg, blob)}
			toc := tableOf(t, blob)
			reg.Reset()
			off, n := toc.Extent(c.first, c.last)
			_, err := l.decodeOnce(toc, nil, c.first, c.last, func(i int, p []byte) error {
				if start, end := toc.Bounds(i); !bytes.Equal(p, archive[start:end]) {
					t.Errorf("chunk %d is wrong", i)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			requests := reg.Requests(registrytest.Blob)
			if len(requests) != c.requests {
				t.Errorf("%d requests, want %d", len(requests), c.requests)
			}
			next := at(c.from)
			for _, r := range requests {
				var from, to int
				if fmt.Sscanf(r.Range, "bytes=%d-%d", &from, &to); from != next || to < from || to >= at(c.to) || int64(to) >= off+n {
					t.Errorf("%s, want %d to less than %d", r.Range, next, at(c.to))
				}
				next = to + 1
			}
		})
	}
}

func blobOf(t *testing.T, reg *registrytest.Server, b []byte) *fetch.Blob {
	t.Helper()
	reg.PutBlob("", b)
	src, err := fetch.Open(context.Background(), reg.Host+"/a/b:t", fetch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	blob, err := src.Blob(context.Background(), ocispec.Descriptor{Digest: digest.FromBytes(b), Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blob.Close() })
	return blob
}

func tableOf(t *testing.T, blob []byte) *index.TOC {
	t.Helper()
	toc, err := index.Build(context.Background(), io.NopCloser(bytes.NewReader(blob)), nowhere{}, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return toc
}
