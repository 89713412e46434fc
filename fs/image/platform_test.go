package image_test

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fs/image"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// named is an image with one file that tells it from others.
func named(name string, p *ocispec.Platform) lt.Image {
	return lt.Image{Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("name", name)))}, Platform: p, Annotations: map[string]string{"name": name}}
}

func platform(s string) *ocispec.Platform {
	f := append(strings.Split(s, "/"), "")
	return &ocispec.Platform{OS: f[0], Architecture: f[1], Variant: f[2]}
}

// TestPlatform chooses among the images of an index.
func TestPlatform(t *testing.T) {
	list := func(names ...string) lt.Index {
		x := lt.Index{Tag: "t"}
		for _, n := range names {
			x.Manifests = append(x.Manifests, named(n, platform(n)))
		}
		return x
	}
	attestation := named("unknown/unknown", platform("unknown/unknown"))
	windows := func(version string) lt.Image {
		return named(version, &ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: version})
	}
	needs := func(feature string) lt.Image {
		return named(feature, &ocispec.Platform{OS: "linux", Architecture: "amd64", OSFeatures: []string{feature}})
	}
	bare := func(name, of string) lt.Image {
		m := named(name, nil)
		m.Config.Platform = *platform(of)
		return m
	}
	for _, c := range []struct {
		name     string
		index    lt.Document
		platform string
		want     string // the name of the image, or of the error
	}{
		{"exact", list("linux/amd64", "linux/arm64", "linux/s390x"), "linux/arm64", "linux/arm64"},
		{"the nearest variant", list("linux/arm/v5", "linux/arm/v6", "linux/arm/v8"), "linux/arm/v7", "linux/arm/v6"},
		{"a variant that is implied", list("linux/arm64/v8"), "linux/arm64", "linux/arm64/v8"},
		{"no variant that is newer", list("linux/arm/v7"), "linux/arm/v6", "no image for linux/arm/v6 (there are linux/arm/v7)"},
		{"none at all", list("linux/amd64", "windows/amd64"), "linux/riscv64", "no image for linux/riscv64 (there are linux/amd64, windows/amd64)"},
		{"no attestation", lt.Index{Tag: "t", Manifests: []lt.Document{attestation, named("it", platform("linux/amd64"))}}, "linux/amd64", "it"},
		{"only an attestation", lt.Index{Tag: "t", Manifests: []lt.Document{attestation}}, "linux/amd64", "the image index has no image for linux/amd64"},
		{"nested", lt.Index{Tag: "t", Manifests: []lt.Document{lt.Index{Manifests: []lt.Document{
			lt.Index{Manifests: []lt.Document{list("linux/amd64", "linux/arm64")}}}}}}, "linux/arm64", "linux/arm64"},
		{"a manifest list", lt.Index{Tag: "t", Docker: true, Manifests: []lt.Document{named("a", platform("linux/amd64"))}}, "linux/amd64", "a"},
		{"no platform, but in the configuration", lt.Index{Tag: "t", Manifests: []lt.Document{bare("a", "linux/arm64"), bare("b", "linux/amd64")}}, "linux/amd64", "b"},
		{"a platform goes before none", lt.Index{Tag: "t", Manifests: []lt.Document{bare("a", "linux/amd64"), named("b", platform("linux/amd64"))}}, "linux/amd64", "b"},
		{"a feature that isn't there", lt.Index{Tag: "t", Manifests: []lt.Document{needs("sse4"), named("b", platform("linux/amd64"))}}, "linux/amd64", "b"},
		{"a newer arm64", list("linux/arm/v7", "linux/arm64/v8"), "linux/arm64/v9", "linux/arm64/v8"},
		{"the nearest arm64", list("linux/arm64/v8", "linux/arm64/v8.2", "linux/arm64/v9"), "linux/arm64/v8.5", "linux/arm64/v8.2"},
		{"arm64 that runs arm", list("linux/arm/v7"), "linux/arm64", "linux/arm/v7"},
		{"a newer amd64", list("linux/386", "linux/amd64"), "linux/amd64/v3", "linux/amd64"},
		{"the nearest amd64", list("linux/amd64", "linux/amd64/v2", "linux/amd64/v4"), "linux/amd64/v3", "linux/amd64/v2"},
		{"no newer amd64", list("linux/amd64/v2"), "linux/amd64", "no image for linux/amd64 (there are linux/amd64/v2)"},
		{"a feature that is asked for", lt.Index{Tag: "t", Manifests: []lt.Document{named("b", platform("linux/amd64")), needs("sse4")}}, "linux(+sse4)/amd64", "sse4"},
		{"a feature that is missing", lt.Index{Tag: "t", Manifests: []lt.Document{needs("sse4")}}, "linux/amd64", "no image for linux/amd64 (there are linux(+sse4)/amd64)"},
		{"another version", lt.Index{Tag: "t", Manifests: []lt.Document{windows("10.0.14393")}}, "windows(10.0.17763)/amd64", "no image for windows(10.0.17763)/amd64 (there are windows(10.0.14393)/amd64)"},
		{"the version's build", lt.Index{Tag: "t", Manifests: []lt.Document{windows("10.0.20348.1"), windows("10.0.26100.2")}}, "windows(10.0.26100)/amd64", "10.0.26100.2"},
		{"a version of the system", lt.Index{Tag: "t", Manifests: []lt.Document{windows("10.0.14393"), windows("10.0.20348")}}, "windows(10.0.20348)/amd64", "10.0.20348"},
		{"a version that nobody has", lt.Index{Tag: "t", Manifests: []lt.Document{windows("10.0.17763.1"), windows("10.0.20348.2")}}, "windows(10.0.99999)/amd64",
			"no image for windows(10.0.99999)/amd64 (there are windows(10.0.17763.1)/amd64, windows(10.0.20348.2)/amd64)"},
		{"a version that is compatible", lt.Index{Tag: "t", Manifests: []lt.Document{windows("10.0.20348.1")}}, "windows(10.0.26100)/amd64", "no image for windows(10.0.26100)/amd64"},
		{"half a component", lt.Index{Tag: "t", Manifests: []lt.Document{windows("10.0.17763.1")}}, "windows(10.0.177)/amd64", "no image for windows(10.0.177)/amd64"},
		{"the beginning of a version", lt.Index{Tag: "t", Manifests: []lt.Document{windows("10.1.1"), windows("10.0.17763.1")}}, "windows(10.0)/amd64", "10.0.17763.1"},
		{"no index, another version", func() lt.Document {
			m := named("a", nil)
			m.Tag, m.Config.Platform = "t", ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.17763.1"}
			return m
		}(), "windows(10.0.99999)/amd64", "(there are windows(10.0.17763.1)/amd64)"},
		{"no index, another platform", func() lt.Document { m := bare("a", "linux/arm64"); m.Tag = "t"; return m }(), "linux/amd64", "no image for linux/amd64 (there are linux/arm64)"},
		{"not a platform", list("linux/amd64"), "linux/amd64/v1/x", `platform "linux/amd64/v1/x": more than OS/ARCH/VARIANT`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := resolve(t, layout(t, "t", c.index), c.platform)
			got := fmt.Sprint(err)
			if err == nil {
				got = lookAnnotation(t, m)
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func lookAnnotation(t *testing.T, m *image.Manifest) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(m.Raw), `"name":"`)
	name, _, _ := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("no name in %s", m.Raw)
	}
	return name
}

// deep is an index nested n deep.
func deep(n int) lt.Index {
	x := lt.Index{Tag: "t", Manifests: []lt.Document{named("it", platform("linux/amd64"))}}
	for range n - 1 {
		x = lt.Index{Tag: "t", Manifests: []lt.Document{x}}
	}
	return x
}

// TestNesting follows sane depths only, and reads no document twice.
func TestNesting(t *testing.T) {
	if m, err := resolve(t, layout(t, "t", deep(8)), "linux/amd64"); err != nil || lookAnnotation(t, m) != "it" {
		t.Errorf("8 deep: %v", err)
	}
	if _, err := resolve(t, layout(t, "t", deep(9)), "linux/amd64"); err == nil || !strings.Contains(err.Error(), "nested more than 8 deep") {
		t.Errorf("9 deep: %v", err)
	}
	if m, err := resolve(t, laughs(t, 7), "linux/amd64"); err != nil || lookAnnotation(t, m) != "it" {
		t.Errorf("a billion paths: %v", err)
	}
}

// TestParsePlatform reads platforms as people write them.
func TestParsePlatform(t *testing.T) {
	for s, want := range map[string]string{
		"linux/arm64": "linux/arm64", "linux/arm/v7": "linux/arm/v7", "Linux/x86_64": "linux/amd64", "arm64": runtime.GOOS + "/arm64",
		"windows(10.0.20348)/amd64": "windows(10.0.20348)/amd64", "linux(+b+a)/amd64": "linux(+a+b)/amd64",
		"windows(10.0.1+win32k)/amd64": "windows(10.0.1+win32k)/amd64",
	} {
		if p, err := image.ParsePlatform(s); err != nil || image.FormatPlatform(p) != want {
			t.Errorf("%s: %s, %v", s, image.FormatPlatform(p), err)
		}
	}
	for s, want := range map[string]string{
		"bogus": "neither an architecture", "linux": "without an architecture", "windows(10.0.1)": "without an architecture",
		"linux/amd64/v1/x": "more than", "linux/": "not of the form", "linux(/amd64": "not of the form", "*": "neither", "linux/a b": "not of the form", "": "neither",
	} {
		if p, err := image.ParsePlatform(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", s, p, err)
		}
	}
}

// TestManyManifests finds the nested index behind any number of manifests that
// need not be read.
func TestManyManifests(t *testing.T) {
	x := lt.Index{Tag: "t"}
	for i := range 300 {
		x.Manifests = append(x.Manifests, named(strconv.Itoa(i), platform("linux/arm64")))
	}
	x.Manifests = append(x.Manifests, lt.Index{Manifests: []lt.Document{named("it", platform("linux/amd64"))}})
	if m, err := resolve(t, layout(t, "t", x), "linux/amd64"); err != nil || lookAnnotation(t, m) != "it" {
		t.Error(err)
	}
}

// TestUnlabelled looks for a platform in so many configurations and no more.
func TestUnlabelled(t *testing.T) {
	for n, want := range map[int]string{200: "no image for linux/amd64", 300: "more than 256 documents"} {
		x := lt.Index{Tag: "t"}
		for i := range n {
			m := named(strconv.Itoa(i), nil)
			m.Config.Platform = *platform("linux/arm64")
			x.Manifests = append(x.Manifests, m)
		}
		if _, err := resolve(t, layout(t, "t", x), "linux/amd64"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

// laughs is a layout of n nested indexes, each of which lists the next one a
// hundred times.
func laughs(t *testing.T, n int) string {
	dir := t.TempDir()
	lt.WriteLayout(t, dir, named("it", platform("linux/amd64")))
	b, err := os.ReadFile(dir + "/index.json")
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		d := digest.FromBytes(b)
		if err := os.WriteFile(dir+"/blobs/sha256/"+d.Encoded(), b, 0o644); err != nil {
			t.Fatal(err)
		}
		next := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: d, Size: int64(len(b))}
		x := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: slices.Repeat([]ocispec.Descriptor{next}, 100)}
		x.Manifests[0].Annotations = map[string]string{ocispec.AnnotationRefName: "t"}
		if b, err = json.Marshal(x); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/index.json", b, 0o644); err != nil {
		t.Fatal(err)
	}
	return "oci:" + dir + ":t"
}
