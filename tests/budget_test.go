package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// A budget is what an image in one format may cost, beside the three requests
// that resolve a tag: HEAD, manifest and configuration.
type budget struct {
	name string
	// publish has an image of these layers in reg, as app:t, and returns how
	// many bytes of tables of contents a mount needs.
	publish func(t *testing.T, reg *registrytest.Server, archives [][]byte) (tables int64)

	manifests int   // requests for other manifests
	referrers int   // requests for lists of them
	perLayer  int   // requests for blobs to mount, at most 2
	perRead   int   // requests for one contiguous piece: 1, and perhaps a page of windows, at once
	bytes     int64 // the read's, at most
}

var budgets = []budget{
	{"eStargz", brought("eStargz", endOf), 0, 0, 1, 1, 4 << 10},
	{"eStargz with a TOC image", withTOCImage, 2, 0, 2, 1, 4 << 10},
	{"zstd:chunked, stargz's", brought("zstd:chunked", placed), 0, 0, 1, 1, 4 << 10},
	{"zstd:chunked, Podman's", brought("zstd:chunked, Podman's", placed), 0, 0, 1, 1, 128 << 10}, // with what follows
	{"SOCI, zTOCs of several MiB", withSOCI(1 << 15), 1, 0, 1, 1, 192 << 10},
	{"SOCI", withSOCI(1 << 18), 1, 0, 1, 1, 128 << 10},                          // the same
	{"ocifs index, gzip", pushed(lt.GzipLayer), 1, 1, 1, 2, 128<<10 + 24<<10},   // and a page, here all of the windows
	{"ocifs index, zstd frames", pushed(zstdFrames), 1, 1, 1, 1, 2 * 110 << 10}, // two frames of 24
	{"ocifs index, tar", pushed(lt.Plain), 1, 1, 1, 1, 2 * index.ChunkSize},     // two chunks
}

// TestBudgets mounts an image that is new, of two layers, and reads one small
// file from the middle of one: to the last request.
func TestBudgets(t *testing.T) {
	needFUSE(t)
	archives := [][]byte{
		lt.Tar(lt.File("first", text(6<<20)), lt.File("wanted", text(10_000)), lt.File("last", text(6<<20))),
		lt.Tar(lt.File("other", text(5<<20))),
	}
	for _, b := range budgets {
		t.Run(b.name, func(t *testing.T) {
			reg := registrytest.Start(t, registrytest.Options{Writable: true, Referrers: registrytest.ReferrersAPI{API: true}})
			tables := b.publish(t, reg, archives)
			config, layers := layersOf(t, reg, "app", "t")
			u := newUser(t)
			reg.Reset()
			m := u.mount(t, reg.Host+"/app:t")
			if n := reg.Bytes(registrytest.Blob) - config; n != tables {
				t.Errorf("the mount took %d bytes of blobs, want %d", n, tables)
			}
			onlyPieces(t, reg, layers)
			expect(t, reg, "the mount", map[registrytest.Kind]int{
				registrytest.Manifest: 2 + b.manifests, registrytest.Referrers: b.referrers, registrytest.Blob: 1 + b.perLayer*len(layers)})

			reg.Use(registrytest.On(registrytest.Blob, together(b.perRead)))
			if m.read(t, "wanted") != text(10_000) {
				t.Error("it reads wrong")
			}
			n := reg.Bytes()
			t.Logf("mount: %d bytes of tables; read: %d of %d bytes", tables, n, layers[0].Size)
			if n > b.bytes {
				t.Errorf("the read took %d bytes, want %d at most", n, b.bytes)
			}
			onlyPieces(t, reg, layers)
			expect(t, reg, "the read", map[registrytest.Kind]int{registrytest.Blob: b.perRead})
			reg.Heal()

			if m.read(t, "other") != text(5<<20) {
				t.Error("the other layer reads wrong")
			}
			m.unmount(t, u)
		})
	}
}

// together holds requests back until n of them have come.
func together(n int) registrytest.Fault {
	var come atomic.Int64
	all := make(chan struct{})
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if come.Add(1) == int64(n) {
				close(all)
			}
			select {
			case <-all:
				next.ServeHTTP(w, req)
			case <-req.Context().Done():
			}
		})
	}
}

// layersOf is what a registry's image has: the length of its configuration,
// and its layers.
func layersOf(t *testing.T, reg *registrytest.Server, repo, tag string) (config int64, layers []ocispec.Descriptor) {
	t.Helper()
	var m ocispec.Manifest
	get(t, reg, "/v2/"+repo+"/manifests/"+tag, &m)
	return m.Config.Size, m.Layers
}

func get(t *testing.T, reg *registrytest.Server, path string, v any) {
	t.Helper()
	resp, err := http.Get("http://" + reg.Host + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
}

// onlyPieces holds the log to pieces of layers.
func onlyPieces(t *testing.T, reg *registrytest.Server, layers []ocispec.Descriptor) {
	t.Helper()
	for _, r := range reg.Requests(registrytest.Blob) {
		for _, l := range layers {
			if strings.HasSuffix(r.Path, l.Digest.String()) && (r.Range == "" || r.Bytes >= l.Size) {
				t.Errorf("%s of a layer of %d bytes: range %q, %d bytes", r.Method, l.Size, r.Range, r.Bytes)
			}
		}
	}
}

// publish pushes an image.
func publish(t *testing.T, reg *registrytest.Server, docs ...lt.Document) {
	t.Helper()
	layout := filepath.Join(t.TempDir(), "layout")
	lt.WriteLayout(t, layout, docs...)
	if err := reg.PushLayout("app", "", layout); err != nil {
		t.Fatal(err)
	}
}

// brought publishes an image in a format with a table of contents, of which
// tables says how many bytes of a layer it takes.
func brought(format string, table func(t testing.TB, l lt.Layer) int64) func(*testing.T, *registrytest.Server, [][]byte) int64 {
	return func(t *testing.T, reg *registrytest.Server, archives [][]byte) (n int64) {
		img := lt.Image{Tag: "t"}
		for _, a := range archives {
			l := selfIndexed[format](t, a)
			img.Layers = append(img.Layers, l)
			n += table(t, l)
		}
		publish(t, reg, img)
		return n
	}
}

// endOf is how much of an eStargz layer's end comes with the footer: all of the
// table, here.
func endOf(testing.TB, lt.Layer) int64 { return 256 << 10 }

// placed is the length that an annotation tells.
func placed(t testing.TB, l lt.Layer) (n int64) {
	for k, v := range l.Annotations {
		if strings.HasSuffix(k, "manifest-position") {
			if _, err := fmt.Sscanf(v, "%d:%d:", new(int64), &n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

func withTOCImage(t *testing.T, reg *registrytest.Server, archives [][]byte) (n int64) {
	img, tables := lt.Image{Tag: "t"}, lt.Image{Tag: "t-esgztoc"}
	for _, a := range archives {
		layer, table := apart(t, a)
		img.Layers, tables.Layers = append(img.Layers, layer), append(tables.Layers, table)
		n += endOf(t, layer) + int64(len(table.Blob))
	}
	publish(t, reg, img, tables)
	return n
}

func withSOCI(span int64) func(*testing.T, *registrytest.Server, [][]byte) int64 {
	return func(t *testing.T, reg *registrytest.Server, archives [][]byte) (n int64) {
		img := lt.Image{Tag: "t"}
		x := &index.SOCIIndex{Version: 2, Tool: index.SOCITool}
		for _, a := range archives {
			l := lt.GzipLayer(a)
			img.Layers = append(img.Layers, l)
			table, err := index.BuildSOCI(t.Context(), io.NopCloser(bytes.NewReader(l.Blob)), index.SOCIOptions{Span: span})
			if err != nil {
				t.Fatal(err)
			}
			d := reg.PutBlob("", table)
			x.Ztocs = append(x.Ztocs, index.SOCIZtoc{
				Digest: d.Digest, Size: d.Size, Layer: digest.FromBytes(l.Blob), LayerType: l.MediaType, Span: span,
			})
			n += d.Size
		}
		b, err := index.MarshalSOCIIndex(x)
		if err != nil {
			t.Fatal(err)
		}
		soci := reg.PutManifest("app", "", ocispec.MediaTypeImageManifest, b)
		img.Annotations = map[string]string{index.SOCIIndexDigest: soci.Digest.String()}
		publish(t, reg, img)
		return n
	}
}

// pushed publishes an image, and then the ocifs index of it.
func pushed(pack func([]byte) lt.Layer) func(*testing.T, *registrytest.Server, [][]byte) int64 {
	return func(t *testing.T, reg *registrytest.Server, archives [][]byte) (n int64) {
		img := lt.Image{Tag: "t"}
		for _, a := range archives {
			img.Layers = append(img.Layers, pack(a))
		}
		publish(t, reg, img)
		newUser(t).ok(t, "index", "push", reg.Host+"/app:t")
		var list ocispec.Index
		get(t, reg, "/v2/app/referrers/"+digestOf(img).String(), &list)
		var x ocispec.Manifest
		get(t, reg, "/v2/app/manifests/"+list.Manifests[0].Digest.String(), &x)
		for _, l := range x.Layers {
			if strings.HasSuffix(l.MediaType, "+zstd") {
				n += l.Size
			}
		}
		return n
	}
}

func zstdFrames(b []byte) lt.Layer {
	return lt.NewLayer(b, lt.ZstdFrames(b, 24), ocispec.MediaTypeImageLayerZstd)
}
