package convert

import (
	"maps"
	"strings"

	"ocifs.dev/ocifs/fs/image"
)

// stale are the prefixes of annotations that speak of a blob's bytes, or of an
// index of them, and so can't be kept when the blob is written anew.
var stale = []string{
	"containerd.io/snapshot/stargz/",
	"containerd.io/snapshot/remote/",
	"io.containers.estargz.",
	"io.containers.zstd-chunked.",
	"io.github.containers.zstd-chunked.",
	"com.amazon.soci.",
	image.IndexNote,
}

// keep are the annotations that hold for the converted thing, too; nil if
// there are none.
func keep(a map[string]string) map[string]string {
	var kept map[string]string
	for k, v := range a {
		if !isStale(k) {
			kept = merge(kept, map[string]string{k: v})
		}
	}
	return kept
}

func isStale(key string) bool {
	for _, p := range stale {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// merge adds b to a, which may be nil.
func merge(a, b map[string]string) map[string]string {
	if a == nil {
		return maps.Clone(b)
	}
	maps.Copy(a, b)
	return a
}
