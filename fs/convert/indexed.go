package convert

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
)

// An Indexed is an image whose manifest names an index of its layers. They and
// its configuration are as they were; what Docker's media types said of manifest
// and configuration is said in OCI's.
type Indexed struct {
	Manifest []byte
	Index    []byte // the index's manifest; nil: the image has none after all
	Config   ocispec.Descriptor
	Layers   []ocispec.Descriptor

	image, index ocispec.Descriptor // in the image index
}

// Named makes an image of m that names x, an ocifs index of its layers.
func Named(m *image.Manifest, x *image.Index) (*Indexed, error) {
	free, err := x.Free()
	if err != nil {
		return nil, err
	}
	out, err := indexed(m, image.IndexNote, free)
	if err == nil {
		// Nobody is to take it for an image, though whoever copies all of the image
		// index is to take it along.
		out.index.ArtifactType = image.IndexType
		out.index.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	}
	return out, err
}

// indexed has m's manifest name an index, of which x is the manifest, by the
// annotation note; without x it names none.
func indexed(m *image.Manifest, note string, x []byte) (*Indexed, error) {
	var im ocispec.Manifest
	if err := json.Unmarshal(m.Raw, &im); err != nil {
		return nil, err
	}
	out := &Indexed{Layers: m.Layers(), Index: x}
	im.Versioned = specs.Versioned{SchemaVersion: 2}
	im.MediaType = ocispec.MediaTypeImageManifest
	im.Config.MediaType = ocispec.MediaTypeImageConfig
	im.Annotations = maps.Clone(im.Annotations)
	for _, stale := range []string{image.IndexNote, index.SOCIIndexDigest} { // what else it names stays behind
		delete(im.Annotations, stale)
	}
	if x != nil {
		out.index = describe(ocispec.MediaTypeImageManifest, x)
		im.Annotations = merge(im.Annotations, map[string]string{note: out.index.Digest.String()})
	}
	var err error
	if out.Manifest, err = json.Marshal(im); err != nil {
		return nil, err
	}
	out.Config = im.Config
	out.image = describe(ocispec.MediaTypeImageManifest, out.Manifest)
	out.image.Platform = platform(m)
	if x != nil {
		out.image.Annotations = map[string]string{note: out.index.Digest.String()}
	}
	return out, nil
}

// Root makes the image index of images, in that order, and behind them their
// indexes; images of the same layers have the same ocifs index. ErrNoLayer says that there are none of these.
func Root(images []*Indexed) ([]byte, error) {
	x := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, m := range images {
		x.Manifests = append(x.Manifests, m.image)
	}
	for _, m := range images {
		if m.Index != nil && !slices.ContainsFunc(x.Manifests, func(d ocispec.Descriptor) bool { return reflect.DeepEqual(d, m.index) }) {
			x.Manifests = append(x.Manifests, m.index)
		}
	}
	if len(x.Manifests) == len(images) {
		return nil, ErrNoLayer
	}
	return json.Marshal(x)
}

// platform is what m is for: as the image index says that lists it, or as its
// configuration does.
func platform(m *image.Manifest) *ocispec.Platform {
	for _, d := range m.Platforms {
		if d.Digest == m.Descriptor.Digest && d.Platform != nil {
			return d.Platform
		}
	}
	p := m.Config.Platform
	return &p
}
