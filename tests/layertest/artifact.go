package layertest

import (
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Blob is one of an [Artifact]'s.
type Blob struct {
	MediaType   string
	Body        []byte
	Annotations map[string]string
}

// An Artifact is a manifest of something that is no image.
type Artifact struct {
	Type        string // artifactType; "": only the configuration's type tells
	Config      Blob   // the zero value: OCI's empty one
	Blobs       []Blob
	Subject     Document          // what it refers to; nil: nothing
	Platform    *ocispec.Platform // for the descriptor in an index; nil: none
	Annotations map[string]string // of the manifest
	Tag         string
}

func (a Artifact) tag() string { return a.Tag }

var _ Document = Artifact{}

func (a Artifact) add(s Store) ocispec.Descriptor {
	m := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: a.Type,
		Config:       s.put(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data),
		Layers:       []ocispec.Descriptor{},
		Subject:      subject(s, a.Subject),
		Annotations:  a.Annotations,
	}
	if a.Config.MediaType != "" {
		m.Config = a.Config.add(s)
	}
	for _, b := range a.Blobs {
		m.Layers = append(m.Layers, b.add(s))
	}
	d := s.putJSON(m.MediaType, m)
	d.ArtifactType, d.Platform = a.Type, a.Platform
	return d
}

func (b Blob) add(s Store) ocispec.Descriptor {
	d := s.put(b.MediaType, b.Body)
	d.Annotations = b.Annotations
	return d
}

// subject is what a manifest says of the document that it refers to.
func subject(s Store, d Document) *ocispec.Descriptor {
	if d == nil {
		return nil
	}
	to := d.add(s)
	return &ocispec.Descriptor{MediaType: to.MediaType, Digest: to.Digest, Size: to.Size}
}
