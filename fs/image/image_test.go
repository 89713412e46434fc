package image_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/tree"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// layout writes documents as a layout and returns the reference to tag in it.
func layout(t *testing.T, tag string, docs ...lt.Document) string {
	dir := t.TempDir()
	lt.WriteLayout(t, dir, docs...)
	return "oci:" + dir + ":" + tag
}

func store(t *testing.T) *cache.Store {
	s, err := cache.Open(t.TempDir(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func source(t *testing.T, ref string) *fetch.Source {
	src, err := fetch.Open(context.Background(), ref, fetch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

func resolve(t *testing.T, ref, platform string) (*image.Manifest, error) {
	return image.Resolve(context.Background(), source(t, ref), store(t), image.Options{Platform: platform})
}

// TestDocuments has manifests that must be refused, each for its reason.
func TestDocuments(t *testing.T) {
	const (
		empty  = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		other  = "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
		config = `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + empty + `","size":0}`
	)
	for _, c := range []struct{ name, doc, want string }{
		{"both", `{"schemaVersion":2,` + config + `,"layers":[],"manifests":[]}`, "both an image index and a manifest"},
		{"an index as a manifest", `{"schemaVersion":2,"manifests":[]}`, "no manifest under the media type"},
		{"another type", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",` + config + `}`, "its descriptor says"},
		{"schema 1", `{"schemaVersion":1,"name":"x","fsLayers":[]}`, "Docker schema 1"},
		{"no JSON", `hello`, "not a manifest"},
		{"neither", `{"schemaVersion":2}`, "no manifest under the media type"},
		{"a key twice", `{"schemaVersion":2,` + config + `,"layers":[],"layers":[]}`, `the key "layers" twice`},
		{"an artifact", `{"schemaVersion":2,"artifactType":"text/x","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + empty + `","size":2},"layers":[]}`,
			`: unsupported: not a container image, but an artifact of type "text/x"`},
		{"no configuration", `{"schemaVersion":2,"layers":[]}`, "but a manifest without a configuration"},
		{"an empty configuration", `{"schemaVersion":2,` + config + `,"layers":[]}`, "its descriptor says that it has 0 bytes"},
		{"an empty layer", `{"schemaVersion":2,` + strings.Replace(config, `"size":0`, `"size":2`, 1) + `,"layers":[{"digest":"` + other + `","size":0}]}`, "layer 1: " + other + ": its descriptor says that it has 0 bytes"},
		{"no such configuration", `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:../../x","size":2},"layers":[]}`, "digest"},
		{"a missing configuration", `{"schemaVersion":2,` + strings.Replace(config, `"size":0`, `"size":2`, 1) + `,"layers":[]}`, ":t: configuration " + empty},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := resolve(t, layout(t, "t", lt.Image{Tag: "t", Manifest: []byte(c.doc)}), "")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something with %q", err, c.want)
			}
		})
	}
}

// TestTwins takes a Docker manifest under the media type that OCI made of it,
// as some tools list it, and tells of it by its own.
func TestTwins(t *testing.T) {
	image := lt.Image{Docker: true, Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", "x")))}}
	s := lt.Store{}
	manifest := s[s.Add(image).Digest]
	m, err := resolve(t, layout(t, "t", lt.Image{Tag: "t", Manifest: manifest, Layers: image.Layers}), "")
	if err != nil || m.Descriptor.MediaType != lt.DockerManifest || m.Root.MediaType != lt.DockerManifest {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestMediaTypes takes layers by their media type.
func TestMediaTypes(t *testing.T) {
	tar := lt.Tar(lt.File("f", "x"))
	for _, c := range []struct{ mediaType, want string }{
		{"application/vnd.oci.image.layer.v1.tar", ""},
		{"application/vnd.oci.image.layer.v1.tar+gzip", ""},
		{"application/vnd.oci.image.layer.v1.tar+zstd", ""},
		{"application/vnd.docker.image.rootfs.diff.tar.gzip", ""},
		{"application/vnd.docker.image.rootfs.diff.tar.zstd", ""},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "foreign layer"},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar", "foreign layer"},
		{"application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "encrypted layer"},
		{"application/vnd.sylabs.image.layer.v1.squashfs", "layer of the media type"},
		{"application/vnd.oci.image.layer.v1.tar+lzma", "layer of the media type"},
		{"application/vnd.sylabs.sif.layer.v1.squashfs", "layer of the media type"},
		{"application/x-foo", "layer of the media type"},
	} {
		img := lt.Image{Tag: "t", Layers: []lt.Layer{lt.NewLayer(tar, tar, c.mediaType)}}
		got := ""
		if _, err := open(t, layout(t, "t", img), store(t)); err != nil {
			got = err.Error()
			if !errors.Is(err, image.ErrUnsupported) || !strings.Contains(got, "sha256:") {
				t.Errorf("%s: %v", c.mediaType, err)
			}
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.mediaType, got, c.want)
		}
	}
}

// TestLyingMediaType warns of it at every opening, once for each layer.
func TestLyingMediaType(t *testing.T) {
	honest := lt.GzipLayer(lt.Tar(lt.File("f", "x")))
	lying := lt.ZstdLayer(lt.Tar(lt.File("g", "x")))
	lying.MediaType = honest.MediaType
	ref := layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{honest, lying}})
	s := store(t)
	for range 2 {
		var got []string
		img, err := image.Open(context.Background(), source(t, ref), s, image.Options{Warn: func(msg string) { got = append(got, msg) }})
		if err != nil {
			t.Fatal(err)
		}
		img.Close()
		if len(got) != 1 || !strings.HasPrefix(got[0], "layer 2 sha256:") || !strings.HasSuffix(got[0], ": the media type says gzip, but the layer is zstd") {
			t.Errorf("%q", got)
		}
	}
}

// TestInterrupted warns of nothing when it is interrupted while it asks for
// indexes: what ends everything is the error.
func TestInterrupted(t *testing.T) {
	l := lt.GzipLayer(lt.Tar(lt.File("f", "x")))
	reg := registrytest.Start(t, registrytest.Options{})
	reg.Push("a/b", "t", registrytest.Layer{MediaType: l.MediaType, Blob: l.Blob, DiffID: l.DiffID})
	ctx, cancel := context.WithCancelCause(context.Background())
	interrupted := errors.New("interrupted")
	reg.Use(registrytest.If(func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/referrers/") },
		registrytest.Answer(func(w http.ResponseWriter, r *http.Request) {
			cancel(interrupted)
			<-r.Context().Done()
		})))
	img, err := image.Open(ctx, source(t, reg.Host+"/a/b:t"), store(t), image.Options{Warn: func(msg string) { t.Errorf("warning: %s", msg) }})
	if err == nil {
		img.Close()
	}
	if !errors.Is(err, interrupted) {
		t.Errorf("error is %v", err)
	}
}

// TestWarnedOnce warns of what follows a layer when the layer is read whole, and
// not once more where its media type has it read twice.
func TestWarnedOnce(t *testing.T) {
	l := lt.GzipLayer(lt.Tar(lt.File("f", "x")))
	l.Blob, l.MediaType = append(l.Blob, "and then some"...), ocispec.MediaTypeImageLayer
	ref := layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{l}})
	s := store(t)
	for _, want := range [][]string{{"no member follow", "the media type says"}, {"the media type says"}} {
		var got []string
		img, err := image.Open(context.Background(), source(t, ref), s, image.Options{Warn: func(msg string) { got = append(got, msg) }})
		if err != nil {
			t.Fatal(err)
		}
		img.Close()
		if len(got) != len(want) || !strings.Contains(got[0], want[0]) || !strings.Contains(got[len(got)-1], want[len(want)-1]) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func open(t *testing.T, ref string, s *cache.Store) (*image.Image, error) {
	img, err := image.Open(context.Background(), source(t, ref), s, image.Options{})
	if err == nil {
		t.Cleanup(func() { img.Close() })
	}
	return img, err
}

func read(t *testing.T, img *image.Image, path string) string {
	t.Helper()
	n, err := img.Tree().Walk(path, true)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(reader{img, n}, 0, 1<<40))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return string(b)
}

// TestImage opens an image of several layers, twice: the second time nothing
// is read again.
func TestImage(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	runs := []lt.Run{{Off: 100_000, Data: "here"}, {Off: 2 << 20, Data: big}}
	ref := layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{
		lt.GzipLayer(lt.Tar(lt.File("a", "lower"), lt.File("b", "b"), lt.File("big", big))),
		lt.ZstdLayer(lt.Tar(lt.File("a", "upper"), lt.Whiteout("b"), lt.Sparse(lt.SparseV1, "sparse", 4<<20, runs))),
		lt.Plain(lt.Tar(lt.Symlink("link", "a"), lt.Hardlink("same", "big"))),
	}})
	s := store(t)
	for again := range 2 {
		img, err := open(t, ref, s)
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{"a": "upper", "link": "upper", "big": big, "same": big, "sparse": lt.Content(4<<20, runs)} {
			if got := read(t, img, path); got != want {
				t.Errorf("%s: %d bytes, want %d", path, len(got), len(want))
			}
		}
		n, _ := img.Tree().Walk("big", true)
		if k, err := img.ReadAt(n, make([]byte, 9), -1); k != 0 || err == nil {
			t.Errorf("at -1: %d bytes, %v", k, err)
		}
		if _, err := img.Tree().Walk("b", true); err == nil {
			t.Error("b is still there")
		}
		for i, l := range img.Layers() {
			if (l.Origin == image.OriginCache) != (again == 1) || l.Entries == 0 || l.Size == 0 {
				t.Errorf("layer %d: %+v", i, l)
			}
		}
	}
}

// TestDamagedLayers has layers that are not what the image promises.
func TestDamagedLayers(t *testing.T) {
	good := lt.GzipLayer(lt.Tar(lt.File("f", "x")))
	spoofed := good
	spoofed.DiffID = lt.Plain([]byte("another")).DiffID
	for _, c := range []struct {
		name string
		img  lt.Image
		want string
	}{
		{"another diffID", lt.Image{Tag: "t", Layers: []lt.Layer{good, spoofed}}, "layer 2 sha256:"},
		{"too few diffIDs", lt.Image{Tag: "t", Layers: []lt.Layer{good, good},
			Config: ocispec.Image{RootFS: ocispec.RootFS{DiffIDs: []digest.Digest{good.DiffID}}}}, "2 layers, but its configuration has 1 diffIDs"},
	} {
		_, err := open(t, layout(t, "t", c.img), store(t))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// Known from another image, the layer's diffID is held to this one's promise.
	s := store(t)
	if _, err := open(t, layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{good}}), s); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{spoofed}}), s); err == nil || !strings.Contains(err.Error(), "diffID") {
		t.Errorf("a known layer with another diffID: %v", err)
	}
}

// reader is a file of an image as an io.ReaderAt.
type reader struct {
	img *image.Image
	n   tree.Node
}

func (r reader) ReadAt(p []byte, off int64) (int, error) { return r.img.ReadAt(r.n, p, off) }

// TestConcurrentReads reads one file at many places at a time.
func TestConcurrentReads(t *testing.T) {
	big := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 100_000)
	ref := layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("big", big)))}})
	img, err := open(t, ref, store(t))
	if err != nil {
		t.Fatal(err)
	}
	n, err := img.Tree().Walk("big", true)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for i := range 16 {
		go func() {
			off := i * len(big) / 16
			p := make([]byte, len(big)/16)
			_, err := img.ReadAt(n, p, int64(off))
			if err == nil && !bytes.Equal(p, []byte(big[off:off+len(p)])) {
				err = errors.New("wrong bytes")
			}
			done <- err
		}()
	}
	for range 16 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
