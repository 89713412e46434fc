package tests

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// readmeRegistry has an image for each name in README.md's sessions. It returns
// the registry's host, and the key that ghcr.io/o/r is signed with.
func readmeRegistry(t *testing.T) (host string, key []byte) {
	t.Helper()
	reg := registrytest.Start(t, registrytest.Options{Writable: true, Referrers: registrytest.ReferrersAPI{API: true}})
	key, sign := signer(t)
	shop, web := readmeShop()
	tagged := func(tag string, layers ...lt.Layer) lt.Image { return lt.Image{Tag: tag, Layers: layers} }
	python := pythonImages(t)
	one, two := tagged("v1", program(7)...), tagged("v2", program(6)...)
	for repo, documents := range map[string][]lt.Document{
		"machine":        {tagged("latest", etc("hello\n")), tagged("estargz", program(2)...)},
		"go":             {tagged("v1", lt.GzipLayer(lt.Tar(lt.File("usr/local/go/src/fmt/print.go", text(30_000)), lt.File("usr/local/go/bin/go", text(12<<20)))))},
		"python":         python,
		"library/python": python,
		"shop":           shop,
		"web":            web,
		"o/r":            {one, two, sign(one)},
	} {
		dir := filepath.Join(tempDir(t), "layout")
		lt.WriteLayout(t, dir, documents...)
		if err := reg.PushLayout(repo, "", dir); err != nil {
			t.Fatal(err)
		}
	}
	return reg.Host, key
}

// etc is a layer with a message of the day.
func etc(motd string) lt.Layer {
	return lt.GzipLayer(lt.Tar(lt.Dir("etc"), lt.File("etc/motd", motd), lt.File("etc/os-release", "ID=readme\n")))
}

// program is an image of so many layers, all of which but one can be read in
// pieces, with a program in the base.
func program(layers int) []lt.Layer {
	l := []lt.Layer{lt.ZstdChunked(lt.Tar(lt.Dir("bin"), lt.File("bin/program", text(300_000), lt.Mode(0o755))), 64<<10), etc("hi\n")}
	for i := range layers - len(l) {
		l = append(l, lt.ZstdChunked(lt.Tar(lt.File(fmt.Sprintf("layer-%d", i), text(1000+i))), 64<<10))
	}
	return l
}

// pythonImages are image indexes for two platforms; for this machine's, the probe
// is python3.
func pythonImages(t *testing.T) (images []lt.Document) {
	t.Helper()
	for i, tag := range []string{"3.13", "3.13.0", "3.13.1"} {
		image := probeImage(t, ocispec.ImageConfig{Entrypoint: []string{}, Cmd: []string{"python3", "-c", "print(6*7)"}})
		image = withMountpoints(image)
		image.Layers = append(image.Layers, etc("python\n"), lt.GzipLayer(lt.Tar(
			lt.Symlink("bin/python3", "probe"), lt.Dir("usr"), lt.Dir("usr/bin"),
			lt.File("usr/bin/su", fmt.Sprintf("su %d\n", min(i, 1)), lt.Mode(0o4755)),
		)))
		image.Tag = ""
		there := "arm64"
		if runtime.GOARCH == there {
			there = "amd64"
		}
		other := image
		other.Layers = image.Layers[1:] // without the probe, which is for here
		image.Platform, image.Config.Architecture = linux(runtime.GOARCH), runtime.GOARCH
		other.Platform, other.Config.Architecture = linux(there), there
		images = append(images, lt.Index{Tag: tag, Manifests: []lt.Document{image, other}})
	}
	return images
}

// readmeShop is a Compose application with its images, and an image to which
// another application refers.
func readmeShop() (shop, web []lt.Document) {
	front, db := multi("", "web"), multi("", "db")
	app := composition("", nil, "web", "o/web@"+digestOf(front).String(), "db", "o/db@"+digestOf(db).String())
	app.Blobs = append(app.Blobs, lt.Blob{
		MediaType: "application/vnd.docker.compose.file+yaml", Body: []byte("services: {}\n"),
		Annotations: map[string]string{"com.docker.compose.file": "image-digests.yaml"},
	})
	image := multi("latest", "image")
	loose := composition("", image, "only", "web:latest")
	return []lt.Document{lt.Index{Tag: "v2", Manifests: []lt.Document{app, front, db}}}, []lt.Document{image, loose}
}

// signer makes a key, in PEM, and what signs images with it as cosign does.
func signer(t *testing.T) (public []byte, sign func(lt.Document) lt.Document) {
	t.Helper()
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", ed25519.SeedSize)))
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), func(d lt.Document) lt.Document {
		payload := fmt.Appendf(nil, `{"critical":{"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"}}`, digestOf(d))
		return lt.Artifact{Type: "application/vnd.dev.cosign.artifact.sig.v1+json", Subject: d, Blobs: []lt.Blob{{
			MediaType: "application/vnd.dev.cosign.simplesigning.v1+json", Body: payload,
			Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(ed25519.Sign(private, payload))},
		}}}
	}
}
