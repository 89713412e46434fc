package image_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestArchiveInPlace opens an archive that lies in a layout as it is: it is
// verified whole, and not copied; then each piece is, as it is read.
func TestArchiveInPlace(t *testing.T) {
	content := strings.Repeat("0123456789abcde\n", 8*index.ChunkSize/16)
	layer := lt.Plain(lt.Tar(lt.File("f", content)))
	ref := layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{layer}})
	s := store(t)
	img, err := open(t, ref, s)
	if err != nil {
		t.Fatal(err)
	}
	if n := stored(t, s); n > 1<<20 {
		t.Errorf("opening it took %d bytes of the cache", n)
	}
	n, err := img.Tree().Walk("f", true)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1000)
	if _, err := img.ReadAt(n, p, 500_000); err != nil || string(p) != content[500_000:501_000] {
		t.Errorf("a piece: %v", err)
	}
	file := strings.TrimPrefix(strings.TrimSuffix(ref, ":t"), "oci:") + "/blobs/sha256/" + layer.DiffID.Encoded()
	b := bytes.ReplaceAll(layer.Blob, []byte("abc"), []byte("ABC"))
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var chunk *index.ChunkError
	if _, err := img.ReadAt(n, p, 1_500_000); !errors.As(err, &chunk) {
		t.Errorf("a piece that was changed since: %v, %q", err, p[:32])
	}
	var broken *index.DigestError
	if _, err := open(t, ref, store(t)); !errors.As(err, &broken) {
		t.Errorf("an archive that was changed before: %v", err)
	}
}

// TestArchiveByMistake has a layer in a layout that isn't the archive that its
// media type says.
func TestArchiveByMistake(t *testing.T) {
	content := strings.Repeat("0123456789abcde\n", 4*index.ChunkSize/16)
	layer := lt.GzipLayer(lt.Tar(lt.File("f", content)))
	layer.MediaType = ocispec.MediaTypeImageLayer
	ref := layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{layer}})
	warnings := 0
	s := store(t)
	img, err := image.Open(context.Background(), source(t, ref), s, image.Options{Warn: func(string) { warnings++ }})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if read(t, img, "f") != content || warnings != 1 {
		t.Errorf("it reads wrong, or %d warnings, want 1", warnings)
	}
	if n := stored(t, s); n < int64(len(content)) {
		t.Errorf("what took decoding was not kept: %d bytes of the cache", n)
	}
}

// stored is how many bytes the spaces in a cache have.
func stored(t *testing.T, s *cache.Store) (n int64) {
	t.Helper()
	list, err := s.Entries()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Kind == cache.KindSpace {
			n += e.Bytes
		}
	}
	return n
}
