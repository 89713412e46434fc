package convert_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fs/convert"
	"ocifs.dev/ocifs/fs/image"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestNamed has the manifests of two images of the same layers name their
// index, and nothing that stays behind.
func TestNamed(t *testing.T) {
	dir := t.TempDir()
	lt.WriteLayout(t, dir, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", "x")))},
		Annotations: map[string]string{"kept": "yes", "com.amazon.soci.index-digest": "gone", image.IndexNote: "gone"}})
	img := open(t, "oci:"+dir+":t", image.PolicyLocal)
	x, err := img.Index(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	one, err := convert.Named(img.Manifest(), x)
	if err != nil {
		t.Fatal(err)
	}
	var m, free ocispec.Manifest
	unmarshal(t, one.Manifest, &m)
	unmarshal(t, one.Index, &free)
	named := digest.FromBytes(one.Index)
	if len(m.Annotations) != 2 || m.Annotations["kept"] != "yes" || m.Annotations[image.IndexNote] != named.String() || m.Config.Digest != digest.FromBytes(img.Manifest().RawConfig) {
		t.Errorf("manifest: %s", one.Manifest)
	}
	if free.Subject != nil || free.ArtifactType != image.IndexType || len(free.Layers) != 2 {
		t.Errorf("index: %s", one.Index)
	}
	other := *one
	root, err := convert.Root([]*convert.Indexed{one, &other})
	if err != nil {
		t.Fatal(err)
	}
	var all ocispec.Index
	unmarshal(t, root, &all)
	if len(all.Manifests) != 3 || all.Manifests[2].Digest != named || all.Manifests[2].Platform.OS != "unknown" || all.Manifests[0].Platform.OS != "linux" {
		t.Errorf("image index: %s", root)
	}
}

func unmarshal(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
}
