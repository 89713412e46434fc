package image_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/tree"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestAllPlatforms shows platforms side by side.
func TestAllPlatforms(t *testing.T) {
	all := image.Options{View: image.View{AllPlatforms: true}}
	other := named("again", platform("linux/amd64"))
	bare := named("bare", nil)
	bare.Config.Platform = *platform("linux/riscv64")
	windows := named("win", platform("windows/amd64"))
	windows.Platform.OSVersion = "10.0.1/../.."
	foreign := named("foreign", platform("windows/arm64"))
	foreign.Layers[0].MediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	index := lt.Index{Tag: "t", Manifests: []lt.Document{
		named("amd", platform("linux/amd64")), named("unknown", platform("unknown/unknown")), other,
		lt.Index{Manifests: []lt.Document{named("arm", platform("linux/arm/v7"))}}, bare, windows, foreign,
	}}
	ref := layout(t, "t", index)
	again := strings.TrimPrefix(digestOf(other), "sha256:")[:12]
	warned := ""
	all.Warn = func(msg string) { warned += msg }
	img, err := view(t, ref, all)
	expectShown(t, img, err, "linux-amd64/name=amd", "linux-amd64-"+again+"/name=again", "linux-arm-v7/name=arm",
		"linux-riscv64/name=bare", "windows-amd64-10.0.1_.._../name=win")
	if !strings.Contains(warned, "windows/arm64 is not shown") {
		t.Errorf("warned %q", warned)
	}
	if err == nil && img.What() != "6 platforms" {
		t.Errorf("it is called %q", img.What())
	}
	second, err := view(t, ref, all)
	if err != nil {
		t.Fatal(err)
	}
	for n := range img.Tree().Len() {
		if a, b := img.Tree().Path(tree.Node(n)), second.Tree().Path(tree.Node(n)); a != b {
			t.Fatalf("node %d is %q, and %q the second time", n, a, b)
		}
	}
	one := named("one", nil)
	one.Tag, one.Config.Platform = "t", *platform("linux/s390x")
	img, err = view(t, layout(t, "t", one), all)
	expectShown(t, img, err, "linux-s390x/name=one")
	var none *image.NoPlatformError
	if _, err := view(t, layout(t, "t", lt.Artifact{Tag: "t", Type: "x/y"}), all); !errors.As(err, &none) {
		t.Errorf("an artifact: %v", err)
	}
	if _, err := view(t, layout(t, "t", lt.Index{Tag: "t", Manifests: []lt.Document{foreign}}), all); !errors.Is(err, image.ErrUnsupported) {
		t.Errorf("nothing that can be shown: %v", err)
	}
}

// TestOneLayer shows single layers of images and artifacts.
func TestOneLayer(t *testing.T) {
	base := lt.GzipLayer(lt.Tar(lt.File("a", "1"), lt.File("d/x", "2")))
	upper := lt.GzipLayer(lt.Tar(lt.Whiteout("a"), lt.Opaque("d"), lt.File("d/y", "3")))
	m := lt.Image{Tag: "t", Layers: []lt.Layer{base, upper}}
	ref := layout(t, "t", m)
	blobOf := lt.Plain(upper.Blob).DiffID
	for _, key := range []string{"2", blobOf.String(), blobOf.Encoded()[:12], upper.DiffID.String()} {
		img, err := view(t, ref, image.Options{View: image.View{Layer: key}})
		expectShown(t, img, err, "a: 20000", "d/y=3")
		if err != nil {
			continue
		}
		d, _ := img.Tree().Lookup(tree.Root, "d")
		if got := fmt.Sprint(img.Tree().Xattrs(d)); got != "[{trusted.overlay.opaque y}]" {
			t.Errorf("the directory has %s", got)
		}
	}
	img, err := view(t, ref, image.Options{View: image.View{Layer: "1", Subpath: "d"}})
	expectShown(t, img, err, "x=2")
	for _, key := range []string{"0", "3", "-1", "x", "abcdef0", "1 "} {
		if _, err := view(t, ref, image.Options{View: image.View{Layer: key}}); !errors.Is(err, image.ErrNoLayer) {
			t.Errorf("layer %q: %v", key, err)
		}
	}
	files := layout(t, "t", lt.Artifact{Tag: "t", Type: "x/y", Blobs: []lt.Blob{blob("a/b", "1", title, "one"), blob("a/b", "2", title, "two")}})
	img, err = view(t, files, image.Options{View: image.View{Layer: "2"}})
	expectShown(t, img, err, "two=2")
}

// TestSubpath has directories of an image as roots.
func TestSubpath(t *testing.T) {
	ref := layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(
		lt.File("usr/share/doc/a", "1"), lt.Hardlink("usr/b", "usr/share/doc/a"), lt.Symlink("doc", "/usr/share/doc"), lt.Symlink("up", "../../..")))}})
	for path, want := range map[string][]string{
		"usr/share": {"doc/a=1"}, "/doc/": {"a=1"}, "doc/..": {"doc/a=1"}, "up/usr": {"b=1", "share/doc/a=1"},
	} {
		img, err := view(t, ref, image.Options{View: image.View{Subpath: path}})
		expectShown(t, img, err, want...)
	}
	for path, want := range map[string]error{"usr/b": syscall.ENOTDIR, "usr/nix": fs.ErrNotExist} {
		_, err := view(t, ref, image.Options{View: image.View{Subpath: path}})
		var p *fs.PathError
		if !errors.As(err, &p) || p.Op != image.OpSubpath || !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestSharedLayers opens a layer once that several platforms have.
func TestSharedLayers(t *testing.T) {
	shared := lt.GzipLayer(lt.Tar(lt.File("shared", "s")))
	of := func(name string) lt.Image {
		m := named(name, platform(name))
		m.Layers = slices.Insert(m.Layers, 0, shared)
		return m
	}
	img, err := view(t, layout(t, "t", lt.Index{Tag: "t", Manifests: []lt.Document{of("linux/amd64"), of("linux/arm64")}}), image.Options{View: image.View{AllPlatforms: true}})
	expectShown(t, img, err, "linux-amd64/name=linux/amd64", "linux-amd64/shared=s", "linux-arm64/name=linux/arm64", "linux-arm64/shared=s")
	if err == nil && len(img.Layers()) != 3 {
		t.Errorf("%d layers were opened, want 3", len(img.Layers()))
	}
}
