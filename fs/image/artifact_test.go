package image_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// shown is what a view shows, a line for each file that is no directory: its
// path, and its content or what else it is.
func shown(t *testing.T, img *image.Image) []string {
	t.Helper()
	var list []string
	m := img.Tree()
	var walk func(path string, n tree.Node)
	walk = func(path string, n tree.Node) {
		a := m.Attr(n)
		switch {
		case m.IsDir(n):
			for i, count := m.Dirents(n); count > 0; i, count = i+1, count-1 {
				name, child := m.Dirent(i)
				walk(path+"/"+name, child)
			}
		case a.Mode&index.ModeType == index.ModeRegular:
			b := make([]byte, a.Size)
			if k, err := img.ReadAt(n, b, 0); k < len(b) {
				t.Errorf("%s: %v", path, err)
			}
			list = append(list, strings.TrimPrefix(path, "/")+"="+string(b))
		default:
			list = append(list, fmt.Sprintf("%s: %o", strings.TrimPrefix(path, "/"), a.Mode&index.ModeType))
		}
	}
	walk("", tree.Root)
	return list
}

// view opens what a reference leads to.
func view(t *testing.T, ref string, o image.Options) (*image.Image, error) {
	t.Helper()
	img, err := image.Open(context.Background(), source(t, ref), store(t), o)
	if err == nil {
		t.Cleanup(func() { img.Close() })
	}
	return img, err
}

func expectShown(t *testing.T, img *image.Image, err error, want ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	got := shown(t, img)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func blob(mediaType, body string, notes ...string) lt.Blob {
	b := lt.Blob{MediaType: mediaType, Body: []byte(body)}
	for i := 0; i+1 < len(notes); i += 2 {
		if b.Annotations == nil {
			b.Annotations = map[string]string{}
		}
		b.Annotations[notes[i]] = notes[i+1]
	}
	return b
}

const (
	title    = ocispec.AnnotationTitle
	filepath = "org.cncf.model.filepath"
	unpack   = "io.deis.oras.content.unpack"
)

func hexOf(body string) string { return lt.Plain([]byte(body)).DiffID.Encoded() }

// TestArtifactFiles shows blobs under the names that several conventions give.
func TestArtifactFiles(t *testing.T) {
	tar := func(files ...string) string {
		var entries []lt.Entry
		for _, f := range files {
			entries = append(entries, lt.File(f, "in "+f))
		}
		return string(lt.Tar(entries...))
	}
	packed := string(lt.Gzip([]byte(tar("dir/a", "dir/b/c")), 6))
	chart := string(lt.Gzip([]byte(tar("chart/Chart.yaml")), 6))
	long := strings.Repeat("n", 256)
	for _, c := range []struct {
		name  string
		blobs []lt.Blob
		want  []string
	}{
		{"ORAS", []lt.Blob{blob("text/plain", "hi", title, "hello.txt"), blob(ocispec.MediaTypeImageLayer, "no tar", title, "sub/x.bin")},
			[]string{"hello.txt=hi", "sub/x.bin=no tar"}},
		{"ORAS, a directory", []lt.Blob{blob(ocispec.MediaTypeImageLayerGzip, packed, title, "dir", unpack, "true")},
			[]string{"dir/a=in dir/a", "dir/b/c=in dir/b/c"}},
		{"no names", []lt.Blob{blob("application/vnd.in-toto+json", "{}"), blob("application/octet-stream", "x"), blob("application/wasm", "w")},
			[]string{"sha256-" + hexOf("{}") + ".json={}", "sha256-" + hexOf("x") + "=x", "sha256-" + hexOf("w") + ".wasm=w"}},
		{"names that lead out", []lt.Blob{blob("a/b", "1", title, "../../etc/passwd"), blob("a/b", "2", title, "/abs/./x/../y"), blob("a/b", "3", title, ".."), blob("a/b", "4", title, long), blob("a/b", "5", title, "a\x00b")},
			[]string{"etc/passwd=1", "abs/x/y=2", "sha256-" + hexOf("3") + "=3", "sha256-" + hexOf("4") + "=4", "ab=5"}},
		{"one name twice", []lt.Blob{blob("a/b", "1", title, "f.txt"), blob("a/b", "2", title, "f.txt"), blob("a/b", "1", title, "f.txt"), blob("a/b", "3", title, "f.txt/below")},
			[]string{"f.txt=1", "f-" + hexOf("2")[:12] + ".txt=2", "f-" + hexOf("1")[:12] + ".txt=1", "sha256-" + hexOf("3") + "=3"}},
		{"a model", []lt.Blob{blob("application/vnd.cncf.model.weight.v1.raw", "weights", filepath, "w/model.safetensors"), blob("application/vnd.cncf.model.doc.v1.tar", tar("docs/README"), filepath, "docs")},
			[]string{"w/model.safetensors=weights", "docs/README=in docs/README"}},
		{"a model's archives, with names in full and not", []lt.Blob{
			blob("application/vnd.cncf.model.doc.v1.tar", tar("README"), filepath, "docs"),
			blob("application/vnd.cncf.model.code.v1.tar+gzip", packed, filepath, "dir/a"),
			blob("application/vnd.cncf.model.weight.v1.tar", tar("w"), filepath, "../deep/down")},
			[]string{"docs/README=in README", "dir/a=in dir/a", "dir/b/c=in dir/b/c", "deep/down/w=in w"}},
		{"layers with a title", []lt.Blob{blob(ocispec.MediaTypeImageLayerGzip, chart, title, "tree"), blob(ocispec.MediaTypeImageLayer, tar("x"), title, "x.tar"),
			blob("application/x-tar", tar("2"), title, "two"), blob("application/vnd.docker.image.rootfs.diff.tar.gzip", chart, title, "three.tgz")},
			[]string{"tree/chart/Chart.yaml=in chart/Chart.yaml", "x.tar=" + tar("x"), "two/2=in 2", "three/chart/Chart.yaml=in chart/Chart.yaml"}},
		{"a chart", []lt.Blob{blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", chart), blob("application/vnd.cncf.helm.chart.provenance.v1.prov", "sig")},
			[]string{"chart/Chart.yaml=in chart/Chart.yaml", "chart-1.2.tgz.prov=sig"}},
		{"one archive", []lt.Blob{blob("application/vnd.cncf.flux.content.v1.tar+gzip", chart)}, []string{"chart/Chart.yaml=in chart/Chart.yaml"}},
		{"archives with and without a name", []lt.Blob{blob("application/x-tar", tar("1"), title, "one.tar"), blob("application/vnd.x.tar", tar("2"))},
			[]string{"one/1=in 1", "sha256-" + hexOf(tar("2")) + "/2=in 2"}},
		{"nothing", nil, nil},
		{"an empty blob", []lt.Blob{blob("a/b", "", title, "empty")}, []string{"empty="}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ref := layout(t, "t", lt.Artifact{Tag: "t", Type: "x/y", Blobs: c.blobs, Annotations: map[string]string{title: "chart", ocispec.AnnotationVersion: "1.2"}})
			img, err := view(t, ref, image.Options{})
			expectShown(t, img, err, c.want...)
			img, err = view(t, ref, image.Options{Index: image.PolicyOff})
			expectShown(t, img, err, c.want...)
			if err == nil && img.What() != "artifact" {
				t.Errorf("it is called %q", img.What())
			}
		})
	}
}

// TestArtifactAsImage has artifacts with an image's configuration: what says to
// be one, and what BuildKit and cosign push.
func TestArtifactAsImage(t *testing.T) {
	config := blob(ocispec.MediaTypeImageConfig, `{"os":"unknown","architecture":"unknown","rootfs":{"type":"layers","diff_ids":[]}}`)
	for _, a := range []lt.Artifact{
		{Blobs: []lt.Blob{blob("application/vnd.in-toto+json", "{}", title, "f")}},
		{Blobs: []lt.Blob{blob("application/vnd.dev.cosign.simplesigning.v1+json", "{}", title, "f")}},
		{Type: "x/y", Blobs: []lt.Blob{blob("application/x-foo", "{}", title, "f")}},
	} {
		a.Tag, a.Config = "t", config
		img, err := view(t, layout(t, "t", a), image.Options{})
		expectShown(t, img, err, "f={}")
	}
}

// TestArtifactMeta gives files the owner, mode and time that ModelPack tells, or
// the time when the artifact was made.
func TestArtifactMeta(t *testing.T) {
	const meta = `{"name":"m","mode":416,"uid":7,"gid":8,"size":1,"mtime":"2024-05-06T07:08:09.5Z","typeflag":48}`
	made := map[string]string{ocispec.AnnotationCreated: "2020-01-02T03:04:05Z"}
	img, err := view(t, layout(t, "t", lt.Artifact{Tag: "t", Type: "x/y", Annotations: made, Blobs: []lt.Blob{
		blob("a/b", "1", filepath, "m", "org.cncf.model.file.metadata+json", meta), blob("a/b", "2", title, "n", "org.cncf.model.file.metadata+json", "{")}}), image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]tree.Attr{
		"m": {Mode: index.ModeRegular | 0o640, UID: 7, GID: 8, Sec: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC).Unix(), Nsec: 5e8, Size: 1, Nlink: 1},
		"n": {Mode: index.ModeRegular | 0o644, Sec: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC).Unix(), Size: 1, Nlink: 1, Layer: 1},
	} {
		if n, ok := img.Tree().Lookup(tree.Root, name); !ok || img.Tree().Attr(n) != want {
			t.Errorf("%s: %+v, want %+v", name, img.Tree().Attr(n), want)
		}
	}
}

// TestRawBlob reads a large blob by ranges, of which nobody knows anything
// before all was read; then it is verified, and later mounts know it.
func TestRawBlob(t *testing.T) {
	body := strings.Repeat("0123456789abcde\n", 5<<20/16)
	dir := t.TempDir()
	lt.WriteLayout(t, dir, lt.Artifact{Tag: "t", Type: "x/y", Blobs: []lt.Blob{blob("a/b", body, title, "model")}})
	s := store(t)
	open := func(unverified int) (image.Origin, []byte) {
		img, err := image.Open(context.Background(), source(t, "oci:"+dir+":t"), s, image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		if n, _ := img.Unverified(); n != unverified {
			t.Errorf("%d blobs are not verified, want %d", n, unverified)
		}
		n, _ := img.Tree().Lookup(tree.Root, "model")
		b := make([]byte, len(body))
		if _, err := img.ReadAt(n, b[:10], 3<<20); err != nil || string(b[:10]) != body[3<<20:3<<20+10] {
			t.Errorf("a piece: %q, %v", b[:10], err)
		}
		k, err := img.ReadAt(n, b, 0)
		origin := img.Layers()[0].Origin
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if err := img.Settle(); err != nil {
			t.Fatal(err)
		}
		if n, _ := img.Unverified(); n != 0 || img.Layers()[0].Origin == image.OriginRange {
			t.Errorf("all was read, but %d blobs are not verified", n)
		}
		return origin, b[:k]
	}
	if origin, b := open(1); string(b) != body || origin == image.OriginCache {
		t.Fatalf("%d bytes, %s", len(b), origin)
	}
	if origin, b := open(0); string(b) != body || origin != image.OriginCache {
		t.Errorf("again: %d bytes, %s", len(b), origin)
	}
}

// spoil changes the first byte of a blob in a layout.
func spoil(t *testing.T, ref string, body []byte) {
	t.Helper()
	dir := strings.TrimSuffix(strings.TrimPrefix(ref, "oci:"), ":t")
	b := bytes.Clone(body)
	b[0] ^= 1
	if err := os.WriteFile(dir+"/blobs/sha256/"+hexOf(string(body)), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRawBlobWrong has a blob that isn't what its digest says: that is told
// when all of it was read, or before anything is, as one asks.
func TestRawBlobWrong(t *testing.T) {
	for _, size := range []int{100, 5 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			body := bytes.Repeat([]byte("x"), size)
			ref := layout(t, "t", lt.Artifact{Tag: "t", Type: "x/y", Blobs: []lt.Blob{blob("a/b", string(body), title, "model")}})
			spoil(t, ref, body)
			img, err := view(t, ref, image.Options{})
			if err != nil {
				t.Fatal(err)
			}
			n, _ := img.Tree().Lookup(tree.Root, "model")
			if _, err = img.ReadAt(n, body, 0); err == nil || err == io.EOF {
				err = img.Settle()
			}
			var broken *index.DigestError
			var small *fetch.DigestError
			if !errors.As(err, &broken) && !errors.As(err, &small) {
				t.Errorf("read: error is %v", err)
			}
			if _, err := view(t, ref, image.Options{Index: image.PolicyOff}); !errors.As(err, &broken) {
				t.Errorf("read whole: error is %v", err)
			}
		})
	}
}
