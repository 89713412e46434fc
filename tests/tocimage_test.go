package tests

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/externaltoc"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// apart is an eStargz layer without its table of contents, and the layer of a
// TOC image that has it, as stargz-snapshotter's library writes them.
func apart(t testing.TB, archive []byte) (layer, table lt.Layer) {
	t.Helper()
	var blob, toc bytes.Buffer
	c := externaltoc.NewGzipCompressor()
	w := estargz.NewWriterWithCompressor(&blob, c)
	if err := w.AppendTarLossLess(bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	d, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTOCTo(&toc); err != nil {
		t.Fatal(err)
	}
	layer = lt.NewLayer(archive, blob.Bytes(), ocispec.MediaTypeImageLayerGzip)
	layer.Annotations = map[string]string{estargz.TOCJSONDigestAnnotation: d.String()}
	table = lt.NewLayer(nil, toc.Bytes(), ocispec.MediaTypeImageLayerGzip)
	table.Annotations = map[string]string{"containerd.io/snapshot/stargz/layer.digest": digest.FromBytes(blob.Bytes()).String()}
	return layer, table
}

// TestTOCImage mounts eStargz layers whose tables of contents are in another
// image: lazily, if that is there and has what the manifest promises; else, or
// if nobody is to be trusted, by reading the layers whole.
func TestTOCImage(t *testing.T) {
	needFUSE(t)
	image := lt.Image{Tag: "t"}
	tables := lt.Image{Tag: "t-esgztoc"}
	for _, archive := range simple() {
		layer, table := apart(t, archive)
		image.Layers, tables.Layers = append(image.Layers, layer), append(tables.Layers, table)
	}
	alone, swapped := image, tables
	alone.Tag = "alone"
	swapped.Tag = "lie-esgztoc"
	swapped.Layers = []lt.Layer{tables.Layers[0], tables.Layers[1]}
	swapped.Layers[0].Blob, swapped.Layers[1].Blob = tables.Layers[1].Blob, tables.Layers[0].Blob
	lie := image
	lie.Tag = "lie"
	layout := filepath.Join(tempDir(t), "layout")
	lt.WriteLayout(t, layout, image, tables, alone, lie, swapped)
	want := layout + ".want"
	lt.Unpack(t, layout, "t", want)
	reg := registrytest.Start(t, registrytest.Options{})
	if err := reg.PushLayout("app", "", layout); err != nil {
		t.Fatal(err)
	}
	size := int64(len(image.Layers[0].Blob) + len(image.Layers[1].Blob))
	byDigest := "@" + digestOf(image).String()
	for _, c := range []struct {
		name, image string
		options     []string
		lazy        bool
		warning     string // what a mount says on the way
	}{
		{"there", ":t", nil, true, ""},
		{"trusted", ":t", []string{"--index", "trusted"}, true, ""},
		{"not asked for", ":t", []string{"--index", "local"}, false, ""},
		{"held against the layers", ":t", []string{"--verify", "full"}, false, ""},
		{"missing", ":alone", nil, false, `under its tag and "-esgztoc"`},
		{"without a tag", byDigest, nil, false, "the reference has no tag"},
		{"tables of other layers", ":lie", nil, false, "its table of contents can't be used: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ref := range []string{reg.Host + "/app" + c.image, "oci:" + layout + c.image} {
				u := newUser(t)
				reg.Reset()
				m := u.mount(t, ref, c.options...)
				if n := reg.Bytes(registrytest.Blob); c.lazy && n > size/4 {
					t.Errorf("%d of %d bytes came for a mount", n, size)
				}
				lt.Compare(t, want, m.dir, lt.RootAttrs)
				m.unmount(t, u)
				if said := m.stderr.String(); strings.Contains(said, "warning") != (c.warning != "") || !strings.Contains(said, c.warning) {
					t.Errorf("a mount says %s", said)
				}
			}
		})
	}
	u := newUser(t)
	for _, ref := range []string{reg.Host + "/app:t", "oci:" + layout + ":t"} {
		for range 2 { // found, and remembered
			if s := u.ok(t, "layers", ref); strings.Count(s, "toc-image") != 2 {
				t.Errorf("layers: %s", s)
			}
		}
		s := u.ok(t, "index", "show", ref)
		if strings.Count(s, "toc-image") != 2 || strings.Count(s, digestOf(tables).String()[7:19]) != 2 {
			t.Errorf("index show: %s", s)
		}
		if s := u.ok(t, "inspect", ref); !strings.Contains(s, digestOf(tables).String()) {
			t.Errorf("inspect: %s", s)
		}
		u.ok(t, "index", "verify", ref)
	}
}
