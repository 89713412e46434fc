package layertest

import (
	"encoding/json"
	"runtime"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types, as the registry calls "schema 2".
const (
	DockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	DockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig       = "application/vnd.docker.container.image.v1+json"
	DockerLayer        = "application/vnd.docker.image.rootfs.diff.tar"
	DockerLayerGzip    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// A Layer is a blob and what a manifest and a config say of it.
type Layer struct {
	Blob        []byte
	MediaType   string
	DiffID      digest.Digest // of the archive inside
	Annotations map[string]string
	URLs        []string
}

// Plain is a layer stored as it is.
func Plain(tar []byte) Layer { return NewLayer(tar, tar, ocispec.MediaTypeImageLayer) }

// GzipLayer is a layer compressed by [Gzip].
func GzipLayer(tar []byte) Layer {
	return NewLayer(tar, Gzip(tar, 6), ocispec.MediaTypeImageLayerGzip)
}

// ZstdLayer is a layer compressed by [Zstd].
func ZstdLayer(tar []byte) Layer {
	return NewLayer(tar, Zstd(tar), ocispec.MediaTypeImageLayerZstd)
}

// NewLayer is the archive tar stored as blob.
func NewLayer(tar, blob []byte, mediaType string) Layer {
	return Layer{Blob: blob, MediaType: mediaType, DiffID: digest.FromBytes(tar)}
}

// A Document is what an index can list: an [Image], an [Artifact] or an [Index].
type Document interface {
	// add puts the document and all it needs into s.
	add(s Store) ocispec.Descriptor
	tag() string
}

var (
	_ Document = Image{}
	_ Document = Index{}
)

// An Image is a manifest, its config and its layers, base first.
type Image struct {
	Layers      []Layer
	Config      ocispec.Image     // RootFS is filled in if it lists no diffIDs; so are empty OS and Architecture
	Platform    *ocispec.Platform // for the descriptor in an index; nil: none
	Annotations map[string]string // of the manifest
	Tag         string            // its name in a layout or archive
	Docker      bool              // Docker's media types, also for the layers
	Manifest    []byte            // if not nil, written instead of the manifest made of all this
}

// A Listed document has annotations in the index that lists it.
type Listed struct {
	Document
	Annotations map[string]string
}

func (l Listed) add(s Store) ocispec.Descriptor {
	d := l.Document.add(s)
	d.Annotations = l.Annotations
	return d
}

// An Index lists images and other indexes.
type Index struct {
	Manifests   []Document
	Annotations map[string]string
	Tag         string
	Docker      bool     // a manifest list
	Subject     Document // what it refers to; nil: nothing
}

func (m Image) tag() string { return m.Tag }
func (x Index) tag() string { return x.Tag }

// A Store holds blobs by digest.
type Store map[digest.Digest][]byte

// Add puts a document and all it needs into the store. The descriptor has the
// platform of an image; its tag is not in it.
func (s Store) Add(d Document) ocispec.Descriptor { return d.add(s) }

func (s Store) put(mediaType string, b []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	s[d.Digest] = b
	return d
}

func (s Store) putJSON(mediaType string, v any) ocispec.Descriptor {
	return s.put(mediaType, marshal(v))
}

func (m Image) add(s Store) ocispec.Descriptor {
	manifest := ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   m.mediaType(ocispec.MediaTypeImageManifest),
		Config:      s.putJSON(m.mediaType(ocispec.MediaTypeImageConfig), m.config()),
		Layers:      []ocispec.Descriptor{},
		Annotations: m.Annotations,
	}
	for _, l := range m.Layers {
		d := s.put(m.mediaType(l.MediaType), l.Blob)
		d.Annotations, d.URLs = l.Annotations, l.URLs
		manifest.Layers = append(manifest.Layers, d)
	}
	b := m.Manifest
	if b == nil {
		b = marshal(manifest)
	}
	d := s.put(manifest.MediaType, b)
	d.Platform = m.Platform
	return d
}

// config completes the image's config.
func (m Image) config() ocispec.Image {
	c := m.Config
	if c.OS == "" {
		c.OS = "linux"
	}
	if c.Architecture == "" {
		c.Architecture = runtime.GOARCH
	}
	if m.Platform != nil {
		c.Platform = *m.Platform
	}
	if c.RootFS.DiffIDs == nil {
		c.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}
		for _, l := range m.Layers {
			c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.DiffID)
		}
	}
	return c
}

// mediaType turns OCI's type into Docker's, for an image that wants those.
func (m Image) mediaType(oci string) string {
	if !m.Docker {
		return oci
	}
	switch oci {
	case ocispec.MediaTypeImageManifest:
		return DockerManifest
	case ocispec.MediaTypeImageConfig:
		return DockerConfig
	case ocispec.MediaTypeImageLayer:
		return DockerLayer
	case ocispec.MediaTypeImageLayerGzip:
		return DockerLayerGzip
	}
	return oci
}

func (x Index) add(s Store) ocispec.Descriptor {
	index := ocispec.Index{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageIndex,
		Manifests:   []ocispec.Descriptor{},
		Subject:     subject(s, x.Subject),
		Annotations: x.Annotations,
	}
	if x.Docker {
		index.MediaType = DockerManifestList
	}
	for _, m := range x.Manifests {
		index.Manifests = append(index.Manifests, m.add(s))
	}
	return s.putJSON(index.MediaType, index)
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	must(err)
	return b
}
