package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/tree"
	lt "ocifs.dev/ocifs/tests/layertest"
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

// named is an image with one file that tells it from others.
func named(name string, p *ocispec.Platform) lt.Image {
	return lt.Image{Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("name", name)))}, Platform: p, Annotations: map[string]string{"name": name}}
}

func platform(s string) *ocispec.Platform {
	f := append(strings.Split(s, "/"), "")
	return &ocispec.Platform{OS: f[0], Architecture: f[1], Variant: f[2]}
}

// TestPlatform chooses among the images of an index.
func TestPlatform(t *testing.T) {
	list := func(names ...string) lt.Index {
		x := lt.Index{Tag: "t"}
		for _, n := range names {
			x.Manifests = append(x.Manifests, named(n, platform(n)))
		}
		return x
	}
	attestation := named("unknown/unknown", platform("unknown/unknown"))
	windows := func(version string) lt.Image {
		return named(version, &ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: version})
	}
	needs := func(feature string) lt.Image {
		return named(feature, &ocispec.Platform{OS: "linux", Architecture: "amd64", OSFeatures: []string{feature}})
	}
	bare := func(name, of string) lt.Image {
		m := named(name, nil)
		m.Config.Platform = *platform(of)
		return m
	}
	for _, c := range []struct {
		name     string
		index    lt.Document
		platform string
		want     string // the name of the image, or of the error
	}{
		{"exact", list("linux/amd64", "linux/arm64", "linux/s390x"), "linux/arm64", "linux/arm64"},
		{"the nearest variant", list("linux/arm/v5", "linux/arm/v6", "linux/arm/v8"), "linux/arm/v7", "linux/arm/v6"},
		{"a variant that is implied", list("linux/arm64/v8"), "linux/arm64", "linux/arm64/v8"},
		{"no variant that is newer", list("linux/arm/v7"), "linux/arm/v6", "no image for linux/arm/v6 (there are linux/arm/v7)"},
		{"none at all", list("linux/amd64", "windows/amd64"), "linux/riscv64", "no image for linux/riscv64 (there are linux/amd64, windows/amd64)"},
		{"no attestation", lt.Index{Tag: "t", Manifests: []lt.Document{attestation, named("it", platform("linux/amd64"))}}, "linux/amd64", "it"},
		{"only an attestation", lt.Index{Tag: "t", Manifests: []lt.Document{attestation}}, "linux/amd64", "the image index has no image for linux/amd64"},
		{"nested", lt.Index{Tag: "t", Manifests: []lt.Document{lt.Index{Manifests: []lt.Document{
			lt.Index{Manifests: []lt.Document{list("linux/amd64", "linux/arm64")}}}}}}, "linux/arm64", "linux/arm64"},
		{"a manifest list", lt.Index{Tag: "t", Docker: true, Manifests: []lt.Document{named("a", platform("linux/amd64"))}}, "linux/amd64", "a"},
		{"no platform, but in the configuration", lt.Index{Tag: "t", Manifests: []lt.Document{bare("a", "linux/arm64"), bare("b", "linux/amd64")}}, "linux/amd64", "b"},
		{"a platform goes before none", lt.Index{Tag: "t", Manifests: []lt.Document{bare("a", "linux/amd64"), named("b", platform("linux/amd64"))}}, "linux/amd64", "b"},
		{"a feature that isn't there", lt.Index{Tag: "t", Manifests: []lt.Document{needs("sse4"), named("b", platform("linux/amd64"))}}, "linux/amd64", "b"},
		{"a newer arm64", list("linux/arm/v7", "linux/arm64/v8"), "linux/arm64/v9", "linux/arm64/v8"},
		{"the nearest arm64", list("linux/arm64/v8", "linux/arm64/v8.2", "linux/arm64/v9"), "linux/arm64/v8.5", "linux/arm64/v8.2"},
		{"arm64 that runs arm", list("linux/arm/v7"), "linux/arm64", "linux/arm/v7"},
		{"a newer amd64", list("linux/386", "linux/amd64"), "linux/amd64/v3", "linux/amd64"},
		{"the nearest amd64", list("linux/amd64", "linux/amd64/v2", "linux/amd64/v4"), "linux/amd64/v3", "linux/amd64/v2"},
		{"no newer amd64", list("linux/amd64/v2"), "linux/amd64", "no image for linux/amd64 (there are linux/amd64/v2)"},
		{"a feature that is asked for", lt.Index{Tag: "t", Manifests: []lt.Document{named("b", platform("linux/amd64")), needs("sse4")}}, "linux(+sse4)/amd64", "sse4"},
		{"a feature that is missing", lt.Index{Tag: "t", Manifests: []lt.Document{needs("sse4")}}, "linux/amd64", "no image for linux/amd64 (there are linux(+sse4)/amd64)"},
		{"another version", lt.Index{Tag: "t", Manifests: []lt.Document{windows("10.0.14393")}}, "windows(10.0.17763)/amd64", "no image for windows(10.0.17763)/amd64 (there are windows(10.0.14393)/amd64)"},
		{"the version's build", lt.Index{Tag: "t", Manifests: []lt.Document{windows("10.0.20348.1"), windows("10.0.26100.2")}}, "windows(10.0.26100)/amd64", "10.0.26100.2"},
		{"a version of the system", lt.Index{Tag: "t", Manifests: []lt.Document{windows("10.0.14393"), windows("10.0.20348")}}, "windows(10.0.20348)/amd64", "10.0.20348"},
		{"no index, another platform", func() lt.Document { m := bare("a", "linux/arm64"); m.Tag = "t"; return m }(), "linux/amd64", "no image for linux/amd64 (there are linux/arm64)"},
		{"not a platform", list("linux/amd64"), "linux/amd64/v1/x", `platform "linux/amd64/v1/x": more than OS/ARCH/VARIANT`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := resolve(t, layout(t, "t", c.index), c.platform)
			got := fmt.Sprint(err)
			if err == nil {
				got = lookAnnotation(t, m)
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func lookAnnotation(t *testing.T, m *image.Manifest) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(m.Raw), `"name":"`)
	name, _, _ := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("no name in %s", m.Raw)
	}
	return name
}

// deep is an index nested n deep.
func deep(n int) lt.Index {
	x := lt.Index{Tag: "t", Manifests: []lt.Document{named("it", platform("linux/amd64"))}}
	for range n - 1 {
		x = lt.Index{Tag: "t", Manifests: []lt.Document{x}}
	}
	return x
}

// TestNesting follows sane depths only, and reads no document twice.
func TestNesting(t *testing.T) {
	if m, err := resolve(t, layout(t, "t", deep(8)), "linux/amd64"); err != nil || lookAnnotation(t, m) != "it" {
		t.Errorf("8 deep: %v", err)
	}
	if _, err := resolve(t, layout(t, "t", deep(9)), "linux/amd64"); err == nil || !strings.Contains(err.Error(), "nested more than 8 deep") {
		t.Errorf("9 deep: %v", err)
	}
	if m, err := resolve(t, laughs(t, 7), "linux/amd64"); err != nil || lookAnnotation(t, m) != "it" {
		t.Errorf("a billion paths: %v", err)
	}
}

// TestParsePlatform reads platforms as people write them.
func TestParsePlatform(t *testing.T) {
	for s, want := range map[string]string{
		"linux/arm64": "linux/arm64", "linux/arm/v7": "linux/arm/v7", "Linux/x86_64": "linux/amd64", "arm64": runtime.GOOS + "/arm64",
		"windows(10.0.20348)/amd64": "windows(10.0.20348)/amd64", "linux(+b+a)/amd64": "linux(+a+b)/amd64",
		"windows(10.0.1+win32k)/amd64": "windows(10.0.1+win32k)/amd64",
	} {
		if p, err := image.ParsePlatform(s); err != nil || image.FormatPlatform(p) != want {
			t.Errorf("%s: %s, %v", s, image.FormatPlatform(p), err)
		}
	}
	for s, want := range map[string]string{
		"bogus": "neither an architecture", "linux": "without an architecture", "windows(10.0.1)": "without an architecture",
		"linux/amd64/v1/x": "more than", "linux/": "not of the form", "linux(/amd64": "not of the form", "*": "neither", "linux/a b": "not of the form", "": "neither",
	} {
		if p, err := image.ParsePlatform(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", s, p, err)
		}
	}
}

// TestManyManifests finds the nested index behind any number of manifests that
// need not be read.
func TestManyManifests(t *testing.T) {
	x := lt.Index{Tag: "t"}
	for i := range 300 {
		x.Manifests = append(x.Manifests, named(strconv.Itoa(i), platform("linux/arm64")))
	}
	x.Manifests = append(x.Manifests, lt.Index{Manifests: []lt.Document{named("it", platform("linux/amd64"))}})
	if m, err := resolve(t, layout(t, "t", x), "linux/amd64"); err != nil || lookAnnotation(t, m) != "it" {
		t.Error(err)
	}
}

// TestUnlabelled looks for a platform in so many configurations and no more.
func TestUnlabelled(t *testing.T) {
	for n, want := range map[int]string{200: "no image for linux/amd64", 300: "more than 256 documents"} {
		x := lt.Index{Tag: "t"}
		for i := range n {
			m := named(strconv.Itoa(i), nil)
			m.Config.Platform = *platform("linux/arm64")
			x.Manifests = append(x.Manifests, m)
		}
		if _, err := resolve(t, layout(t, "t", x), "linux/amd64"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

// laughs is a layout of n nested indexes, each of which lists the next one a
// hundred times.
func laughs(t *testing.T, n int) string {
	dir := t.TempDir()
	lt.WriteLayout(t, dir, named("it", platform("linux/amd64")))
	b, err := os.ReadFile(dir + "/index.json")
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		d := digest.FromBytes(b)
		if err := os.WriteFile(dir+"/blobs/sha256/"+d.Encoded(), b, 0o644); err != nil {
			t.Fatal(err)
		}
		next := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: d, Size: int64(len(b))}
		x := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: slices.Repeat([]ocispec.Descriptor{next}, 100)}
		x.Manifests[0].Annotations = map[string]string{ocispec.AnnotationRefName: "t"}
		if b, err = json.Marshal(x); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/index.json", b, 0o644); err != nil {
		t.Fatal(err)
	}
	return "oci:" + dir + ":t"
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
