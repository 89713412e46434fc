package image

import (
	"path"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/opencontainers/go-digest"
)

// FuzzComposition reads Compose files.
func FuzzComposition(f *testing.F) {
	f.Add([]byte("services: {a: {image: x}}\n---\nservices: {a: {image: 'y:${T:-1}', extends: {file: f, service: b}}}"))
	f.Add([]byte("services: &a {b: *a}"))
	f.Add([]byte("services:\n  a:\n    extends: a\n  b: [1]\n  c: {image: {}}"))
	f.Add([]byte("a: &a [x, x]\nb: &b [*a, *a]\nservices: {a: {image: *b}}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, img := range images([][]byte{b}, map[string][]byte{"f": b}) {
			if strings.Contains(img, "$") {
				t.Errorf("%q: image %q has variables", name, img)
			}
		}
	})
}

// FuzzShape finds names for blobs.
func FuzzShape(f *testing.F) {
	f.Add("a/b", "../../x", "", "")
	f.Add("application/x-tar", "a/../b.tar", "/c//d", "true")
	f.Add("application/vnd.cncf.model.weight.v1.tar+gzip", "", "..", "")
	f.Fuzz(func(t *testing.T, mediaType, title, where, unpacked string) {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString("x"), Annotations: map[string]string{
			ocispec.AnnotationTitle: title, noteModelPath: where, noteUnpack: unpacked,
		}}
		s := shapeOf(d, false)
		for _, name := range append([]string{s.name, s.below}, others(s.name, d)...) {
			if name == "" {
				continue
			}
			if path.IsAbs(name) || path.Clean(name) != name || name == "." || strings.HasPrefix(name+"/", "../") || strings.Contains(name, "\x00") {
				t.Errorf("%q leads out of the root", name)
			}
		}
		if s.name == "" && !s.tar {
			t.Error("a file without a name")
		}
	})
}
