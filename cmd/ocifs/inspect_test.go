package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestInspectLayers tells how each layer would be read, before and after it was.
func TestInspectLayers(t *testing.T) {
	w := newWorld(t)
	table := func() string {
		text := w.ok("inspect", w.ref)
		return text[strings.Index(text, "#  DIGEST"):]
	}
	if got := table(); strings.Count(got, "one pass first, then lazy") != 2 {
		t.Errorf("unread:\n%s", got)
	}
	w.ok("layers", w.ref)
	if got := table(); strings.Count(got, "cached: 100 %") != 2 || !strings.Contains(got, "1  sha256:") || !strings.Contains(got, "  zstd  ") {
		t.Errorf("read:\n%s", got)
	}
	var i inspected
	w.decode(&i, "inspect", "--json", w.ref)
	if l := i.Layers[1]; !l.Lazy || l.Index != "cache" || l.Cached == 0 || l.Cached != l.Decoded {
		t.Errorf("%+v", l)
	}
	i = inspected{}
	w.decode(&i, "inspect", "--json", "--index=off", w.ref)
	if l := i.Layers[1]; l.Lazy || l.Index != "" {
		t.Errorf("%+v", l)
	}
	lt.WriteLayout(t, w.in("plain"), lt.Image{Layers: []lt.Layer{lt.Plain(lt.Tar(lt.File("f", "x")))}})
	w.ok("layers", "oci:"+w.in("plain"))
	if got := w.ok("inspect", "oci:"+w.in("plain")); !strings.Contains(got, "  read where it lies  ") {
		t.Errorf("an archive in a layout:\n%s", got)
	}
	if got := w.ok("inspect", w.withTOC()); !strings.Contains(got, "  estargz  ") || !strings.Contains(got, "  lazy: eStargz TOC  ") {
		t.Errorf("with a table of contents of its own:\n%s", got)
	}
}

// withTOC is an image whose manifest tells of a table of contents.
func (w *world) withTOC() string {
	l := lt.GzipLayer(lt.Tar(lt.File("f", "x")))
	l.Annotations = map[string]string{"containerd.io/snapshot/stargz/toc.digest": digest.FromString("x").String()}
	lt.WriteLayout(w.t, w.in("toc"), lt.Image{Layers: []lt.Layer{l}})
	return "oci:" + w.in("toc")
}

// TestInspectOdd shows what is there, also where it can't be mounted, and has
// mounts refuse that in one line with a hint that helps, or none.
func TestInspectOdd(t *testing.T) {
	w := newWorld(t)
	tar := lt.Tar(lt.File("f", "x"))
	foreign := lt.NewLayer(tar, tar, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
	foreign.URLs = []string{"https://example.com/layer"}
	const blob = `{"mediaType":"text/x","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"annotations":{"org.opencontainers.image.title":"notes"}}`
	raw := func(tag, doc string) lt.Image { return lt.Image{Tag: tag, Manifest: []byte(doc)} }
	lt.WriteLayout(t, w.in("odd"),
		raw("schema1", `{"schemaVersion":1,"name":"x","fsLayers":[]}`),
		lt.Artifact{Tag: "artifact", Type: "application/x.y", Blobs: []lt.Blob{{MediaType: "text/x", Body: []byte("{}"), Annotations: map[string]string{ocispec.AnnotationTitle: "notes"}}}},
		raw("bare", `{"schemaVersion":2,"layers":[`+blob+`]}`),
		lt.Image{Tag: "encrypted", Layers: []lt.Layer{lt.NewLayer(tar, tar, ocispec.MediaTypeImageLayerGzip+"+encrypted")}},
		lt.Image{Tag: "foreign", Layers: []lt.Layer{foreign}},
		lt.Image{Tag: "squashfs", Layers: []lt.Layer{lt.NewLayer(tar, tar, "application/vnd.sylabs.image.layer.v1.squashfs")}},
		lt.Image{Tag: "long", Layers: []lt.Layer{lt.NewLayer(tar, []byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"), ocispec.MediaTypeImageLayerZstd)}},
		lt.Image{Tag: "xz", Layers: []lt.Layer{lt.NewLayer(tar, []byte("\xfd7zXZ\x00 and so on"), ocispec.MediaTypeImageLayer)}},
	)
	for _, c := range []struct {
		tag   string
		shown []string // by inspect
		said  string   // by all that would read it; what ls lists, if that works
	}{
		{"schema1", []string{"Mountable   no: sha256:", "ocifs inspect --raw prints it"}, "ocifs: hint: copy it into a newer form"},
		{"artifact", []string{"Artifact    application/x.y\n", "Mountable   as files\n", "Config      sha256:44136fa355b3  application/vnd.oci.empty.v1+json  2 B\n", "  text/x      2 B   notes\n"}, "notes\n"},
		{"bare", []string{"Mountable   as files\n", "  text/x  "}, "notes\n"},
		{"encrypted", []string{"  unsupported: an encrypted layer ("}, "layer 1 sha256:"},
		{"foreign", []string{"  unsupported: a foreign layer, kept elsewhere than the image at https://example.com/layer ("}, "at https://example.com/layer (application"},
		{"squashfs", []string{"  application/vnd.sylabs.image.layer.v1.squashfs  "}, "ocifs: hint: ocifs inspect shows what it is\n"},
		{"long", []string{"one pass first"}, "over the limit: a zstd frame needs a window of 2048 MiB, and 128 MiB is allowed\nocifs: hint: compress it anew"},
		{"xz", []string{"one pass first"}, "unsupported: a layer compressed with xz\nocifs: hint: tar, gzip and zstd"},
	} {
		ref := "oci:" + w.in("odd") + ":" + c.tag
		text := w.ok("inspect", ref)
		for _, s := range c.shown {
			if !strings.Contains(text, s) {
				t.Errorf("%s: no %q in\n%s", c.tag, s, text)
			}
		}
		if out := w.ok("inspect", "--raw", ref); !json.Valid([]byte(out)) {
			t.Errorf("%s: %q", c.tag, out)
		}
		var i inspected
		w.decode(&i, "inspect", "--json", ref)
		if !strings.HasPrefix(c.said, "notes") {
			w.fails(exitUnsupported, c.said, "ls", ref)
		} else if out := w.ok("ls", ref); out != c.said {
			t.Errorf("%s: ls lists %q", c.tag, out)
		}
	}
}

// TestInspectPlatforms shows an index, whatever platforms it has, and prints
// what the reference points at byte for byte.
func TestInspectPlatforms(t *testing.T) {
	w := newWorld(t)
	image := func(arch string) lt.Image {
		return lt.Image{Layers: []lt.Layer{lt.Plain(lt.Tar(lt.File(arch, "")))}, Platform: &ocispec.Platform{OS: "plan9", Architecture: arch}}
	}
	lt.WriteLayout(t, w.in("index"), lt.Index{Manifests: []lt.Document{image("mips"), image("arm")}})
	ref := "oci:" + w.in("index")
	text := w.ok("inspect", ref)
	for _, s := range []string{"Mountable   no: no image for linux/", "Platforms   plan9/mips plan9/arm", "  plan9/mips  "} {
		if !strings.Contains(text, s) {
			t.Errorf("no %q in\n%s", s, text)
		}
	}
	var i inspected
	w.decode(&i, "inspect", "--json", ref)
	if len(i.Platforms) != 2 || i.Selected != nil || i.Problem == "" {
		t.Errorf("%+v", i)
	}
	if raw := w.ok("inspect", "--raw", ref); digest.FromString(raw).String() != i.Digest {
		t.Errorf("raw: %s", raw)
	}
	if raw := w.ok("inspect", "--raw", "--platform=plan9/arm", ref); digest.FromString(raw).String() != i.Platforms[1].Digest {
		t.Errorf("raw, for a platform: %s", raw)
	}
	for _, args := range []string{"--platform=plan9/sparc", "--platform=plan9/sparc --raw", "--manifest", "--config"} {
		w.fails(exitNotFound, "choose one with --platform plan9/mips, plan9/arm", append(strings.Fields("inspect "+args), ref)...)
	}
	for _, p := range []string{"bogus", "linux", "linux/amd64/v1/x"} {
		w.fails(exitUsage, "ocifs: hint: as in linux/arm64", "inspect", "--platform", p, ref)
	}
}

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
