package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrUnsupported says that something is of a kind that ocifs doesn't read. The
// others, which are ErrUnsupported, too, say why.
var (
	ErrUnsupported = errors.New("unsupported")
	ErrSchema1     = fmt.Errorf("%w: a Docker schema 1 manifest, which was retired in 2019", ErrUnsupported)
	ErrArtifact    = fmt.Errorf("%w: not a container image", ErrUnsupported)
	ErrEncrypted   = fmt.Errorf("%w: an encrypted layer", ErrUnsupported)
	ErrForeign     = fmt.Errorf("%w: a foreign layer, kept elsewhere than the image", ErrUnsupported)
)

// The media types of Docker's documents, which mean the same as OCI's.
const (
	dockerList      = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest  = "application/vnd.docker.distribution.manifest.v2+json"
	dockerSchema1   = "application/vnd.docker.distribution.manifest.v1"
	dockerContainer = "application/vnd.docker.container.image.v1+json"
)

// A document is a manifest or an image index, verified and parsed.
type document struct {
	desc     ocispec.Descriptor // with its true media type
	raw      []byte
	index    *ocispec.Index    // one of these two
	manifest *ocispec.Manifest //
}

// load reads and parses the document at d.
func (r *resolver) load(ctx context.Context, d ocispec.Descriptor) (*document, error) {
	b, err := r.read(ctx, d)
	if err != nil {
		return nil, err
	}
	d.Size = int64(len(b))
	doc, err := parse(d, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Digest, err)
	}
	return doc, nil
}

// A head is what tells documents apart.
type head struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	Manifests     json.RawMessage `json:"manifests"`
	Config        json.RawMessage `json:"config"`
	Layers        json.RawMessage `json:"layers"`
	FSLayers      json.RawMessage `json:"fsLayers"`
}

func (h *head) schema1() bool { return h.SchemaVersion == 1 || h.FSLayers != nil }

// ownType is what a document says or shows of its media type, "" if nothing.
func ownType(b []byte) string {
	var h head
	switch {
	case unmarshal(b, &h) != nil:
		return ""
	case h.MediaType == "" && h.schema1():
		return dockerSchema1 + "+json"
	case h.MediaType == "" && h.Manifests == nil && h.Config == nil && h.Layers == nil:
		return ""
	}
	return mediaType(h.MediaType, h.Manifests != nil)
}

// parse decides by media type what a document is, and refuses one that could
// be taken for two things (CVE-2021-41190).
func parse(d ocispec.Descriptor, b []byte) (*document, error) {
	var head head
	if err := unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("not a manifest: %w", err)
	}
	if head.schema1() || strings.HasPrefix(d.MediaType, dockerSchema1) {
		return nil, ErrSchema1
	}
	if head.MediaType != "" && d.MediaType != "" && head.MediaType != d.MediaType && !twins(head.MediaType, d.MediaType) {
		return nil, fmt.Errorf("its descriptor says %q, but it says %q", d.MediaType, head.MediaType)
	}
	isIndex, isManifest := head.Manifests != nil, head.Config != nil || head.Layers != nil
	if isIndex && isManifest {
		return nil, errors.New("both an image index and a manifest")
	}
	doc := &document{desc: d, raw: b}
	if doc.desc.MediaType == "" || head.MediaType != "" {
		doc.desc.MediaType = mediaType(head.MediaType, isIndex)
	}
	switch doc.desc.MediaType {
	case ocispec.MediaTypeImageIndex, dockerList:
		if isManifest {
			return nil, fmt.Errorf("a manifest under the media type %q", doc.desc.MediaType)
		}
		doc.index = new(ocispec.Index)
		return doc, unmarshal(b, doc.index)
	case ocispec.MediaTypeImageManifest, dockerManifest:
		if isIndex || !isManifest {
			return nil, fmt.Errorf("no manifest under the media type %q", doc.desc.MediaType)
		}
		doc.manifest = new(ocispec.Manifest)
		return doc, unmarshal(b, doc.manifest)
	}
	return nil, fmt.Errorf("%w: the media type %q is neither an image index's nor a manifest's", ErrUnsupported, doc.desc.MediaType)
}

// twins says whether two media types mean the same: Docker's, and what OCI made
// of it. Some tools write the one into a descriptor of the other.
func twins(a, b string) bool {
	oci := func(t string) string {
		switch t {
		case dockerList:
			return ocispec.MediaTypeImageIndex
		case dockerManifest:
			return ocispec.MediaTypeImageManifest
		}
		return t
	}
	return oci(a) == oci(b)
}

// mediaType is the type of a document that no descriptor tells: what it says
// itself, or, as OCI lets it be silent, what it looks like.
func mediaType(own string, isIndex bool) string {
	switch {
	case own != "":
		return own
	case isIndex:
		return ocispec.MediaTypeImageIndex
	}
	return ocispec.MediaTypeImageManifest
}

// isImage says why the manifest at doc is none of a container image, if so.
func isImage(doc *document) error {
	m := doc.manifest
	if isImageConfig(m.Config.MediaType) {
		return nil
	}
	what := fmt.Sprintf("an artifact of type %q", artifactType(m))
	if artifactType(m) == "" {
		what = "a manifest without a configuration"
	}
	return fmt.Errorf("%s: %w, but %s", doc.desc.Digest, ErrArtifact, what)
}

func isImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == dockerContainer
}

// artifactType is what an artifact says it is.
func artifactType(m *ocispec.Manifest) string {
	if m.ArtifactType != "" {
		return m.ArtifactType
	}
	return m.Config.MediaType
}
