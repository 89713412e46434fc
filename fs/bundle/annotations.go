package bundle

import (
	"maps"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotations are the image's labels, and what conversion.md derives from the
// rest of its configuration; labels win.
func annotations(c ocispec.Image) map[string]string {
	a := map[string]string{}
	set := func(key, value string) {
		if value != "" {
			a["org.opencontainers.image."+key] = value
		}
	}
	set("os", c.OS)
	set("architecture", c.Architecture)
	set("variant", c.Variant)
	set("os.version", c.OSVersion)
	set("os.features", strings.Join(c.OSFeatures, ","))
	set("author", c.Author)
	if c.Created != nil {
		set("created", c.Created.Format(time.RFC3339Nano))
	}
	set("stopSignal", c.Config.StopSignal)
	set("exposedPorts", strings.Join(slices.Sorted(maps.Keys(c.Config.ExposedPorts)), ","))
	maps.Copy(a, c.Config.Labels)
	delete(a, "") // a key may not be empty in a bundle
	return a
}
