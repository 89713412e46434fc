package main

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestStorage tells how layers are stored, the same each time it is asked.
func TestStorage(t *testing.T) {
	const stargz = "containerd.io/snapshot/stargz/toc.digest"
	for _, c := range []struct {
		mediaType string
		notes     map[string]string
		want      string
	}{
		{ocispec.MediaTypeImageLayer, nil, "tar"},
		{ocispec.MediaTypeImageLayerGzip, nil, "gzip"},
		{ocispec.MediaTypeImageLayerZstd, map[string]string{"other": "x"}, "zstd"},
		{ocispec.MediaTypeImageLayerGzip, map[string]string{stargz: "x"}, "estargz"},
		{ocispec.MediaTypeImageLayerZstd, map[string]string{"io.github.containers.zstd-chunked.manifest-checksum": "x"}, "zstd:chunked"},
		{ocispec.MediaTypeImageLayerZstd, map[string]string{stargz: "x", "io.containers.zstd-chunked.manifest-checksum": "x"}, "zstd:chunked"},
		{"application/octet-stream", nil, "?"},
	} {
		for range 50 { // maps are walked in another order each time
			if got := storage(ocispec.Descriptor{MediaType: c.mediaType, Annotations: c.notes}); got != c.want {
				t.Fatalf("%s %v: %s, want %s", c.mediaType, c.notes, got, c.want)
			}
		}
	}
}
