package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A SOCI index is a manifest whose layers are the zTOCs of an image's layers.
// Its second version is named by an annotation of the image's manifest, and
// stands beside that in the image's index; the first one was found among the
// manifest's referrers.
const (
	// SOCIIndexDigest is the annotation of an image's manifest that has the
	// digest of its SOCI index.
	SOCIIndexDigest = "com.amazon.soci.index-digest"

	// SOCIImageDigest is the annotation of a SOCI index's descriptor in an
	// image's index that has the digest of the image's manifest.
	SOCIImageDigest = "com.amazon.soci.image-manifest-digest"

	// SOCITypeV1 and SOCITypeV2 are the artifact types of the two versions.
	// They stand as the media type of the manifest's config, and in a
	// descriptor of the manifest, but not as the manifest's own artifactType.
	SOCITypeV1 = "application/vnd.amazon.soci.index.v1+json"
	SOCITypeV2 = "application/vnd.amazon.soci.index.v2+json"

	// SOCIConfig is the content of every SOCI index's config.
	SOCIConfig = "{}"
)

// The annotations within a SOCI index, and the media type of a zTOC.
const (
	noteLayer     = "com.amazon.soci.image-layer-digest"
	noteLayerType = "com.amazon.soci.image-layer-mediaType"
	noteSpan      = "com.amazon.soci.span-size"
	noteTool      = "com.amazon.soci.build-tool-identifier"

	ztocType = "application/octet-stream"
)

// A SOCIIndex is what a SOCI index says.
type SOCIIndex struct {
	Version int                 // 1 or 2
	Subject *ocispec.Descriptor // the image's manifest, for version 1; else nil
	Tool    string              // that made it
	Ztocs   []SOCIZtoc          // in the order of the image's layers, which need not all have one
}

// A SOCIZtoc is the zTOC of one layer.
type SOCIZtoc struct {
	Digest    digest.Digest // of the zTOC
	Size      int64
	Layer     digest.Digest // of the layer
	LayerType string        // the layer's media type
	Span      int64         // that the zTOC was made with; 0 if nothing is said
}

// Descriptor is what the zTOC can be fetched by.
func (z *SOCIZtoc) Descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ztocType, Digest: z.Digest, Size: z.Size, Annotations: map[string]string{
		noteLayer:     string(z.Layer),
		noteLayerType: z.LayerType,
		noteSpan:      strconv.FormatInt(z.Span, 10),
	}}
}

// MarshalSOCIIndex makes a SOCI index, of version 2 unless x says 1. Its bytes
// are those that soci-snapshotter makes. That is more than neatness: it reads
// an index, writes it again, and accepts it only if it has the same digest.
func MarshalSOCIIndex(x *SOCIIndex) ([]byte, error) {
	if len(x.Ztocs) == 0 {
		return nil, errors.New("soci index: of no layer")
	}
	m := ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      ocispec.Descriptor{MediaType: SOCITypeV2, Digest: digest.FromString(SOCIConfig), Size: int64(len(SOCIConfig))},
		Subject:     x.Subject,
		Annotations: map[string]string{noteTool: x.Tool},
	}
	if x.Version == 1 {
		m.Config.MediaType = SOCITypeV1
	}
	for i := range x.Ztocs {
		m.Layers = append(m.Layers, x.Ztocs[i].Descriptor())
	}
	return json.Marshal(m)
}

// ParseSOCIIndex reads a SOCI index. What it doesn't know in it, such as lists
// of spans to fetch ahead, it passes over. Whether b is what it should be is
// the caller's to check, by its digest.
func ParseSOCIIndex(b []byte) (*SOCIIndex, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("soci index: %w", err)
	}
	x := &SOCIIndex{Version: 2, Tool: m.Annotations[noteTool], Subject: m.Subject}
	switch m.Config.MediaType {
	case SOCITypeV1:
		x.Version = 1
	case SOCITypeV2:
	default:
		return nil, fmt.Errorf("soci index: a config of type %q", m.Config.MediaType)
	}
	for _, d := range m.Layers {
		if d.MediaType != ztocType || d.Annotations[noteLayer] == "" {
			continue
		}
		z := SOCIZtoc{Digest: d.Digest, Size: d.Size, Layer: digest.Digest(d.Annotations[noteLayer]), LayerType: d.Annotations[noteLayerType]}
		if s, err := strconv.ParseUint(d.Annotations[noteSpan], 10, 63); err == nil {
			z.Span = int64(s)
		}
		if err := errors.Join(z.Digest.Validate(), z.Layer.Validate()); err != nil || z.Size < 0 || z.Size > math.MaxInt32 {
			return nil, fmt.Errorf("soci index: a zTOC %s of %d bytes, of layer %q", z.Digest, z.Size, z.Layer)
		}
		x.Ztocs = append(x.Ztocs, z)
	}
	return x, nil
}
