package image_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/tree"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// BenchmarkReadCold reads all files of a layer that is known but not here, one
// after the other, from a registry that is 20 ms away.
func BenchmarkReadCold(b *testing.B) {
	const size = 24 << 20
	for _, files := range []int{1, 200} {
		b.Run(fmt.Sprintf("%d files", files), func(b *testing.B) {
			var entries []lt.Entry
			for i := range files {
				entries = append(entries, lt.File(fmt.Sprintf("f%03d", i), noise(size/files)))
			}
			l := lt.Plain(lt.Tar(entries...))
			reg := registrytest.New(registrytest.Options{})
			reg.Push("app", "t", registrytest.Layer{Blob: l.Blob})
			server := registrytest.Serve(reg, registrytest.NewLink(20*time.Millisecond, 1e9))
			defer server.Close()
			src, err := fetch.Open(b.Context(), server.Host+"/app:t", fetch.Options{Scheme: "http"})
			if err != nil {
				b.Fatal(err)
			}
			defer src.Close()
			store, err := cache.Open(b.TempDir(), cache.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			img, err := image.Open(context.Background(), src, store, image.Options{Index: image.PolicyLocal})
			if err != nil {
				b.Fatal(err)
			}
			defer img.Close()
			reg.Reset()
			b.SetBytes(size)
			for b.Loop() {
				b.StopTimer()
				if _, err := store.Trim(context.Background(), 0); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				readEverything(b, img)
			}
			b.ReportMetric(float64(reg.Count(registrytest.Blob))/float64(b.N), "requests/op")
		})
	}
}

// readEverything reads all files, 128 KiB at a time.
func readEverything(b *testing.B, img *image.Image) {
	p := make([]byte, 128<<10)
	for _, n := range img.Tree().All(tree.Root) {
		d := img.Tree().Data(n)
		for off := int64(0); off < d.Size; off += int64(len(p)) {
			if got, err := img.ReadAt(n, p, off); int64(got) < min(d.Size-off, int64(len(p))) {
				b.Fatal(err)
			}
		}
	}
}
