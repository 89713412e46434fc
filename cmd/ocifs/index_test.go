package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/convert"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// prose is n bytes that compress about as well as programs do.
func prose(n int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 0, n+64)
	for len(b) < n {
		b = append(strconv.AppendUint(b, r.Uint64(), 16), " the quick brown fox "...)
	}
	return string(b[:n])
}

// largeImage has layers of every kind, one large enough to be read in pieces,
// and two small files at its ends. It is made once: that takes time, under the
// race detector.
var largeImage = sync.OnceValue(func() lt.Image { return imageOf(lt.GzipLayer, lt.ZstdLayer, lt.Plain)(largeTars()) })

var largeTars = sync.OnceValue(func() [][]byte {
	return [][]byte{
		lt.Tar(lt.Dir("app"), lt.File("app/first", "first\n"), lt.File("app/large", prose(6<<20, 1)), lt.File("app/last", "last\n")),
		lt.Tar(lt.File("app/zstd", prose(2<<20, 2))),
		lt.Tar(lt.File("app/plain", prose(1<<20, 3))),
	}
})

// elsewhere is the same user with another, empty cache.
func (w *world) elsewhere(name string) *world {
	w2 := *w
	w2.env = append(w.env[:len(w.env):len(w.env)], "OCIFS_CACHE_DIR="+w.in(name))
	return &w2
}

// origins are where the indexes of an image's layers are from.
func (w *world) origins(ref string, flags ...string) string {
	w.t.Helper()
	var list struct{ Layers []layerInfo }
	w.decode(&list, append([]string{"layers", "--json", ref}, flags...)...)
	var o []string
	for _, l := range list.Layers {
		o = append(o, l.Index)
	}
	return strings.Join(o, " ")
}

// TestIndexPushed pushes an index, and mounts by it where the image was never
// seen; then somebody pushes one that lies.
func TestIndexPushed(t *testing.T) {
	for _, r := range registries {
		t.Run(r.name, func(t *testing.T) {
			host, log := r.start(t)
			w := newWorld(t)
			img := largeImage()
			lt.WriteLayout(t, w.in("large"), img)
			ref := host + "/lib/large:t"
			copyImage(t, "oci:"+w.in("large")+":t", ref)
			w.fails(exitNotFound, "has no pushed index", "index", "rm", ref)
			if out := w.ok("index", "push", ref); !strings.Contains(out, "pushed sha256:") || !strings.Contains(out, "(3 layers, ") || !strings.Contains(out, " to "+host+"/lib/large:t\n") {
				t.Errorf("%q", out)
			}
			w2 := w.elsewhere("cache2")
			log.Reset()
			if got := w2.origins(ref); got != "pushed pushed pushed" {
				t.Errorf("indexes: %s", got)
			}
			if got := w2.ok("cat", ref, "app/first", "app/last"); got != "first\nlast\n" {
				t.Errorf("%q", got)
			}
			onlyRanges(t, log, img)
			w2.mountAndRead(ref)
			w2.showsPushed(ref)
			if out := w.elsewhere("cache3").ok("index", "verify", ref); strings.Count(out, "  ok\n") != 3 {
				t.Errorf("verify: %s", out)
			}
			w.ok("index", "rm", ref)
			pushLie(t, ref)
			w4 := w.elsewhere("cache4")
			w4.fails(exitIntegrity, `pushed sha256:`, "index", "verify", ref)
			w4.fails(exitIntegrity, `"app/first": the table of contents has another name than the layer: app/wrong, not app/first`, "index", "verify", ref)
			needFUSE(t)
			w4.fails(exitIntegrity, "pushed index", "mount", "--verify=full", ref, w.mnt)
			w4.nothingLeft()
			if out := w.ok("index", "rm", ref); !strings.HasPrefix(out, "deleted sha256:") {
				t.Errorf("rm: %q", out)
			}
			if got := w.elsewhere("cache5").origins(ref); got != "read read read" {
				t.Errorf("after rm: %s", got)
			}
		})
	}
}

// onlyRanges holds that of no layer more than pieces were asked for.
func onlyRanges(t *testing.T, log traffic, img lt.Image) {
	t.Helper()
	reads := 0
	for _, r := range log.Requests(registrytest.Blob) {
		for _, l := range img.Layers {
			if !strings.HasSuffix(r.Path, digest.FromBytes(l.Blob).String()) || r.Method != http.MethodGet {
				continue
			}
			reads++
			var from, to int
			if n, _ := fmt.Sscanf(r.Range, "bytes=%d-%d", &from, &to); n != 2 || to-from+1 >= len(l.Blob) {
				t.Errorf("%s of a layer of %d bytes: %q", r.Method, len(l.Blob), r.Range)
			}
		}
	}
	if reads == 0 || reads > 4 {
		t.Errorf("%d reads of layers", reads)
	}
}

// mountAndRead mounts the large image and reads all of it.
func (w *world) mountAndRead(ref string) {
	w.t.Helper()
	if checkFUSE() != nil {
		return
	}
	out := w.ok("mount", ref, w.mnt, "--verify", "chunk")
	if !strings.Contains(out, "; lazy 3/3) on ") {
		w.t.Errorf("%q", out)
	}
	for name, want := range map[string]string{"first": "first\n", "large": prose(6<<20, 1), "last": "last\n", "zstd": prose(2<<20, 2), "plain": prose(1<<20, 3)} {
		if got, err := os.ReadFile(filepath.Join(w.mnt, "app", name)); err != nil || string(got) != want {
			w.t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	w.ok("umount", w.mnt)
	w.nothingLeft()
}

// showsPushed holds what index show says of an image with a pushed index.
func (w *world) showsPushed(ref string) {
	w.t.Helper()
	var shown struct {
		Schema string
		Layers []shownLayer
	}
	w.decode(&shown, "index", "show", "--json", ref)
	if shown.Schema != "ocifs.dev/index/v1" || len(shown.Layers) != 3 {
		w.t.Errorf("%+v", shown)
	}
	for i, l := range shown.Layers {
		if len(l.Indexes) != 1 || l.Indexes[0].Origin != "pushed" || l.Indexes[0].Named || l.Indexes[0].Index == nil || l.Indexes[0].Index.Size == 0 ||
			l.Indexes[0].Table.Size == 0 || (i == 0) != (l.Indexes[0].Windows.Size > 0) {
			w.t.Errorf("layer %d: %+v", i, l)
		}
	}
	text := w.ok("index", "show", ref)
	if !strings.HasPrefix(text, "#  LAYER ") || strings.Count(text, " pushed  repository  sha256:") != 3 {
		w.t.Errorf("%s", text)
	}
	if text := w.ok("index", "show", "--index=trusted", ref); strings.Count(text, " none ") != 3 {
		w.t.Errorf("%s", text)
	}
}

// pushLie pushes an index that gives a file another name.
func pushLie(t *testing.T, ref string) {
	t.Helper()
	ctx := context.Background()
	w := newWorld(t)
	img, err := openImage(ctx, imageSpec{Ref: ref, CacheDir: w.in("cache"), Index: image.PolicyLocal}, hooks{warn: func(string) {}, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	x, err := img.Index(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := x.Blobs[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	toc, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	lie := e.EncodeAll(bytes.Replace(toc, []byte("first"), []byte("wrong"), 1), nil)
	var m ocispec.Manifest
	if err := json.Unmarshal(x.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	m.Layers[0].Digest, m.Layers[0].Size = digest.FromBytes(lie), int64(len(lie))
	x.Blobs[0] = held(m.Layers[0], lie)
	if x.Manifest, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	if _, err := img.src.Push(ctx, fetch.Upload{Manifest: x.Manifest, Blobs: x.Blobs}); err != nil {
		t.Fatal(err)
	}
}

// TestIndexBuild tells of each layer, reads none twice, and writes layouts.
func TestIndexBuild(t *testing.T) {
	w := newWorld(t)
	lt.WriteLayout(t, w.in("large"), largeImage())
	ref := "oci:" + w.in("large") + ":t"
	out := w.ok("index", "build", ref)
	lines := strings.Split(out, "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "layer 1/3 sha256:") || !strings.Contains(lines[0], " → ") || !strings.Contains(lines[0], " index, 2") ||
		!strings.Contains(lines[0], " checkpoints, 4 entries  ") || !strings.HasSuffix(lines[0], " s") || !strings.Contains(lines[2], " 0 checkpoints, 1 entry ") {
		t.Errorf("%s", out)
	}
	var b built
	w.decode(&b, "index", "build", "--json", ref, "--out", "oci:"+w.in("out")+":x")
	if b.Schema != "ocifs.dev/index-build/v1" || len(b.Layers) != 3 || b.Layers[0].Read || b.Layers[0].Checkpoints < 20 || b.Layers[0].Windows == 0 || b.Index == nil {
		t.Fatalf("%+v", b)
	}
	var m ocispec.Manifest
	w.decodeFile(&m, "out/blobs/sha256", strings.TrimPrefix(b.Index.Digest, "sha256:"))
	if m.ArtifactType != image.IndexType || m.Subject == nil || m.Subject.Digest.String() != b.Digest || len(m.Layers) != 6 {
		t.Errorf("%+v", m)
	}
	w.decode(&b, "index", "build", "--json", "--index=off", ref)
	if !b.Layers[0].Read {
		t.Error("--index=off did not read it again")
	}
	windows := b.Layers[0].Windows
	w.decode(&b, "index", "build", "--json", "--span=1MiB", ref)
	if l := b.Layers[0]; !l.Read || l.Checkpoints != 7 || l.Windows == 0 || l.Windows > windows/3 {
		t.Errorf("--span: %+v, and %d bytes of windows without it", l, windows)
	}
	if got := w.ok("index", "rm", "--local", ref); got != "forgot 3 layers of "+ref+"\n" {
		t.Errorf("%q", got)
	}
	w.fails(exitNotFound, "the cache knows no layer", "index", "rm", "--local", ref)
	if got := w.origins(ref); got != "read read read" {
		t.Errorf("after rm --local: %s", got)
	}
}

func (w *world) decodeFile(v any, path ...string) {
	w.t.Helper()
	b, err := os.ReadFile(w.in(filepath.Join(path...)))
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestIndexTo pushes an index of an image in a layout beside its copy.
func TestIndexTo(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Writable: true})
	w := newWorld(t)
	lt.WriteLayout(t, w.in("large"), largeImage())
	from, to := "oci:"+w.in("large")+":t", reg.Host+"/copy:v1"
	r := w.run("index", "push", from, "--to", to)
	if r.code != exitOK || !strings.Contains(r.errors, "the index waits there for the image") {
		t.Errorf("%+v", r)
	}
	copyImage(t, from, to)
	if got := w.elsewhere("cache2").origins(to); got != "pushed pushed pushed" {
		t.Errorf("indexes: %s", got)
	}
	if got := w.elsewhere("cache3").origins(to, "--index=trusted"); got != "read read read" {
		t.Errorf("trusted: %s", got)
	}
}

// TestIndexSOCI makes a SOCI index, and mounts by it.
func TestIndexSOCI(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Writable: true})
	w := newWorld(t)
	img := largeImage()
	lt.WriteLayout(t, w.in("large"), img)
	from, to := "oci:"+w.in("large")+":t", reg.Host+"/soci:v2"
	w.fails(exitFailure, "no layer for a SOCI index", "index", "build", "--format", "soci", from, to)
	r := w.run("index", "build", "--format", "soci", "--min-layer=100KiB", "--span=1MiB", from, to)
	if r.code != exitOK || strings.Count(r.out, " zTOC ") != 2 || !strings.Contains(r.errors, "layer 2 sha256:") || !strings.Contains(r.errors, "gets no zTOC") || !strings.Contains(r.out, "wrote "+to+"@sha256:") {
		t.Fatalf("%+v", r)
	}
	w2 := w.elsewhere("cache2")
	if got := w2.origins(to); got != "soci read soci" {
		t.Errorf("indexes: %s", got)
	}
	if got := w2.ok("cat", to, "app/first", "app/last", "app/plain"); got != "first\nlast\n"+prose(1<<20, 3) {
		t.Errorf("%d bytes", len(got))
	}
	var x ocispec.Index
	w2.decode(&x, "inspect", "--raw", to)
	if len(x.Manifests) != 2 || x.Manifests[1].ArtifactType != "application/vnd.amazon.soci.index.v2+json" || x.Manifests[1].Platform == nil ||
		x.Manifests[1].Annotations["com.amazon.soci.image-manifest-digest"] != x.Manifests[0].Digest.String() ||
		x.Manifests[0].Annotations["com.amazon.soci.index-digest"] != x.Manifests[1].Digest.String() {
		t.Errorf("%+v", x)
	}
	if out := w.elsewhere("cache3").ok("index", "verify", to); strings.Count(out, " soci sha256:") != 2 || strings.Count(out, "  ok\n") != 2 {
		t.Errorf("verify: %s", out)
	}
	if out := w.ok("index", "show", to); strings.Count(out, " soci ") != 2 || strings.Count(out, " manifest ") != 2 {
		t.Errorf("show: %s", out)
	}
	pushV1(t, from, reg.Host+"/v1:t")
	if got := w.elsewhere("cache5").origins(reg.Host + "/v1:t"); got != "read read read" {
		t.Errorf("version 1, not asked for: %s", got)
	}
	if got := w.elsewhere("cache6").origins(reg.Host+"/v1:t", "--soci-v1"); got != "soci read soci" {
		t.Errorf("version 1: %s", got)
	}
	if out := w.ok("index", "show", "--soci-v1", reg.Host+"/v1:t"); strings.Count(out, " soci ") != 2 || strings.Count(out, " repository ") != 2 {
		t.Errorf("show: %s", out)
	}
	// Once more, of the result: the index is another, the layers are the same.
	w.ok("index", "build", "--format", "soci", "--min-layer=1100KiB", to, "oci:"+w.in("again")+":v3")
	if got := w.elsewhere("cache4").origins("oci:" + w.in("again") + ":v3"); got != "soci read read" {
		t.Errorf("again: %s", got)
	}
}

// pushV1 copies an image and pushes a SOCI index of version 1 beside it.
func pushV1(t *testing.T, from, to string) {
	t.Helper()
	copyImage(t, from, to)
	ctx := context.Background()
	src, err := openSource(ctx, imageSpec{Ref: to, CacheDir: t.TempDir()}, hooks{warn: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	m, err := image.Resolve(ctx, src.src, src.store, image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := convert.SOCI(ctx, m, convert.SOCIOptions{Read: func(ctx context.Context, _ int, d ocispec.Descriptor) (io.ReadCloser, error) {
		return readBlob(ctx, src.src, d)
	}})
	if err != nil {
		t.Fatal(err)
	}
	v1 := &index.SOCIIndex{Version: 1, Subject: &m.Descriptor}
	up := fetch.Upload{Blobs: []fetch.Content{held(ocispec.Descriptor{Digest: digest.FromString("{}"), Size: 2}, []byte("{}"))}}
	for _, z := range x.Ztocs {
		v1.Ztocs = append(v1.Ztocs, z.SOCIZtoc)
		up.Blobs = append(up.Blobs, held(z.Descriptor(), z.Bytes))
	}
	if up.Manifest, err = index.MarshalSOCIIndex(v1); err != nil {
		t.Fatal(err)
	}
	if _, err := src.src.Push(ctx, up); err != nil {
		t.Fatal(err)
	}
}

// TestIndexWrong has every wrong way to say it.
func TestIndexWrong(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		args    string
		code    int
		message string
	}{
		{"index show", exitUsage, "index show: IMAGE is missing"},
		{"index show REF x", exitUsage, `index show: unexpected argument "x"`},
		{"index shwo REF", exitUsage, "hint: did you mean ocifs index show?"},
		{"index REF", exitUsage, "unknown command"},
		{"index push --out x REF", exitUsage, "hint: --out is a flag of ocifs index build"},
		{"index build REF docker-archive:x", exitUsage, "an archive cannot be written to"},
		{"index build --out oci:x REF oci:y", exitUsage, "--out is for an index alone"},
		{"index build --all-platforms --out oci:x:y REF", exitUsage, "a tag is for one index"},
		{"index build --all-platforms --platform linux/amd64 REF", exitUsage, "--platform is for one platform"},
		{"index build --min-layer 1MiB REF", exitUsage, "--min-layer is for --format soci"},
		{"index build --span 8MiB REF", exitUsage, "an ocifs index has a checkpoint every 256KiB to 4MiB"},
		{"index build --span 64KiB REF", exitUsage, "an ocifs index has a checkpoint every 256KiB to 4MiB"},
		{"index build --span x REF", exitUsage, `--span "x": not a size`},
		{"index build --format nydus REF", exitUsage, `--format is ocifs or soci, not "nydus"`},
		{"index build --format soci REF", exitUsage, "index build: DESTINATION is missing"},
		{"index build --format soci --span=x REF oci:y", exitUsage, `--span "x": not a size`},
		{"index build --format soci --out oci:x REF oci:y", exitUsage, "--out is for --format ocifs"},
		{"index build --out alpine REF", exitUsage, "--out is a layout"},
		{"index verify REF", exitNotFound, "has no index to verify"},
		{"index rm oci:nowhere", exitNotFound, "nowhere: not found"},
		{"index push REF --to sha256:x:y", exitUsage, "--to "},
		{"mount --verify=some REF mnt", exitUsage, `--verify is chunk or full, not "some"`},
		{"mount -o verify=some REF mnt", exitUsage, `--verify is chunk or full, not "some"`},
		{"mount -o index=mine REF mnt", exitUsage, `no index policy "mine"`},
		{"ls --verify=full REF", exitUsage, "hint: --verify is a flag of ocifs mount"},
	} {
		w.fails(c.code, c.message, w.words(c.args)...)
	}
	if left, _ := filepath.Glob(w.in("cache/verify-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	r := w.run("index")
	if r.code != exitUsage || r.out != "" || !strings.Contains(r.errors, "usage: ocifs index [flags] COMMAND IMAGE") {
		t.Errorf("%+v", r)
	}
	for _, c := range indexCommand().Subcommands {
		if help := w.ok("index", c.Name, "--help"); !strings.Contains(help, "\n  $ ocifs index "+c.Name+" ") || !strings.Contains(help, "usage: ocifs index "+c.Name+" [flags] IMAGE") {
			t.Errorf("%s", help)
		}
	}
}

// TestMountIndex mounts with a policy given in -o, and fully verified.
func TestMountIndex(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	w.ok("index", "push", w.ref)
	for _, c := range []struct{ flags, want string }{
		{"-o index=repository", "pushed pushed"},
		{"-o index=off", "read read"},
		{"--index=repository", "cache cache"},
		{"--verify=full", "cache cache"},
	} {
		w2 := w.elsewhere("cache2")
		var r record
		w2.decode(&r, append([]string{"mount", "--json", w.ref, w.mnt}, strings.Fields(c.flags)...)...)
		got := []string{}
		for _, l := range r.Layers {
			got = append(got, l.Index)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.flags, got, c.want)
		}
		w.ok("umount", w.mnt)
	}
	w.nothingLeft()
}
