package image

import (
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/index"
)

// layerFormat says how the layer at d is stored, going by its media type; 0 is
// for its first bytes to decide. What is no layer of a root file system, or
// can't be read, is an ErrUnsupported that says why.
func layerFormat(d ocispec.Descriptor) (index.Format, error) {
	mt, encrypted := strings.CutSuffix(d.MediaType, "+encrypted")
	switch {
	case encrypted:
		return 0, fmt.Errorf("%w: layer %s is encrypted (%s)", ErrUnsupported, d.Digest, d.MediaType)
	case strings.Contains(mt, ".nondistributable."), strings.Contains(mt, ".foreign."):
		return 0, fmt.Errorf("%w: layer %s is a foreign layer (%s), kept elsewhere than the image", ErrUnsupported, d.Digest, d.MediaType)
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
	return 0, fmt.Errorf("%w: layer %s has the media type %q", ErrUnsupported, d.Digest, d.MediaType)
}

// layerTypes are the media types of tar layers, but for the compression.
var layerTypes = []string{
	ocispec.MediaTypeImageLayer,
	"application/vnd.docker.image.rootfs.diff.tar",
}
