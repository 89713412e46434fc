package tests

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// selfIndexed are the formats that bring a table of contents, as
// stargz-snapshotter's library writes them, and as Podman does.
var selfIndexed = map[string]func(t testing.TB, archive []byte) lt.Layer{
	"eStargz": func(t testing.TB, archive []byte) lt.Layer {
		b, err := estargz.Build(io.NewSectionReader(bytes.NewReader(archive), 0, int64(len(archive))))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		blob, err := io.ReadAll(b)
		if err != nil {
			t.Fatal(err)
		}
		return lt.Layer{
			Blob: blob, MediaType: ocispec.MediaTypeImageLayerGzip, DiffID: b.DiffID(),
			Annotations: map[string]string{estargz.TOCJSONDigestAnnotation: b.TOCDigest().String()},
		}
	},
	"zstd:chunked": func(t testing.TB, archive []byte) lt.Layer {
		notes := map[string]string{}
		c := &zstdchunked.Compressor{CompressionLevel: zstd.SpeedDefault, Metadata: notes}
		b, err := estargz.Build(io.NewSectionReader(bytes.NewReader(archive), 0, int64(len(archive))), estargz.WithCompression(struct {
			estargz.Compressor
			estargz.Decompressor
		}{c, new(zstdchunked.Decompressor)}))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		blob, err := io.ReadAll(b)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := decode(blob)
		if err != nil {
			t.Fatal(err)
		}
		notes[estargz.TOCJSONDigestAnnotation] = b.TOCDigest().String()
		return lt.Layer{Blob: blob, MediaType: ocispec.MediaTypeImageLayerZstd, DiffID: digest.FromBytes(plain), Annotations: notes}
	},
	"zstd:chunked, Podman's": func(_ testing.TB, archive []byte) lt.Layer { return lt.ZstdChunked(archive, 64<<10) },
}

// simple is an image, layer by layer, of what every index can tell: none of
// these formats knows sparse files, and JSON no names that aren't UTF-8.
func simple() [][]byte {
	base := append(sizes("sizes"), lt.Dir("etc"), lt.File("etc/passwd", "root"), lt.File("etc/gone", "g"),
		lt.Hardlink("etc/same", "etc/passwd"), lt.Symlink("etc/link", "passwd"), lt.Char("null", 1, 3),
		lt.File("bin", "b", lt.Mode(0o4755), lt.Owner(7, 8), lt.Xattr("user.a", "1"), lt.Xattr("security.capability", "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")))
	top := []lt.Entry{lt.Whiteout("etc/gone"), lt.File("sizes/0", "no longer empty")}
	return [][]byte{lt.Tar(base...), lt.Tar(top...)}
}

// TestSelfIndexed mounts layers that bring a table of contents: at once, with
// a small part of them fetched, and whole, when nobody is to be trusted. Both
// show what umoci unpacks.
func TestSelfIndexed(t *testing.T) {
	needFUSE(t)
	for name, pack := range selfIndexed {
		t.Run(name, func(t *testing.T) {
			image := lt.Image{Tag: "t"}
			for _, archive := range simple() {
				image.Layers = append(image.Layers, pack(t, archive))
			}
			layout := filepath.Join(tempDir(t), "layout")
			lt.WriteLayout(t, layout, image)
			want := layout + ".want"
			lt.Unpack(t, layout, "t", want)
			reg := registrytest.Start(t, registrytest.Options{})
			if err := reg.PushLayout("app", "", layout); err != nil {
				t.Fatal(err)
			}
			size := int64(len(image.Layers[0].Blob) + len(image.Layers[1].Blob))
			u := newUser(t)
			m := u.mount(t, reg.Host+"/app:t")
			if m.read(t, "etc/passwd") != "root" {
				t.Error("a small file reads wrong")
			}
			if n := reg.Bytes(registrytest.Blob); n > size/4 {
				t.Errorf("%d of %d bytes came for one small file", n, size)
			}
			readAtRandom(t, want, m.dir)
			lt.Compare(t, want, m.dir, lt.RootAttrs)
			m.unmount(t, u)

			whole := newUser(t)
			m = whole.mount(t, reg.Host+"/app:t", "--index", "off")
			lt.Compare(t, want, m.dir, lt.RootAttrs)
			m.unmount(t, whole)
		})
	}
}

// TestSOCI mounts plain gzip layers for which the image's maker has pushed a
// SOCI index, of version 2: the manifest names it.
func TestSOCI(t *testing.T) {
	needFUSE(t)
	image := lt.Image{Tag: "t"}
	reg := registrytest.Start(t, registrytest.Options{})
	x := &index.SOCIIndex{Version: 2, Tool: index.SOCITool}
	for _, archive := range simple() {
		l := lt.GzipLayer(archive)
		image.Layers = append(image.Layers, l)
		table, err := index.BuildSOCI(t.Context(), io.NopCloser(bytes.NewReader(l.Blob)), index.SOCIOptions{Span: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		d := reg.PutBlob("", table)
		x.Ztocs = append(x.Ztocs, index.SOCIZtoc{
			Digest: d.Digest, Size: d.Size, Layer: digest.FromBytes(l.Blob), LayerType: l.MediaType, Span: 1 << 20,
		})
	}
	b, err := index.MarshalSOCIIndex(x)
	if err != nil {
		t.Fatal(err)
	}
	soci := reg.PutManifest("app", "", ocispec.MediaTypeImageManifest, b)
	image.Annotations = map[string]string{index.SOCIIndexDigest: soci.Digest.String()}
	layout := filepath.Join(tempDir(t), "layout")
	lt.WriteLayout(t, layout, image)
	if err := reg.PushLayout("app", "", layout); err != nil {
		t.Fatal(err)
	}
	want, size := layout+".want", int64(0)
	lt.Unpack(t, layout, "t", want)
	for _, l := range image.Layers {
		size += int64(len(l.Blob))
	}
	u := newUser(t)
	m := u.mount(t, reg.Host+"/app:t")
	if m.read(t, "etc/passwd") != "root" {
		t.Error("a file reads wrong")
	}
	if n := reg.Bytes(registrytest.Blob); n > size/2 {
		t.Errorf("%d of %d bytes came for one file", n, size)
	}
	readAtRandom(t, want, m.dir)
	lt.Compare(t, want, m.dir, lt.RootAttrs)
	m.unmount(t, u)
}
