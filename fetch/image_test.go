package fetch_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
)

// A tree is the files of a layout or an archive, in order.
type tree []entry

// An entry is a file or, if link is not "", a symbolic link.
type entry struct{ name, body, link string }

func file(name, body string) entry { return entry{name: name, body: body} }
func link(name, to string) entry   { return entry{name: name, link: to} }

// encode is JSON.
func encode(t testing.TB, v any) string {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func blobName(d digest.Digest) string { return "blobs/" + d.Algorithm().String() + "/" + d.Encoded() }

// image is the blobs of an image with layers, and its descriptor under tag.
func image(t testing.TB, tag string, layers ...string) (ocispec.Descriptor, tree) {
	t.Helper()
	var files tree
	put := func(mediaType, body string) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(body), Size: int64(len(body))}
		files = append(files, file(blobName(d.Digest), body))
		return d
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	m.Config = put(ocispec.MediaTypeImageConfig, `{}`)
	for _, l := range layers {
		m.Layers = append(m.Layers, put(ocispec.MediaTypeImageLayer, l))
	}
	d := put(m.MediaType, encode(t, m))
	if tag != "" {
		d.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	}
	return d, files
}

// layout is a layout of some images.
func layout(t testing.TB, files tree, images ...ocispec.Descriptor) tree {
	t.Helper()
	return append(tree{
		file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`),
		file("index.json", encode(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: images})),
	}, files...)
}

// simple is a layout with one image of one layer.
func simple(t testing.TB, tag string) tree {
	d, files := image(t, tag, "layer")
	return layout(t, files, d)
}

// dir writes a tree to disk.
func (tr tree) dir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, e := range tr {
		name := filepath.Join(dir, e.name)
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		if err == nil && e.link != "" {
			err = os.Symlink(e.link, name)
		} else if err == nil {
			err = os.WriteFile(name, []byte(e.body), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tar writes a tree to a tar archive.
func (tr tree) tar(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range tr {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(e.body))}
		if e.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, e.body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gz(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

func zst(b []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// save writes a file to disk.
func save(t testing.TB, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// contents reads all layers of what a reference names.
func contents(t testing.TB, ref string) (layers []string, warnings []string, err error) {
	t.Helper()
	ctx := context.Background()
	s, err := fetch.Open(ctx, ref, fetch.Options{TempDir: t.TempDir(), Warn: func(w string) { warnings = append(warnings, w) }})
	if err != nil {
		return nil, warnings, err
	}
	defer s.Close()
	d, err := s.Resolve(ctx)
	if err != nil {
		return nil, warnings, err
	}
	body, err := s.Document(ctx, d)
	if err != nil {
		return nil, warnings, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, warnings, err
	}
	if _, err := s.Document(ctx, m.Config); err != nil {
		return nil, warnings, err
	}
	for _, l := range m.Layers {
		b, err := s.Blob(ctx, l)
		if err != nil {
			return layers, warnings, err
		}
		defer b.Close()
		r := b.Range(0, b.Size())
		defer r.Close()
		got, err := io.ReadAll(r)
		if err != nil {
			return layers, warnings, err
		}
		if d := digest.FromBytes(got); d != l.Digest {
			t.Errorf("%s: layer has digest %s, not %s", ref, d, l.Digest)
		}
		layers = append(layers, string(got))
	}
	return layers, warnings, nil
}
