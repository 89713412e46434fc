package convert

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
)

// ErrNoLayer says that no layer could be given a zTOC, or was large enough for
// one.
var ErrNoLayer = errors.New("no layer for a SOCI index: none is large enough and in a format that zTOCs know")

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

// A SOCIImage is an image with a SOCI index of version 2.
type SOCIImage struct {
	*Indexed
	Ztocs []Ztoc
}

// A Ztoc is the zTOC of a layer.
type Ztoc struct {
	index.SOCIZtoc
	Of    int // the layer's number, from 0
	Bytes []byte
}

// SOCI indexes the layers of m, and makes of it an image that names the index, as
// soci's convert does. Layers of which a zTOC can't tell right are left out, with
// a warning; if none is left, the image has no index.
func SOCI(ctx context.Context, m *image.Manifest, o SOCIOptions) (*SOCIImage, error) {
	out := new(SOCIImage)
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
	var soci []byte
	var err error
	if len(x.Ztocs) > 0 {
		if soci, err = index.MarshalSOCIIndex(x); err != nil {
			return nil, err
		}
	}
	if out.Indexed, err = indexed(m, index.SOCIIndexDigest, soci); err != nil {
		return nil, err
	}
	out.index.Platform, out.index.ArtifactType = out.image.Platform, index.SOCITypeV2
	out.index.Annotations = map[string]string{index.SOCIImageDigest: out.image.Digest.String()}
	return out, nil
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
