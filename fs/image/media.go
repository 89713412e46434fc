package image

import (
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/index"
)

// LayerFormat says how the layer at d is stored, going by its media type; the
// layer's first bytes have the last word. What is no layer of a root file
// system, or can't be read, is an ErrUnsupported that says why.
func LayerFormat(d ocispec.Descriptor) (index.Format, error) {
	mt, encrypted := strings.CutSuffix(d.MediaType, "+encrypted")
	switch {
	case encrypted:
		return 0, fmt.Errorf("%w (%s)", ErrEncrypted, d.MediaType)
	case strings.Contains(mt, ".nondistributable."), strings.Contains(mt, ".foreign."):
		at := ""
		if len(d.URLs) > 0 {
			at = " at " + strings.Join(d.URLs, ", ")
		}
		return 0, fmt.Errorf("%w%s (%s)", ErrForeign, at, d.MediaType)
	}
	for _, prefix := range layerTypes {
		suffix, ok := strings.CutPrefix(mt, prefix)
		if !ok {
			continue
		}
		switch suffix {
		case "":
			return index.Tar, nil
		case "+gzip", ".gzip":
			return index.Gzip, nil
		case "+zstd", ".zstd":
			return index.Zstd, nil
		}
	}
	return 0, fmt.Errorf("%w: a layer of the media type %q", ErrUnsupported, d.MediaType)
}

// layerTypes are the media types of tar layers, but for the compression.
var layerTypes = []string{
	ocispec.MediaTypeImageLayer,
	"application/vnd.docker.image.rootfs.diff.tar",
}
