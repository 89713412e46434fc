package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/convert"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// sociOf makes a SOCI index of an image in a layout.
func sociOf(t *testing.T, ref, platform string, o convert.SOCIOptions) (*image.Manifest, *convert.SOCIImage, error) {
	t.Helper()
	ctx := context.Background()
	src, err := fetch.Open(ctx, ref, fetch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	store, err := cache.Open(t.TempDir(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	m, err := image.Resolve(ctx, src, store, image.Options{Platform: platform})
	if err != nil {
		t.Fatal(err)
	}
	o.Read = func(ctx context.Context, i int, d ocispec.Descriptor) (io.ReadCloser, error) {
		if m.Layers()[i].Digest != d.Digest {
			t.Errorf("layer %d is not %s", i, d.Digest)
		}
		b, err := src.Blob(ctx, d)
		if err != nil {
			return nil, err
		}
		return b.Range(0, d.Size), nil
	}
	x, err := convert.SOCI(ctx, m, o)
	return m, x, err
}

// rootOf is the image index of one image.
func rootOf(t *testing.T, x *convert.SOCIImage) []byte {
	t.Helper()
	b, err := convert.Root([]*convert.Indexed{x.Indexed})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSOCI indexes an image with Docker's media types, one of several in an
// index, and holds the documents to what soci's convert makes.
func TestSOCI(t *testing.T) {
	big := lt.Tar(lt.File("big", strings.Repeat("0123456789abcdef", 1<<17)))
	img := lt.Image{
		Docker: true, Annotations: map[string]string{"kept": "yes", "com.amazon.soci.index-digest": "sha256:old"},
		Platform: &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"},
		Layers:   []lt.Layer{lt.GzipLayer(big), lt.Plain(lt.Tar(lt.File("plain", "x"))), lt.ZstdLayer(lt.Tar(lt.File("zstd", "x")))},
	}
	dir := t.TempDir()
	lt.WriteLayout(t, dir, lt.Index{Tag: "t", Docker: true, Manifests: []lt.Document{img}})
	var warned []string
	o := convert.SOCIOptions{}
	o.Span, o.Tool, o.Warn = 1<<20, "a tool", func(msg string) { warned = append(warned, msg) }
	m, x, err := sociOf(t, "oci:"+dir+":t", "linux/arm/v7", o)
	if err != nil {
		t.Fatal(err)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "layer 3 sha256:") {
		t.Errorf("warnings: %q", warned)
	}
	var got ocispec.Manifest
	var root ocispec.Index
	if err := errors.Join(json.Unmarshal(x.Manifest, &got), json.Unmarshal(rootOf(t, x), &root)); err != nil {
		t.Fatal(err)
	}
	named := digest.FromBytes(x.Index)
	if got.MediaType != ocispec.MediaTypeImageManifest || got.Config.MediaType != ocispec.MediaTypeImageConfig || got.Config.Digest != digest.FromBytes(m.RawConfig) ||
		got.Layers[0].MediaType != lt.DockerLayerGzip || got.Annotations["kept"] != "yes" || got.Annotations[index.SOCIIndexDigest] != named.String() {
		t.Errorf("manifest: %s", x.Manifest)
	}
	if len(root.Manifests) != 2 || root.Manifests[0].Digest != digest.FromBytes(x.Manifest) || root.Manifests[1].Digest != named ||
		root.Manifests[1].ArtifactType != index.SOCITypeV2 || root.Manifests[1].Annotations[index.SOCIImageDigest] != root.Manifests[0].Digest.String() ||
		root.Manifests[1].Platform.Variant != "v7" || fmt.Sprint(root.Manifests[1].Platform) != fmt.Sprint(root.Manifests[0].Platform) {
		t.Errorf("index: %s", rootOf(t, x))
	}
	soci, err := index.ParseSOCIIndex(x.Index)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(x.Index, []byte("artifactType")) || bytes.Contains(x.Index, []byte("subject")) || soci.Version != 2 || soci.Tool != "a tool" || len(soci.Ztocs) != 2 {
		t.Errorf("SOCI index: %s", x.Index)
	}
	for i, z := range x.Ztocs {
		d := m.Layers()[i]
		if z.Of != i || soci.Ztocs[i].Digest != digest.FromBytes(z.Bytes) || soci.Ztocs[i].Layer != d.Digest || soci.Ztocs[i].Span != 1<<20 || soci.Ztocs[i].LayerType != d.MediaType {
			t.Errorf("zTOC %d: %+v", i, soci.Ztocs[i])
		}
		if _, err := index.OpenSOCI(z.Bytes, d.Size, index.Hints{Digest: d.Digest, DiffID: m.Config.RootFS.DiffIDs[i]}); err != nil {
			t.Error(err)
		}
	}
}

// TestSOCINone has images of which no SOCI index can be made.
func TestSOCINone(t *testing.T) {
	good := lt.GzipLayer(lt.Tar(lt.File("f", "x")))
	lie := good
	lie.DiffID = digest.FromString("another")
	for _, c := range []struct {
		name  string
		layer lt.Layer
		least int64
		want  string
	}{
		{"too small", good, 1 << 20, "no layer for a SOCI index"},
		{"zstd", lt.ZstdLayer(lt.Tar(lt.File("f", "x"))), 0, "no layer for a SOCI index"},
		{"another diffID", lie, 0, "diffID"},
	} {
		dir := t.TempDir()
		lt.WriteLayout(t, dir, lt.Image{Tag: "t", Layers: []lt.Layer{c.layer}})
		_, x, err := sociOf(t, "oci:"+dir+":t", "", convert.SOCIOptions{MinLayer: c.least})
		if err == nil {
			_, err = convert.Root([]*convert.Indexed{x.Indexed})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if none := strings.HasPrefix(c.want, "no layer"); errors.Is(err, convert.ErrNoLayer) != none {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
