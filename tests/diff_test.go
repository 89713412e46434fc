package tests

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestDiffBudget compares two images in a registry that share all but a small
// layer, to the last request: metadata and digests decide, and no content is
// fetched.
func TestDiffBudget(t *testing.T) {
	base := lt.Tar(lt.Dir("usr"), lt.File("usr/big", text(3<<20)), lt.File("usr/other", text(2<<20)))
	tops := [][]byte{
		lt.Tar(lt.File("kept", text(100_000)), lt.File("changed", strings.Repeat("a", 90_000)), lt.File("gone", "x")),
		lt.Tar(lt.File("first", "x"), lt.File("kept", text(100_000)), lt.File("changed", strings.Repeat("b", 90_000))),
	}
	// eStargz's table is a file of its own.
	same := func(got string) bool {
		got, _, _ = strings.Cut(got, "M  /stargz.index.json")
		return got == "M  /changed  (content)\nA  /first\nD  /gone\n"
	}
	for name, pack := range selfIndexed {
		t.Run(name, func(t *testing.T) {
			reg := registrytest.Start(t, registrytest.Options{})
			shared := pack(t, base)
			var layers []ocispec.Descriptor
			for i, tag := range []string{"a", "b"} {
				publish(t, reg, lt.Image{Tag: tag, Layers: []lt.Layer{shared, pack(t, tops[i])}})
				_, list := layersOf(t, reg, "app", tag)
				layers = append(layers, list...)
			}
			u := newUser(t)
			args := []string{"diff", "--ignore", "mtime", reg.Host + "/app:a", reg.Host + "/app:b"}
			reg.Reset()
			// A HEAD, a manifest and a configuration for each, and one request
			// for the table of each of three layers.
			if got := u.ok(t, args...); !same(got) {
				t.Errorf("%s", got)
			}
			onlyPieces(t, reg, layers[:1])
			expect(t, reg, "a first diff", map[registrytest.Kind]int{registrytest.Manifest: 4, registrytest.Blob: 2 + 3})
			if got := u.ok(t, args...); !same(got) {
				t.Errorf("%s", got)
			}
			expect(t, reg, "a second one", map[registrytest.Kind]int{registrytest.Manifest: 2})
		})
	}
}

// TestDiffLayers fetches no layer of images that have the same ones, and each
// once that has no table of contents.
func TestDiffLayers(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	shared := lt.GzipLayer(lt.Tar(lt.File("base", text(100_000))))
	configured := lt.Image{Tag: "b", Layers: []lt.Layer{shared}}
	configured.Config.Config.Env = []string{"A=1"}
	publish(t, reg, lt.Image{Tag: "a", Layers: []lt.Layer{shared}})
	publish(t, reg, configured)
	publish(t, reg, lt.Image{Tag: "c", Layers: []lt.Layer{shared, lt.GzipLayer(lt.Tar(lt.File("top", "x")))}})
	u := newUser(t)
	reg.Reset()
	if got := u.ok(t, "diff", reg.Host+"/app:a", reg.Host+"/app:b"); got != "C  Env\n" {
		t.Errorf("%s", got)
	}
	expect(t, reg, "the same layers", map[registrytest.Kind]int{registrytest.Manifest: 4, registrytest.Blob: 2})
	if got := u.ok(t, "diff", "--index=local", reg.Host+"/app:b", reg.Host+"/app:c"); got != "C  Env\nA  /top\n" {
		t.Errorf("%s", got)
	}
	expect(t, reg, "one layer more", map[registrytest.Kind]int{registrytest.Manifest: 3, registrytest.Blob: 1 + 2})
}

// TestDiffUnpacked compares images with what umoci unpacks of them: there is
// no difference; and with another packing of the same layers, for which
// nothing is read.
func TestDiffUnpacked(t *testing.T) {
	images := fixture(t)
	u := newUser(t)
	for _, other := range []string{images.want, "oci:" + images.layout + ":p6", "oci:" + images.layout + ":docker"} {
		if got := u.ok(t, "diff", "--exit-code", "oci:"+images.layout+":p1", other); got != "" {
			t.Errorf("%s:\n%s", other, got)
		}
	}
}
