package layertest

import (
	"archive/tar"
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A file of a layout, by its path.
type file struct {
	name string
	body []byte
}

// WriteLayout writes documents as an OCI image layout into dir, which it makes
// if need be. Each document stands in index.json, under its tag if it has one.
func WriteLayout(t testing.TB, dir string, documents ...Document) {
	t.Helper()
	for _, f := range layout(documents) {
		name := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// OCIArchive is an OCI image layout in one tar archive. Compress it with
// [Gzip] or [Zstd] as one likes.
func OCIArchive(documents ...Document) []byte { return archive(layout(documents)) }

func layout(documents []Document) []file {
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	store := Store{}
	for _, doc := range documents {
		d := doc.add(store)
		if doc.tag() != "" {
			d.Annotations = map[string]string{ocispec.AnnotationRefName: doc.tag()}
		}
		index.Manifests = append(index.Manifests, d)
	}
	files := []file{
		{ocispec.ImageLayoutFile, marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})},
		{ocispec.ImageIndexFile, marshal(index)},
	}
	for _, d := range slices.Sorted(maps.Keys(store)) {
		files = append(files, file{filepath.Join("blobs", d.Algorithm().String(), d.Encoded()), store[d]})
	}
	return files
}

// DockerArchive is what "docker save" writes: a tar archive with manifest.json,
// configs and layers. Each image's tag is its name, "repository:tag". Layers
// are stored as they are; docker itself stores them plain.
func DockerArchive(images ...Image) []byte {
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	var manifest []entry
	var files []file
	for _, m := range images {
		s := Store{}
		config := s.putJSON(DockerConfig, m.config())
		e := entry{Config: config.Digest.Encoded() + ".json"}
		if m.Tag != "" {
			e.RepoTags = []string{m.Tag}
		}
		files = append(files, file{e.Config, s[config.Digest]})
		for _, l := range m.Layers {
			name := cmp.Or(l.DiffID.Encoded(), "layer") + "/layer.tar"
			e.Layers = append(e.Layers, name)
			files = append(files, file{name, l.Blob})
		}
		manifest = append(manifest, e)
	}
	return archive(append(files, file{"manifest.json", marshal(manifest)}))
}

// archive writes each file once, in order.
func archive(files []file) []byte {
	var entries []Entry
	seen := map[string]bool{}
	for _, f := range files {
		if !seen[f.name] {
			seen[f.name] = true
			entries = append(entries, File(f.name, string(f.body), Format(tar.FormatUSTAR), ModTime(time.Unix(0, 0))))
		}
	}
	return Tar(entries...)
}
