package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
)

// ErrNoLayer says that no layer of an image could be given a zTOC, or was
// large enough for one.
var ErrNoLayer = errors.New("no layer for a SOCI index")

// SOCIOptions say how to index layers. The zero value does it as the soci
// command does, but for small layers, which get a zTOC, too.
type SOCIOptions struct {
	index.SOCIOptions
	// MinLayer is how many bytes a layer must have to get a zTOC: those without
	// are read whole, once.
	MinLayer int64
	// Read opens a layer, by its number and descriptor, to be read once from
	// its beginning.
	Read func(ctx context.Context, i int, d ocispec.Descriptor) (io.ReadCloser, error)
	// Progress is told how many of a layer's size bytes were read. nil: nobody
	// is.
	Progress func(layer int, done, size int64)
}

// A SOCIImage is an image with a SOCI index of version 2: its layers and its
// configuration are as they were, its manifest names the index, and an image
// index holds the two.
type SOCIImage struct {
	Root     []byte // the image index
	Manifest []byte // the image's
	Index    []byte // the SOCI index, a manifest
	Config   ocispec.Descriptor
	Layers   []ocispec.Descriptor
	Ztocs    []Ztoc
}

// A Ztoc is the zTOC of a layer.
type Ztoc struct {
	index.SOCIZtoc
	Of    int // the layer's number, from 0
	Bytes []byte
}

// SOCI indexes the layers of m, and makes of it an image that says so. Layers
// of which a zTOC can't tell right are left out, with a warning; ErrNoLayer
// says that none is left.
func SOCI(ctx context.Context, m *image.Manifest, o SOCIOptions) (*SOCIImage, error) {
	out := &SOCIImage{Layers: m.Layers()}
	x := &index.SOCIIndex{Version: 2, Tool: o.Tool}
	for i, d := range m.Layers() {
		if d.Size < o.MinLayer {
			continue
		}
		b, err := ztoc(ctx, m, i, o)
		if errors.Is(err, index.ErrNoIndex) {
			o.warn(fmt.Sprintf("layer %d %s gets no zTOC: %v", i+1, d.Digest, err))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("layer %d %s: %w", i+1, d.Digest, err)
		}
		z := index.SOCIZtoc{Digest: digest.FromBytes(b), Size: int64(len(b)), Layer: d.Digest, LayerType: d.MediaType, Span: o.span()}
		x.Ztocs = append(x.Ztocs, z)
		out.Ztocs = append(out.Ztocs, Ztoc{z, i, b})
	}
	if len(x.Ztocs) == 0 {
		return nil, fmt.Errorf("%w: of %d, none has %d bytes and a format that zTOCs know", ErrNoLayer, len(m.Layers()), o.MinLayer)
	}
	var err error
	if out.Index, err = index.MarshalSOCIIndex(x); err != nil {
		return nil, err
	}
	return out, out.rewrite(m)
}

func (o SOCIOptions) warn(msg string) {
	if o.Warn != nil {
		o.Warn(msg)
	}
}

func (o SOCIOptions) span() int64 {
	if o.Span <= 0 {
		return index.SOCISpan
	}
	return o.Span
}

// ztoc reads layer i and makes its zTOC.
func ztoc(ctx context.Context, m *image.Manifest, i int, o SOCIOptions) ([]byte, error) {
	d := m.Layers()[i]
	r, err := o.Read(ctx, i, d)
	if err != nil {
		return nil, err
	}
	so := o.SOCIOptions
	so.Digest, so.Size, so.DiffID = d.Digest, d.Size, m.Config.RootFS.DiffIDs[i]
	if o.Progress != nil {
		so.Options.Progress = func(done int64) { o.Progress(i, done, d.Size) }
	}
	return index.BuildSOCI(ctx, r, so)
}

// rewrite makes the manifest and the image index, as soci's convert does: what
// Docker's media types say is said in OCI's.
func (out *SOCIImage) rewrite(m *image.Manifest) error {
	var im ocispec.Manifest
	if err := json.Unmarshal(m.Raw, &im); err != nil {
		return err
	}
	soci := describe(ocispec.MediaTypeImageManifest, out.Index)
	im.Versioned = specs.Versioned{SchemaVersion: 2}
	im.MediaType = ocispec.MediaTypeImageManifest
	im.Config.MediaType = ocispec.MediaTypeImageConfig
	im.Annotations = merge(maps.Clone(im.Annotations), map[string]string{index.SOCIIndexDigest: soci.Digest.String()})
	var err error
	if out.Manifest, err = json.Marshal(im); err != nil {
		return err
	}
	out.Config = im.Config
	desc := describe(ocispec.MediaTypeImageManifest, out.Manifest)
	desc.Platform = platform(m)
	desc.Annotations = map[string]string{index.SOCIIndexDigest: soci.Digest.String()}
	soci.Platform, soci.ArtifactType = desc.Platform, index.SOCITypeV2
	soci.Annotations = map[string]string{index.SOCIImageDigest: desc.Digest.String()}
	out.Root, err = json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{desc, soci},
	})
	return err
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
