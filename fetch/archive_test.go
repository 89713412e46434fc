package fetch_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
)

// TestArchiveMembers reads archives whose members are written in odd ways.
func TestArchiveMembers(t *testing.T) {
	write := func(f func(w *tar.Writer, d ocispec.Descriptor, files tree)) []byte {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		d, files := image(t, "x", "layer")
		f(w, d, layout(t, files, d))
		w.Close()
		return buf.Bytes()
	}
	put := func(w *tar.Writer, h tar.Header, body string) {
		if h.Size == 0 {
			h.Size = int64(len(body))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	each := func(f func(w *tar.Writer, e entry)) []byte {
		return write(func(w *tar.Writer, _ ocispec.Descriptor, files tree) {
			for _, e := range files {
				f(w, e)
			}
		})
	}
	for _, c := range []struct {
		name string
		body []byte
		err  error
	}{
		{"./ before names", each(func(w *tar.Writer, e entry) { put(w, tar.Header{Name: "./" + e.name}, e.body) }), nil},
		{"doubled slashes", each(func(w *tar.Writer, e entry) { put(w, tar.Header{Name: strings.ReplaceAll(e.name, "/", "//")}, e.body) }), nil},
		{"directories too", each(func(w *tar.Writer, e entry) {
			put(w, tar.Header{Name: filepath.Dir(e.name) + "/", Typeflag: tar.TypeDir}, "")
			put(w, tar.Header{Name: e.name}, e.body)
		}), nil},
		{"PAX", each(func(w *tar.Writer, e entry) {
			put(w, tar.Header{Name: e.name, Format: tar.FormatPAX, PAXRecords: map[string]string{"a.b": strings.Repeat("x", 10_000)}}, e.body)
		}), nil},
		{"GNU", each(func(w *tar.Writer, e entry) { put(w, tar.Header{Name: e.name, Format: tar.FormatGNU}, e.body) }), nil},
		{"twice, the last counts", each(func(w *tar.Writer, e entry) {
			put(w, tar.Header{Name: e.name}, "wrong")
			put(w, tar.Header{Name: e.name}, e.body)
		}), nil},
		{"twice, the last is wrong", each(func(w *tar.Writer, e entry) {
			put(w, tar.Header{Name: e.name}, e.body)
			put(w, tar.Header{Name: "./" + e.name}, "wrong")
		}), errWhatever},
		{"hard links", each(func(w *tar.Writer, e entry) {
			put(w, tar.Header{Name: "data/" + e.name}, e.body)
			put(w, tar.Header{Name: e.name, Typeflag: tar.TypeLink, Linkname: "./data/" + e.name}, "")
		}), nil},
		{"links to links", each(func(w *tar.Writer, e entry) {
			put(w, tar.Header{Name: "1", Typeflag: tar.TypeSymlink, Linkname: "data/" + e.name}, "")
			put(w, tar.Header{Name: "data/" + e.name}, e.body)
			put(w, tar.Header{Name: e.name, Typeflag: tar.TypeLink, Linkname: "data/" + e.name}, "")
		}), nil},
		{"members that nobody reads", write(func(w *tar.Writer, _ ocispec.Descriptor, files tree) {
			put(w, tar.Header{Name: "../outside"}, "x")
			put(w, tar.Header{Name: "/etc/passwd"}, "x")
			put(w, tar.Header{Name: "fifo", Typeflag: tar.TypeFifo}, "")
			put(w, tar.Header{Name: ".", Typeflag: tar.TypeDir}, "")
			put(w, tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, "")
			for _, e := range files {
				put(w, tar.Header{Name: e.name}, e.body)
			}
		}), nil},
		{"absolute names", each(func(w *tar.Writer, e entry) { put(w, tar.Header{Name: "/" + e.name}, e.body) }), fetch.ErrUnsupported},
		{"FIFOs", each(func(w *tar.Writer, e entry) { put(w, tar.Header{Name: e.name, Typeflag: tar.TypeFifo}, "") }), fetch.ErrUnsupported},
		{"links to themselves", each(func(w *tar.Writer, e entry) {
			put(w, tar.Header{Name: e.name, Typeflag: tar.TypeLink, Linkname: e.name}, "")
		}), fetch.ErrUnsupported},
		{"empty", nil, errWhatever},
		{"not an archive", noise(100_000), fetch.ErrUnsupported},
		{"a web page", []byte("<html>"), fetch.ErrUnsupported},
		{"a long web page", bytes.Repeat([]byte("<html>"), 1000), fetch.ErrUnsupported},
		{"a web page, compressed", gz([]byte("<html>")), fetch.ErrUnsupported},
		{"xz", []byte("\xfd7zXZ\x00\x00\x04\xe6\xd6"), fetch.ErrUnsupported},
		{"bzip2", []byte("BZh11AY&SYxx"), fetch.ErrUnsupported},
		{"a name like bzip2", append(tree{file("BZh1", "x")}, simple(t, "x")...).tar(t), nil},
		{"cut in a header", simple(t, "x").tar(t)[:700], errWhatever},
		{"cut in a body", simple(t, "x").tar(t)[:514], errWhatever},
		{"gzip, cut", gz(simple(t, "x").tar(t))[:300], errAny},
		{"gzip, damaged", append([]byte{0x1f, 0x8b}, noise(1000)...), errAny},
		{"zstd, cut", zst(simple(t, "x").tar(t))[:300], errAny},
		{"zstd, damaged", append([]byte{0x28, 0xb5, 0x2f, 0xfd}, noise(1000)...), errAny},
		{"gzip of gzip", gz(gz(simple(t, "x").tar(t))), fetch.ErrUnsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			layers, _, err := contents(t, save(t, c.body))
			checkErr(t, err, c.err)
			if err == nil && !slices.Equal(layers, []string{"layer"}) {
				t.Errorf("layers: %q", layers)
			}
		})
	}
}

// TestArchiveHuge finds what comes after a member of 9 GiB, which is a hole.
func TestArchiveHuge(t *testing.T) {
	const huge = 9 << 30
	for _, format := range []tar.Format{tar.FormatPAX, tar.FormatGNU} {
		f, err := os.Create(filepath.Join(t.TempDir(), "image"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := tar.NewWriter(f).WriteHeader(&tar.Header{Name: "huge", Size: huge, Format: format}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(huge, io.SeekCurrent); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(simple(t, "x").tar(t)); err != nil {
			t.Fatal(err)
		}
		layers, _, err := contents(t, f.Name())
		if err != nil || !slices.Equal(layers, []string{"layer"}) {
			t.Errorf("%v: %q, %v", format, layers, err)
		}
	}
}

// TestArchiveSpool leaves nothing behind, and is stopped by its context.
func TestArchiveSpool(t *testing.T) {
	name, dir := save(t, gz(simple(t, "x").tar(t))), t.TempDir()
	s := open(t, name, fetch.Options{TempDir: dir})
	manifest(t, s)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, file := range []string{name, save(t, simple(t, "x").tar(t))} {
		_, err := fetch.Open(ctx, file, fetch.Options{TempDir: dir})
		checkErr(t, err, context.Canceled)
	}
	_, err := fetch.Open(context.Background(), name, fetch.Options{TempDir: dir + "/none"})
	checkErr(t, err, errWhatever)
}

// dockerImage is an image in the form that docker save gives it.
func dockerImage(t testing.TB, name string, tags []string, layers ...entry) (map[string]any, tree) {
	t.Helper()
	var diffIDs, names []string
	var files tree
	for _, l := range layers {
		if l.link == "" {
			files = append(files, l)
		}
		names = append(names, l.name)
		diffIDs = append(diffIDs, digest.FromString(l.body).String())
	}
	files = append(files, file(name+".json", encode(t, map[string]any{"os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}})))
	return map[string]any{"Config": name + ".json", "RepoTags": tags, "Layers": names}, slices.Clip(files)
}

// TestDockerArchive reads archives as docker save and others write them.
func TestDockerArchive(t *testing.T) {
	a, aFiles := dockerImage(t, "a", []string{"alpine:3.20", "quay.io/x/y:latest"}, file("1/layer.tar", "layer 1"), file("2/layer.tar", "layer 2"))
	b, bFiles := dockerImage(t, "b", nil, file("3/layer.tar", "layer 3"))
	zipped, zippedFiles := dockerImage(t, "z", nil, file("1.tar.gz", string(gz([]byte("layer 1")))), file("2.tar.zst", string(zst([]byte("layer 2")))))
	linked, _ := dockerImage(t, "a", nil, file("4/layer.tar", "layer 1"), file("5/layer.tar", "layer 2"))
	links := append(slices.Clone(aFiles), link("4/layer.tar", "../1/layer.tar"), link("5/layer.tar", "../2/layer.tar"))
	with := func(key string, value any) map[string]any {
		m := map[string]any{"Config": a["Config"], "RepoTags": a["RepoTags"], "Layers": a["Layers"]}
		m[key] = value
		return m
	}
	json := func(images ...any) entry { return file("manifest.json", encode(t, images)) }
	both := append(slices.Concat(aFiles, bFiles), json(a, b))
	for _, c := range []struct {
		name   string
		tree   tree
		suffix string
		want   string
		err    error
	}{
		{"one image", append(aFiles, json(a)), "", "layer 1,layer 2", nil},
		{"one image, by name", append(aFiles, json(a)), ":alpine:3.20", "layer 1,layer 2", nil},
		{"one image, by full name", append(aFiles, json(a)), ":docker.io/library/alpine:3.20", "layer 1,layer 2", nil},
		{"one image, by its other name", append(aFiles, json(a)), ":quay.io/x/y", "layer 1,layer 2", nil},
		{"one image, by another name", append(aFiles, json(a)), ":alpine", "the archive has alpine:3.20, quay.io/x/y:latest", fetch.ErrNotFound},
		{"two images", both, "", "several images, name one: the archive has alpine:3.20, quay.io/x/y:latest, @1", errAny},
		{"two images, by name", both, ":alpine:3.20", "layer 1,layer 2", nil},
		{"two images, by number", both, ":@1", "layer 3", nil},
		{"two images, the third", both, ":@2", "the archive has 2 images", fetch.ErrNotFound},
		{"two images, not a number", both, ":@x", "the archive has 2 images", fetch.ErrNotFound},
		{"by digest", both, "@" + digest.FromString("x").String(), "no digests", fetch.ErrUnsupported},
		{"compressed layers", append(zippedFiles, json(zipped)), "", string(gz([]byte("layer 1"))) + "," + string(zst([]byte("layer 2"))), nil},
		{"layers that are links", append(links, json(linked)), "", "layer 1,layer 2", nil},
		{"no layers", append(aFiles, json(with("Layers", []string{}))), "", "0 layers, the config 2", errAny},
		{"too many layers", append(aFiles, json(with("Layers", []string{"1/layer.tar", "1/layer.tar", "1/layer.tar"}))), "", "3 layers, the config 2", errAny},
		{"a layer outside", append(aFiles, json(with("Layers", []string{"1/layer.tar", "../../etc/passwd"}))), "", "out of the archive", fetch.ErrUnsupported},
		{"a layer at an absolute path", append(aFiles, json(with("Layers", []string{"1/layer.tar", "/etc/passwd"}))), "", "out of the archive", fetch.ErrUnsupported},
		{"a layer that is not there", append(aFiles, json(with("Layers", []string{"1/layer.tar", "none"}))), "", "none", fetch.ErrNotFound},
		{"a config outside", append(aFiles, json(with("Config", "../config"))), "", "out of the archive", fetch.ErrUnsupported},
		{"a config that is not there", append(aFiles, json(with("Config", "none"))), "", "none", fetch.ErrNotFound},
		{"a config that is no config", append(aFiles, json(with("Config", "1/layer.tar"))), "", "1/layer.tar", errAny},
		{"a diffID that is none", append(aFiles[:2:2], file("a.json", `{"rootfs":{"diff_ids":["../x","y"]}}`), json(a)), "", "digest", errAny},
		{"no images", tree{json()}, "", "no images", fetch.ErrNotFound},
		{"null", tree{file("manifest.json", "null")}, "", "no images", fetch.ErrNotFound},
		{"not JSON", tree{file("manifest.json", "<html>")}, "", "manifest.json", errAny},
		{"another form", tree{file("manifest.json", `{"schemaVersion":2}`)}, "", "manifest.json", errAny},
	} {
		t.Run(c.name, func(t *testing.T) {
			archive := c.tree.tar(t)
			for _, ref := range []string{"docker-archive:" + save(t, archive), save(t, archive), save(t, gz(archive)), "docker-archive:" + save(t, zst(archive))} {
				layers, _, err := contents(t, ref+c.suffix)
				checkErr(t, err, c.err)
				got := strings.Join(layers, ",")
				if err != nil {
					got = err.Error()
				}
				if !strings.Contains(got, c.want) {
					t.Errorf("%s: %q, want %q", ref, got, c.want)
				}
			}
		})
	}
}

// TestDockerArchiveStable gives one archive the same digest each time.
func TestDockerArchiveStable(t *testing.T) {
	m, files := dockerImage(t, "a", nil, file("1/layer.tar", "layer 1"))
	name := save(t, append(files, file("manifest.json", encode(t, []any{m}))).tar(t))
	var seen digest.Digest
	for range 3 {
		d, err := open(t, name, fetch.Options{}).Resolve(context.Background())
		if err != nil || seen != "" && seen != d.Digest {
			t.Error(seen, d, err)
		}
		seen = d.Digest
	}
}

// TestDockerArchiveLies finds out about a layer that is not what the config
// says: its digest is the config's, for its reader to verify.
func TestDockerArchiveLies(t *testing.T) {
	m, files := dockerImage(t, "a", nil, file("1/layer.tar", "layer 1"))
	files[0].body = "Layer 1"
	s := open(t, save(t, append(files, file("manifest.json", encode(t, []any{m}))).tar(t)), fetch.Options{})
	l := manifest(t, s).Layers[0]
	b := openBlob(t, s, l)
	got, err := io.ReadAll(b.Range(0, b.Size()))
	if sum := sha256.Sum256(got); err != nil || l.Digest != digest.FromString("layer 1") || l.Digest.Encoded() == hex.EncodeToString(sum[:]) {
		t.Error(l.Digest, err)
	}
}

// TestArchiveErrors says what is wrong in words for people.
func TestArchiveErrors(t *testing.T) {
	d, files := image(t, "latest", "layer")
	for want, body := range map[string][]byte{
		"not a tar archive":                               []byte("FROM scratch\n"),
		"compressed with xz":                              []byte("\xfd7zXZ\x00"),
		"compressed with bzip2":                           []byte("BZh51AY&SY"),
		"the archive is cut short":                        layout(t, files, d).tar(t)[:1100],
		"unpack: the archive is cut short":                gz(layout(t, files, d).tar(t))[:300],
		"index.json: manifests.size: a string, not a who": tree{file("index.json", `{"manifests":[{"size":"12"}]}`)}.tar(t),
		"index.json: not JSON: unexpected end":            tree{file("index.json", `{`)}.tar(t),
		"index.json: a list, not an object":               tree{file("index.json", `[]`)}.tar(t),
		"manifest.json: an object, not a list":            tree{file("manifest.json", `{}`)}.tar(t),
		"manifest.json: Layers: a bool, not a list":       tree{file("manifest.json", `[{"Layers":true}]`)}.tar(t),
		"c: rootfs.diff_ids: a number, not a str":         tree{file("manifest.json", `[{"Config":"c","Layers":["x"]}]`), file("c", `{"rootfs":{"diff_ids":[1]}}`)}.tar(t),
	} {
		_, _, err := contents(t, save(t, body))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "Go ") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestDualArchive reads archives that are of both kinds, by the names in both.
func TestDualArchive(t *testing.T) {
	d, oci := image(t, "latest", "layer in OCI form")
	m, docker := dockerImage(t, "a", []string{"x:latest"}, file("1/layer.tar", "layer in Docker form"))
	docker = append(docker, file("manifest.json", encode(t, []any{m})))
	dual := save(t, append(layout(t, oci, d), docker...).tar(t))
	empty := save(t, append(layout(t, nil), docker...).tar(t))
	d.Annotations = map[string]string{ocispec.AnnotationRefName: "latest", "io.containerd.image.name": "docker.io/library/x:latest"}
	named := save(t, append(layout(t, oci, d), docker...).tar(t)) // as Docker does
	for ref, want := range map[string]string{
		dual:                           "layer in OCI form",
		dual + ":latest":               "layer in OCI form",
		dual + ":@0":                   "layer in Docker form",
		dual + ":x":                    "layer in Docker form",
		dual + ":docker.io/library/x":  "layer in Docker form",
		dual + "@" + d.Digest.String(): "layer in OCI form",
		dual + ":y":                    "",
		named + ":x":                   "layer in OCI form",
		named + ":x:latest":            "layer in OCI form",
		named + ":latest":              "layer in OCI form",
		named + ":docker.io/x":         "layer in OCI form",
		"oci-archive:" + named + ":x":  "layer in OCI form",
		"oci-archive:" + dual:          "layer in OCI form",
		"docker-archive:" + dual:       "layer in Docker form",
		empty:                          "layer in Docker form",
		empty + ":x":                   "layer in Docker form",
		"oci-archive:" + empty:         "",
	} {
		layers, _, err := contents(t, ref)
		if got := fmt.Sprint(layers); got != fmt.Sprint([]string{want}) && (want != "" || err == nil) {
			t.Errorf("%s: %s, %v, want %q", ref, got, err, want)
		}
	}
	_, _, err := contents(t, dual+":y")
	if checkErr(t, err, fetch.ErrNotFound); err != nil && !strings.Contains(err.Error(), "the archive has latest, or, as Docker calls them, x:latest") {
		t.Error(err)
	}
}

// FuzzArchive opens whatever it is given, and reads what it finds there.
func FuzzArchive(f *testing.F) {
	d, files := image(f, "x", "layer")
	both := layout(f, files, d)
	f.Add(both.tar(f))
	f.Add(gz(both.tar(f)))
	m, docker := dockerImage(f, "a", []string{"x:latest"}, file("1", "layer"), link("2", "1"))
	docker = append(docker, file("manifest.json", encode(f, []any{m})))
	f.Add(docker.tar(f))
	f.Add(append(both, docker...).tar(f))
	f.Add(zst(docker.tar(f)))
	name := filepath.Join(f.TempDir(), "image")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{name, "oci-archive:" + name, "docker-archive:" + name + ":@0"} {
			s, err := fetch.Open(context.Background(), ref, fetch.Options{})
			if err != nil {
				continue
			}
			if d, err := s.Resolve(context.Background()); err == nil {
				s.Document(context.Background(), d)
			}
			s.Close()
		}
	})
}
