package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// pinnedImages are images of which all must be there when the registry isn't: read
// whole, with tables of their own, with an index that was pushed, and files that
// are no archives, of which one is large.
func pinnedImages(t *testing.T, w *world, reg *registrytest.Server) (refs map[string]string) {
	t.Helper()
	refs = map[string]string{}
	push := func(name string, layers ...lt.Layer) {
		var list []registrytest.Layer
		for _, l := range layers {
			list = append(list, registrytest.Layer{Blob: l.Blob, DiffID: l.DiffID, MediaType: l.MediaType, Annotations: l.Annotations})
		}
		reg.Push(name, "t", list...)
		refs[name] = reg.Host + "/" + name + ":t"
	}
	archive := func(name string) []byte {
		return lt.Tar(lt.Dir("d"), lt.File("d/f", prose(2<<20, 4)), lt.File(name, ""))
	}
	push("whole", lt.GzipLayer(archive("a")), lt.ZstdLayer(lt.Tar(lt.File("top", "top\n"))))
	push("chunked", lt.ZstdChunked(archive("b"), 64<<10))
	push("pushed", lt.GzipLayer(archive("c")))
	w.elsewhere("cache2").ok("index", "push", refs["pushed"])
	weights := reg.PutBlob("application/octet-stream", []byte(prose(5<<20, 5)))
	weights.Annotations = map[string]string{ocispec.AnnotationTitle: "d/f"}
	reg.PutBlob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/x-model",
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{weights},
	})
	if err != nil {
		t.Fatal(err)
	}
	reg.PutManifest("model", "t", ocispec.MediaTypeImageManifest, manifest)
	refs["model"] = reg.Host + "/model:t"
	return refs
}

// TestCachePin pins images of all kinds, cuts the network, evicts what can be
// evicted, and reads all of them, until they are let go.
func TestCachePin(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Writable: true})
	w := newWorld(t)
	digests := map[string]string{}
	refs := pinnedImages(t, w, reg)
	for name, ref := range refs {
		var doc struct{ Images []warmed }
		w.decode(&doc, "cache", "pin", "--json", ref)
		if len(doc.Images) != 1 || doc.Images[0].Image != ref || doc.Images[0].Size < 2<<20 {
			t.Fatalf("%s: %+v", name, doc)
		}
		digests[name] = doc.Images[0].Digest
	}
	w.ok("ls", w.ref) // which isn't pinned
	reg.Use(registrytest.HangUp())
	if r := w.run("cache", "prune", "--all"); r.code != exitOK || !strings.HasPrefix(r.out, "removed 2 layers and ") || !strings.Contains(r.errors, "4 images are pinned, and stay") {
		t.Errorf("%+v", r)
	}
	w.ok("ls", "--cache-size=4KiB", w.ref) // evicts
	reg.Reset()
	for name, ref := range refs {
		want := prose(2<<20, 4)
		if name == "model" {
			want = prose(5<<20, 5)
		}
		if got := w.ok("cat", strings.TrimSuffix(ref, ":t")+"@"+digests[name], "d/f"); got != want {
			t.Errorf("%s, by digest: %d bytes", name, len(got))
		}
		if n := reg.Count(); n != 0 {
			t.Errorf("%s, by digest: %d requests", name, n)
		}
		if r := w.run("cat", "--retry=0", ref, "d/f"); r.code != exitOK || r.out != want || strings.Count(r.errors, "\n") != 1 || !strings.Contains(r.errors, "it is taken for what it was when it was pinned") {
			t.Errorf("%s, by tag: %d bytes, %d, %s", name, len(r.out), r.code, r.errors)
		}
		reg.Reset()
	}
	w.fails(exitUnreachable, "", "cat", "--retry=0", reg.Host+"/whole:other", "d/f")
	var du cacheUsage
	if w.decode(&du, "cache", "du", "--json"); len(du.Images) != 9 { // those by digest are images of their own
		t.Errorf("%+v", du)
	}
	for _, i := range du.Images {
		if i.Pinned.IsZero() != (i.Image == w.ref) {
			t.Errorf("%+v", i)
		}
	}
	if got := w.ok("cache", "ls"); strings.Count(got, " yes ") < 5 {
		t.Errorf("%s", got)
	}
	if got := w.ok("cache", "unpin", refs["whole"], digests["chunked"], shortDigest(digests["model"])); strings.Count(got, "unpinned "+reg.Host) != 3 {
		t.Errorf("%s", got)
	}
	w.fails(exitNotFound, "not pinned", "cache", "unpin", refs["whole"])
	w.run("cache", "prune", "--all")
	w.fails(exitUnreachable, "", "cat", "--retry=0", refs["whole"], "d/f")
	if r := w.run("cat", "--retry=0", refs["pushed"], "d/f"); r.out != prose(2<<20, 4) {
		t.Errorf("%+v", r)
	}
}

// TestCachePinMoved pins a tag anew: then what it means now is kept, and what it
// meant may go.
func TestCachePinMoved(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	w := newWorld(t)
	ref := reg.Host + "/app:t"
	layer := func(text string) registrytest.Layer {
		l := lt.GzipLayer(lt.Tar(lt.File("f", text)))
		return registrytest.Layer{Blob: l.Blob, DiffID: l.DiffID}
	}
	reg.Push("app", "t", layer("old\n"))
	w.ok("cache", "pin", ref)
	reg.Push("app", "t", layer("new\n"))
	reg.Use(registrytest.On(registrytest.Blob, registrytest.Status(403)))
	w.fails(exitAuth, "", "cache", "pin", ref) // and so it stays as it was
	reg.Heal()
	reg.Use(registrytest.Status(503))
	if r := w.run("cat", "--retry=0", ref, "f"); r.out != "old\n" {
		t.Errorf("%+v", r)
	}
	reg.Heal()
	w.ok("cache", "pin", ref)
	if r := w.run("cache", "prune", "--all"); !strings.HasPrefix(r.out, "removed 1 layer and ") {
		t.Errorf("%+v", r)
	}
	reg.Use(registrytest.Status(503))
	if r := w.run("cat", "--retry=0", ref, "f"); r.out != "new\n" {
		t.Errorf("%+v", r)
	}
	reg.Heal()
	reg.Use(registrytest.Status(403)) // a refusal is no cut network
	w.fails(exitAuth, "", "cat", ref, "f")
}

// TestCachePinNoRoom pins nothing where it can't be kept, and says why.
func TestCachePinNoRoom(t *testing.T) {
	w := newWorld(t)
	lt.WriteLayout(t, w.in("large"), largeImage())
	ref := "oci:" + w.in("large") + ":t"
	w.fails(exitFailure, "of it could not be kept", "cache", "pin", "--cache-size=1MiB", ref)
	w.fails(exitNotFound, "not pinned", "cache", "unpin", ref)
	w.fails(exitNotFound, "not pinned", "cache", "unpin", "sha256:abc")
	w.fails(exitUsage, "IMAGE is missing", "cache", "pin")
	if r := w.run("cache", "pin", "oci:"+w.in("nowhere"), ref); r.code != exitNotFound && r.code != exitFailure || !strings.HasPrefix(r.out, "pinned "+ref) {
		t.Errorf("one of two: %+v", r)
	}
	os.RemoveAll(w.in("large"))
	w.ok("cache", "unpin", ref)
}

// TestCacheRepairPinned tells of a pinned image that is damaged, drops what is,
// and has it fetched again.
func TestCacheRepairPinned(t *testing.T) {
	w := newWorld(t)
	w.ok("cache", "pin", w.ref)
	data, err := filepath.Glob(w.in("cache/v1/spaces/*/data"))
	if err != nil || len(data) != 2 {
		t.Fatal(data, err)
	}
	f, err := os.OpenFile(data[0], os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("not what it was"), 1100)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // nothing is changed by it
		w.fails(exitIntegrity, "is pinned, and damaged", "cache", "verify")
	}
	if r := w.run("cache", "verify", "--repair"); r.code != exitOK || !strings.Contains(r.out, "1 chunk, removed\n") || !strings.Contains(r.errors, "ocifs cache pin "+w.ref+" fetches it") {
		t.Errorf("%+v", r)
	}
	w.ok("cache", "pin", w.ref)
	w.ok("cache", "verify")
}
