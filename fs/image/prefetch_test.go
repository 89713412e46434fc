package image_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"

	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/tree"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestPrefetch brings files into an empty cache by few requests, of all layers
// and only of those that are wanted, and asks for nothing that is there.
func TestPrefetch(t *testing.T) {
	const files, size = 10, 1 << 20
	r := rand.New(rand.NewPCG(1, 2))
	var entries []lt.Entry
	for i := range files {
		b := make([]byte, size)
		for k := range b {
			b[k] = byte(r.Uint32())
		}
		entries = append(entries, lt.File("f"+strconv.Itoa(i), string(b)))
	}
	base := lt.Plain(lt.Tar(entries...))
	top := lt.Plain(lt.Tar(lt.File("empty", ""), lt.Sparse(lt.SparseV1, "sparse", 1<<40, []lt.Run{{Off: 1 << 39, Data: "x"}}),
		lt.Sparse(lt.SparseV1, "hole", 1<<20, nil)))
	reg := registrytest.Start(t, registrytest.Options{})
	reg.Push("app", "t", registrytest.Layer{Blob: base.Blob}, registrytest.Layer{Blob: top.Blob})
	s := store(t)
	img, err := image.Open(context.Background(), source(t, reg.Host+"/app:t"), s, image.Options{Index: image.PolicyLocal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	only := func(names ...string) func(func(tree.Node) bool) {
		return func(yield func(tree.Node) bool) {
			for _, name := range names {
				n, err := img.Tree().Walk(name, false)
				if err != nil {
					t.Fatal(err)
				}
				if !yield(n) {
					return
				}
			}
		}
	}
	all := func(yield func(tree.Node) bool) {
		for _, n := range img.Tree().All(tree.Root) {
			if !yield(n) {
				return
			}
		}
	}
	for _, c := range []struct {
		name     string
		files    func(func(tree.Node) bool)
		requests int
		bytes    int64 // at least, and less than 1.3 times as many
	}{
		{"nothing", only("empty", "hole"), 0, 0},
		{"one file", only("f3"), 1, size},
		{"two far apart, and a sparse one", only("f1", "f8", "sparse"), 3, 2 * size},
		{"everything", all, 4, files * size}, // three for 10 MiB, one for the other layer
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := s.Trim(context.Background(), 0); err != nil {
				t.Fatal(err)
			}
			reg.Reset()
			for range 2 { // the second time, all is there
				if err := img.Prefetch(context.Background(), c.files); err != nil {
					t.Fatal(err)
				}
			}
			if n, b := reg.Count(registrytest.Blob), reg.Bytes(); n != c.requests || b < c.bytes || b > c.bytes*13/10+size {
				t.Errorf("%d requests, %d bytes; want %d, some %d", n, b, c.requests, c.bytes)
			}
			for n := range c.files {
				d := img.Tree().Data(n)
				if d.Size == 0 || d.Size > size {
					continue
				}
				if _, err := img.ReadAt(n, make([]byte, d.Size), 0); err != nil {
					t.Fatal(err)
				}
			}
			if n := reg.Count(registrytest.Blob); n != c.requests {
				t.Errorf("%d requests more to read them", n-c.requests)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Trim(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	if err := img.Prefetch(ctx, all); err != context.Canceled {
		t.Errorf("canceled: %v", err)
	}
}
