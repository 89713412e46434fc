package main

import (
	"encoding/json"
	"errors"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fs/image"
)

// An inspected is an image, for JSON, or what there is instead.
type inspected struct {
	Schema       string            `json:"schema"`
	Name         string            `json:"name"`
	Digest       string            `json:"digest"` // of what the reference points at
	MediaType    string            `json:"media_type"`
	Signed       string            `json:"signed,omitempty"`        // the digest that --verify-key was found to have signed
	Problem      string            `json:"problem,omitempty"`       // why it can't be mounted
	Platforms    []platformInfo    `json:"platforms,omitempty"`     // there is an image index
	Selected     *selectedInfo     `json:"selected,omitempty"`      // there is an image for the platform
	ArtifactType string            `json:"artifact_type,omitempty"` // it is no container image
	Subject      *descriptorInfo   `json:"subject,omitempty"`       // what the artifact is about
	Annotations  map[string]string `json:"annotations,omitempty"`   // of the manifest
	Layers       []layerDescriptor `json:"layers"`
	TOCImage     *descriptorInfo   `json:"toc_image,omitempty"` // has tables of contents of the layers
	Config       json.RawMessage   `json:"config,omitempty"`    // as the image has it
	Labels       map[string]string `json:"labels,omitempty"`
}

// A platformInfo is an entry of an image index.
type platformInfo struct {
	Platform string `json:"platform"`
	descriptorInfo
}

// A descriptorInfo is a descriptor.
type descriptorInfo struct {
	Digest    string `json:"digest"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
}

// A layerDescriptor is a layer, as far as the manifest tells, and how it would
// be read.
type layerDescriptor struct {
	descriptorInfo
	Format  string   `json:"format"`
	Lazy    bool     `json:"lazy"`               // it need not be read whole first
	Index   string   `json:"index,omitempty"`    // where what it goes by is from: an image.Origin
	Cached  int64    `json:"cached"`             // bytes of the archive inside, or of its files, that the cache has
	Decoded int64    `json:"decoded,omitempty"`  // of so many
	InPlace bool     `json:"in_place,omitempty"` // it is a file here, of which nothing is cached
	Problem string   `json:"problem,omitempty"`  // why it can't be mounted
	URLs    []string `json:"urls,omitempty"`     // where a foreign layer is kept
}

// A selectedInfo is the image for the platform.
type selectedInfo struct {
	Platform string     `json:"platform"`
	Digest   string     `json:"digest"`
	Created  *time.Time `json:"created,omitempty"`
	Size     int64      `json:"size"` // of all layers, as stored
}

func inspectJSON(u *ui, n *inspection) error {
	i := inspected{
		Schema: "ocifs.dev/inspect/v1", Name: n.Name, Digest: n.Root.Digest.String(), MediaType: n.Root.MediaType, Signed: n.Signed.String(),
		ArtifactType: n.artifact(), Layers: []layerDescriptor{}, TOCImage: n.tocs,
	}
	if n.why != nil && !errors.Is(n.why, image.ErrArtifact) { // those are shown as files
		i.Problem = n.why.Error()
	}
	if n.Index != nil {
		for _, d := range n.Index.Manifests {
			if isImage(d) {
				i.Platforms = append(i.Platforms, platformInfo{platformOf(d), infoOf(d)})
			}
		}
	}
	if m := n.Manifest; m != nil {
		i.Annotations = m.Annotations
		if m.Subject != nil {
			i.Subject = shown(*m.Subject)
		}
	}
	var size int64
	for k, d := range n.layers() {
		l := layerDescriptor{descriptorInfo: infoOf(d), Format: storage(d), URLs: d.URLs}
		if n.outlooks != nil {
			l.foreseen(n.outlooks[k])
		}
		i.Layers = append(i.Layers, l)
		size += d.Size
	}
	if m := n.image; m != nil {
		i.Selected = &selectedInfo{platformName(m.Config.Platform), m.Descriptor.Digest.String(), m.Config.Created, size}
		i.Config, i.Labels = m.RawConfig, m.Config.Config.Labels
	}
	return u.json(i)
}

func (l *layerDescriptor) foreseen(o image.Outlook) {
	if o.Err != nil {
		l.Problem = o.Err.Error()
		return
	}
	if l.Lazy = o.Origin != image.OriginRead; l.Lazy {
		l.Index, l.Cached, l.Decoded, l.InPlace = string(o.Origin), o.Cached, o.Decoded, o.InPlace
	}
}

func infoOf(d ocispec.Descriptor) descriptorInfo {
	return descriptorInfo{d.Digest.String(), d.MediaType, d.Size}
}
