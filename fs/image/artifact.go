package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
)

// An ocifs index is an OCI artifact that tells what reading an image's layers
// has taught, so that nobody has to read them whole again. Its subject is the
// image's manifest; for each layer it has two blobs, both annotated with the
// layer's digest: the stored table of contents (index/FORMAT.md), compressed,
// which it takes to mount; and the windows file, which is read in pieces as
// the layer is.
const (
	// IndexType is the artifactType of an ocifs index.
	IndexType = "application/vnd.ocifs.index.v1"

	tableType   = "application/vnd.ocifs.toc.v1+zstd"
	windowsType = "application/vnd.ocifs.windows.v1"

	// layerNote says which layer a blob is about; it is an annotation.
	layerNote = "dev.ocifs.layer.digest"

	// IndexNote, an annotation of an image's manifest, is the digest of an
	// ocifs index of it, which the manifest so vouches for.
	IndexNote = "dev.ocifs.index.digest"
)

// maxTable bounds a table of contents from elsewhere, compressed and not: a
// layer of ten million files has one of some 300 MB.
const maxTable = 512 << 20

// An Index is an ocifs index of an image, ready to be pushed.
type Index struct {
	Manifest []byte
	Blobs    []fetch.Content
	Layers   []IndexLayer
}

// An IndexLayer is what an index holds of one layer.
type IndexLayer struct {
	Layer          ocispec.Descriptor
	Table, Windows ocispec.Descriptor
	Entries        int
	Checkpoints    int // see index.TOC.Checkpoints
}

// Index makes an ocifs index of the image from what reading its layers has
// left in the cache; so the image must have been opened under PolicyLocal or
// PolicyOff. Its blobs can be read until the image is closed.
func (m *Image) Index(ctx context.Context) (*Index, error) {
	x := new(Index)
	blobs := []ocispec.Descriptor{}
	for _, l := range m.layers {
		if l.origin != OriginRead && l.origin != OriginCache {
			return nil, fmt.Errorf("layer %d %s: its table of contents is from elsewhere (%s)", l.n+1, l.desc.Digest, l.origin)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		contents, err := l.contents()
		if err != nil {
			return nil, fmt.Errorf("layer %d %s: %w", l.n+1, l.desc.Digest, err)
		}
		x.Blobs = append(x.Blobs, contents...)
		x.Layers = append(x.Layers, IndexLayer{l.desc, contents[0].Descriptor, contents[1].Descriptor, l.toc.NumEntries(), l.toc.Checkpoints()})
		blobs = append(blobs, contents[0].Descriptor, contents[1].Descriptor)
	}
	var err error
	x.Manifest, err = marshalIndex(m.manifest.Descriptor, blobs)
	x.Blobs = append(x.Blobs, fetch.Content{Descriptor: ocispec.DescriptorEmptyJSON})
	return x, err
}

// Free is the index's manifest without its subject: for a manifest yet to be
// written that names it (IndexNote).
func (x *Index) Free() ([]byte, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(x.Manifest, &m); err != nil {
		return nil, err
	}
	m.Subject = nil
	return marshal(m)
}

func marshalIndex(subject ocispec.Descriptor, blobs []ocispec.Descriptor) ([]byte, error) {
	subject = ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	return marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: IndexType,
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       blobs,
		Subject:      &subject,
	})
}

// smallTable bounds one of which nobody has told the length before: memory that
// has to grow is several times that in the end.
const smallTable = 32 << 20

// table is the compressed table of contents in b. Its frame tells its length,
// unless it is small.
func table(b []byte, l index.Limits) (*index.TOC, error) {
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return nil, fmt.Errorf("table of contents: %w", err)
	}
	size := h.FrameContentSize // 0 if it doesn't tell
	if size > maxTable {
		return nil, fmt.Errorf("%w: a table of contents of %d bytes", index.ErrLimit, size)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(max(size, smallTable)))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	stored, err := d.DecodeAll(b, make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("table of contents: %w", err)
	}
	return index.Parse(stored, l)
}

// compress is the form in which a table of contents is pushed.
func compress(toc *index.TOC) ([]byte, error) {
	b := toc.Append(nil)
	window := zstd.MinWindowSize // memory that a short table has no use for
	for window < min(len(b), 8<<20) {
		window *= 2
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
		zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return e.EncodeAll(b, nil), e.Close()
}

// parseIndex finds the blobs that an ocifs index has for each layer.
func parseIndex(b []byte) (map[digest.Digest]word, error) {
	var m ocispec.Manifest
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	if m.ArtifactType != IndexType {
		return nil, fmt.Errorf("an artifact of type %q", m.ArtifactType)
	}
	words := map[digest.Digest]word{}
	for _, d := range m.Layers {
		of := digest.Digest(d.Annotations[layerNote])
		if of.Validate() != nil || d.Digest.Validate() != nil || d.Size < 0 || d.Size > maxTable {
			return nil, errors.New("a blob that is no layer's")
		}
		w := words[of]
		w.origin = OriginPushed
		switch d.MediaType {
		case tableType:
			w.table = d
		case windowsType:
			w.windows = d
		}
		words[of] = w
	}
	return words, nil
}
