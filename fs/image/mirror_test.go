package image_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestWrongMirror takes from the registry itself what a mirror gives wrongly,
// in the first pass and later, and says so once. Where both are wrong, that is
// an error.
func TestWrongMirror(t *testing.T) {
	home, mirror := registrytest.Start(t, registrytest.Options{}), registrytest.Start(t, registrytest.Options{})
	want := strings.Repeat("0123456789abcdef", 1<<16)
	for _, format := range []func([]byte) lt.Layer{lt.GzipLayer, lt.ZstdLayer, lt.Plain} {
		layer := format(lt.Tar(lt.File("f", want)))
		for _, reg := range []*registrytest.Server{home, mirror} {
			reg.Heal()
			reg.Push("a/b", "t", registrytest.Layer{MediaType: layer.MediaType, Blob: layer.Blob, DiffID: layer.DiffID})
		}
		name := digest.FromBytes(layer.Blob).String()
		wrong := registrytest.If(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, name) }, registrytest.Flip(int64(min(len(layer.Blob)/2, 10_000))))
		mirror.Use(wrong)

		s := store(t)
		img, warnings, err := openMirrored(t, s, home.Host, mirror.Host)
		if err != nil {
			t.Fatal(err)
		}
		if read(t, img, "f") != want || len(warnings()) != 1 || !strings.Contains(warnings()[0], mirror.Host) {
			t.Errorf("%s: warnings %q", layer.MediaType, warnings())
		}
		img, warnings, err = openMirrored(t, s, home.Host, mirror.Host)
		if err == nil {
			_, err = s.Trim(context.Background(), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		if read(t, img, "f") != want || len(warnings()) != 1 {
			t.Errorf("%s, read later: warnings %q", layer.MediaType, warnings())
		}
		home.Use(wrong)
		if _, _, err = openMirrored(t, store(t), home.Host, mirror.Host); err == nil {
			t.Errorf("%s: opened, though both servers are wrong", layer.MediaType)
		}
	}
}

// TestWrongMirrorIndexed does so for a layer that is read by an ocifs index.
func TestWrongMirrorIndexed(t *testing.T) {
	home, mirror := registrytest.Start(t, registrytest.Options{Writable: true}), registrytest.Start(t, registrytest.Options{})
	want := noise(1 << 20)
	layer := lt.GzipLayer(lt.Tar(lt.File("f", want)))
	for _, reg := range []*registrytest.Server{home, mirror} {
		reg.Push("a/b", "t", registrytest.Layer{MediaType: layer.MediaType, Blob: layer.Blob, DiffID: layer.DiffID})
	}
	addIndex(t, home.Host+"/a/b:t")
	name := digest.FromBytes(layer.Blob).String()
	mirror.Use(registrytest.If(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, name) }, registrytest.Flip(1000)))
	img, warnings, err := openMirrored(t, store(t), home.Host, mirror.Host)
	if err != nil {
		t.Fatal(err)
	}
	if read(t, img, "f") != want || img.Layers()[0].Origin != image.OriginPushed || len(warnings()) != 1 || !strings.Contains(warnings()[0], mirror.Host) {
		t.Errorf("opened by %s, warnings %q", img.Layers()[0].Origin, warnings())
	}
}

// addIndex pushes an ocifs index of an image.
func addIndex(t *testing.T, ref string) {
	t.Helper()
	src := source(t, ref)
	img, err := image.Open(context.Background(), src, store(t), image.Options{Index: image.PolicyLocal})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	x, err := img.Index(context.Background())
	if err == nil {
		_, err = src.Push(context.Background(), fetch.Upload{Blobs: x.Blobs, Manifest: x.Manifest})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// noise is what can't be compressed, the same each time.
func noise(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return string(b)
}

// openMirrored opens the image a/b:t of a registry that has a mirror.
func openMirrored(t *testing.T, s *cache.Store, home, mirror string) (*image.Image, func() []string, error) {
	t.Helper()
	conf := t.TempDir() + "/registries.conf"
	if err := os.WriteFile(conf, fmt.Appendf(nil, "[[registry]]\nlocation=%q\n[[registry.mirror]]\nlocation=%q\n", home, mirror), 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var list []string
	o := fetch.Options{Config: fetch.Config{Registries: []string{conf}}, Warn: func(s string) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, s)
	}}
	src, err := fetch.Open(context.Background(), home+"/a/b:t", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	img, err := image.Open(context.Background(), src, s, image.Options{})
	if err == nil {
		t.Cleanup(func() { img.Close() })
	}
	return img, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return list
	}, err
}
