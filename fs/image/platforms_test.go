package image_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/platforms"

	"ocifs.dev/ocifs/fs/image"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestPlatforms lists the platforms of images, indexes and nested ones, told
// by descriptors, by the index above, or by the configuration alone.
func TestPlatforms(t *testing.T) {
	unlabelled := named("unlabelled", nil)
	unlabelled.Config.Platform = *platform("linux/arm/v6")
	attestation := named("attestation", platform("unknown/unknown"))
	many := lt.Index{Tag: "t"}
	for i := range 300 {
		many.Manifests = append(many.Manifests, named(strconv.Itoa(i), nil))
	}
	alone := unlabelled
	alone.Tag = "t"
	for _, c := range []struct {
		name string
		ref  string
		want string // platforms, or a part of an error
		ok   bool
	}{
		{"an image", layout(t, "t", alone), "linux/arm/v6", true},
		{"an index", layout(t, "t", lt.Index{Tag: "t", Manifests: []lt.Document{
			named("a", platform("linux/arm64")), attestation, unlabelled, named("b", platform("windows/amd64")),
		}}), "linux/arm64 linux/arm/v6 windows/amd64", true},
		{"the same twice", layout(t, "t", lt.Index{Tag: "t", Manifests: []lt.Document{unlabelled, unlabelled}}), "linux/arm/v6", true},
		{"nested", layout(t, "t", deep(8)), "linux/amd64", true},
		{"nested too deep", layout(t, "t", deep(9)), "nested more than 8 deep", false},
		{"a billion paths", laughs(t, 7), "linux/amd64", true},
		{"too many documents", layout(t, "t", many), "more than 256 documents", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, list, err := image.Platforms(context.Background(), source(t, c.ref), store(t), image.Options{})
			if err != nil {
				if c.ok || !strings.Contains(err.Error(), c.want) {
					t.Fatal(err)
				}
				return
			}
			var names []string
			for _, d := range list {
				names = append(names, platforms.Format(*d.Platform))
			}
			if got := strings.Join(names, " "); got != c.want || !c.ok {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
