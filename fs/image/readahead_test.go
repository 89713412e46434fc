package image_test

import (
	"context"
	"fmt"
	"testing"

	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestReadAhead reads all files of a layer of 24 MiB in the order in which they
// lie there, and a few of them: to the last request.
func TestReadAhead(t *testing.T) {
	const size = 24 << 20
	var small []lt.Entry
	for i := range size / (128 << 10) {
		small = append(small, lt.File(fmt.Sprintf("f%03d", i), noise(128<<10-512)))
	}
	for _, c := range []struct {
		name     string
		entries  []lt.Entry
		every    int
		only     bool
		requests int
	}{
		// Two chunks of 256 KiB, then 1, 2, 4, 8 MiB, and what is left; fetch
		// cuts what is more than 4 MiB.
		{"one large file", []lt.Entry{lt.File("f", noise(size))}, 1, false, 2 + 3 + 2 + 3},
		{"small files", small, 1, false, 2 + 3 + 2 + 3},
		{"a few of them", small, 20, false, 9},
		{"all of them, by who knows", small, 1, true, size / index.ChunkSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lt.Plain(lt.Tar(c.entries...))
			reg := registrytest.Start(t, registrytest.Options{})
			reg.Push("app", "t", registrytest.Layer{Blob: l.Blob})
			s := store(t)
			img, err := image.Open(context.Background(), source(t, reg.Host+"/app:t"), s, image.Options{Index: image.PolicyLocal})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { img.Close() })
			if _, err := s.Trim(context.Background(), 0); err != nil {
				t.Fatal(err)
			}
			reg.Reset()
			read := img.ReadAt
			if c.only {
				read = img.ReadOnly
			}
			i, p := 0, make([]byte, 64<<10)
			for _, n := range img.Tree().All(tree.Root) {
				d := img.Tree().Data(n)
				if i++; (i-1)%c.every != 0 || d.Size == 0 {
					continue
				}
				for off := int64(0); off < d.Size; off += int64(len(p)) {
					if got, err := read(n, p, off); int64(got) < min(d.Size-off, int64(len(p))) {
						t.Fatal(err)
					}
				}
			}
			n, b := reg.Count(registrytest.Blob), reg.Bytes()
			t.Logf("%d requests, %d bytes", n, b)
			if n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
			if c.every == 1 && b > int64(len(l.Blob)) {
				t.Errorf("%d bytes, of %d in the layer", b, len(l.Blob))
			}
		})
	}
}
