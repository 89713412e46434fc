package tests

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// truth is a layer about which tables of contents lie: that its shell is
// setuid.
func truth() []byte {
	return lt.Tar(lt.Dir("bin"), lt.File("bin/sh", text(300_000), lt.Mode(0o755)), lt.File("etc", "x"))
}

// TestLyingTables mounts layers whose tables of contents have the digest that
// the manifest promises, and don't tell what is in the archive: the manifest
// vouches for them, so they are believed, unless one asks for more.
func TestLyingTables(t *testing.T) {
	needFUSE(t)
	for name, publish := range map[string]func(t *testing.T) []lt.Document{
		"eStargz": func(t *testing.T) []lt.Document {
			return []lt.Document{lt.Image{Tag: "t", Layers: []lt.Layer{lyingStargz(t)}}}
		},
		"eStargz with a TOC image": func(t *testing.T) []lt.Document {
			layer, table := apart(t, truth())
			lie := tableOf(t, table.Blob)
			layer.Annotations[estargz.TOCJSONDigestAnnotation] = digest.FromBytes(lie).String()
			table.Blob = archived(t, lie)
			return []lt.Document{lt.Image{Tag: "t", Layers: []lt.Layer{layer}}, lt.Image{Tag: "t-esgztoc", Layers: []lt.Layer{table}}}
		},
		"zstd:chunked": func(t *testing.T) []lt.Document {
			return []lt.Document{lt.Image{Tag: "t", Layers: []lt.Layer{lyingChunked(t)}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			layout := filepath.Join(tempDir(t), "layout")
			lt.WriteLayout(t, layout, publish(t)...)
			reg := registrytest.Start(t, registrytest.Options{})
			if err := reg.PushLayout("app", "", layout); err != nil {
				t.Fatal(err)
			}
			const difference = `"bin/sh": the table of contents has another mode than the layer: 0104755, not 0100755`
			for _, ref := range []string{reg.Host + "/app:t", "oci:" + layout + ":t"} {
				u := newUser(t)
				for range 2 { // the second time, the cache knows the layer
					if said := u.refused(t, exitIntegrity, "mount", "--verify=full", ref, tempDir(t)); !strings.Contains(said, difference) || !strings.Contains(said, "ocifs: hint: ") {
						t.Errorf("it says %s", said)
					}
				}
				if said := u.refused(t, exitIntegrity, "index", "verify", ref); !strings.Contains(said, difference) {
					t.Errorf("index verify says %s", said)
				}
				m := u.mount(t, ref, "--index=local")
				if fi, err := os.Stat(m.path("bin/sh")); err != nil || fi.Mode() != 0o755 {
					t.Errorf("read whole, it shows %v, %v", fi.Mode(), err)
				}
				m.unmount(t, u)
			}
		})
	}
}

// lyingStargz is truth as an eStargz layer that lies.
func lyingStargz(t *testing.T) lt.Layer {
	t.Helper()
	honest := selfIndexed["eStargz"](t, truth())
	off, _, err := estargz.OpenFooter(io.NewSectionReader(bytes.NewReader(honest.Blob), 0, int64(len(honest.Blob))))
	if err != nil {
		t.Fatal(err)
	}
	lie := tableOf(t, honest.Blob[off:])
	blob := append(honest.Blob[:off:off], archived(t, lie)...)
	blob = append(blob, estargz.CreateGzipFooter(fmt.Appendf(nil, "SG\x16\x00%016xSTARGZ", off))...)
	plain, err := decode(blob)
	if err != nil {
		t.Fatal(err)
	}
	l := lt.NewLayer(plain, blob, ocispec.MediaTypeImageLayerGzip)
	l.Annotations = map[string]string{estargz.TOCJSONDigestAnnotation: digest.FromBytes(lie).String()}
	return l
}

// tableOf is the table of contents that a gzipped archive begins with, made to
// lie.
func tableOf(t *testing.T, member []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(member))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(z)
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	var toc estargz.JTOC
	if err := json.NewDecoder(r).Decode(&toc); err != nil {
		t.Fatal(err)
	}
	for _, e := range toc.Entries {
		if e.Name == "bin/sh" && e.Type == "reg" {
			e.Mode = 0o4755
		}
	}
	b, err := json.Marshal(toc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// archived is a table of contents as eStargz stores it.
func archived(t *testing.T, table []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: estargz.TOCTarName, Size: int64(len(table))}); err != nil {
		t.Fatal(err)
	}
	w.Write(table)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return lt.Gzip(b.Bytes(), 6)
}

// lyingChunked is truth as a zstd:chunked layer that lies.
func lyingChunked(t *testing.T) lt.Layer {
	t.Helper()
	var c lt.Chunked
	c.Archive(truth(), 64<<10)
	for i := range c.Records {
		if r := &c.Records[i]; r.Name == "bin/sh" && r.Type == "reg" {
			r.Mode = 0o4755
		}
	}
	toc, err := json.Marshal(map[string]any{"version": 1, "entries": c.Records})
	if err != nil {
		t.Fatal(err)
	}
	l := c.Finish(toc)
	l.DiffID = digest.FromBytes(truth())
	return l
}

// TestLyingSetuid mounts an image whose SOCI index says that a program is setuid,
// which it is not: it can be neither run nor read, though most of the layer hasn't
// been seen.
func TestLyingSetuid(t *testing.T) {
	needFUSE(t)
	reg := registrytest.Start(t, registrytest.Options{})
	l := lt.GzipLayer(lt.Tar(lt.Dir("bin"), lt.File("bin/run", "#!/bin/sh\nexit 0\n", lt.Mode(0o751)), lt.File("much", text(3<<20))))
	const span = 1 << 18
	table, err := index.BuildSOCI(t.Context(), io.NopCloser(bytes.NewReader(l.Blob)), index.SOCIOptions{Span: span})
	if err != nil {
		t.Fatal(err)
	}
	mode := func(m int) []byte { return []byte{byte(m), byte(m >> 8), 0, 0, 0, 0, 0, 0} }
	table = bytes.Replace(table, mode(0o751), mode(0o4751), 1)
	d := reg.PutBlob("", table)
	b, err := index.MarshalSOCIIndex(&index.SOCIIndex{Version: 2, Tool: index.SOCITool, Ztocs: []index.SOCIZtoc{
		{Digest: d.Digest, Size: d.Size, Layer: digest.FromBytes(l.Blob), LayerType: l.MediaType, Span: span}}})
	if err != nil {
		t.Fatal(err)
	}
	soci := reg.PutManifest("app", "", ocispec.MediaTypeImageManifest, b)
	publish(t, reg, lt.Image{Tag: "t", Layers: []lt.Layer{l}, Annotations: map[string]string{index.SOCIIndexDigest: soci.Digest.String()}})
	m := newUser(t).mount(t, reg.Host+"/app:t")
	if fi, err := os.Stat(m.path("bin/run")); err != nil || fi.Mode() != 0o751|os.ModeSetuid {
		t.Fatalf("the lie isn't told: %v, %v", fi, err)
	}
	if err := exec.Command(m.path("bin/run")).Run(); !errors.Is(err, syscall.EIO) {
		t.Errorf("run: %v", err)
	}
	if _, err := os.ReadFile(m.path("bin/run")); !errors.Is(err, syscall.EIO) {
		t.Errorf("read: %v", err)
	}
}
