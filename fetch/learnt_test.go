package fetch_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fetch"
)

// notes is a Memory.
type notes map[string][]byte

func (n notes) Get(key string) ([]byte, error) {
	if b, ok := n[key]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (n notes) Put(key string, b []byte) error { n[key] = b; return nil }

// compressedArchives are archives of each kind with the layers "layer 1" and
// "layer 2", compressed or not, as a whole compressed.
func compressedArchives(t *testing.T) map[string][]byte {
	d, files := image(t, "x", "layer 1", "layer 2")
	m, docker := dockerImage(t, "a", nil, file("1/layer.tar", "layer 1"), file("2/layer.tar", "layer 2"))
	docker = append(docker, link("latin\xe9", "1/layer.tar"), file("manifest.json", encode(t, []any{m})))
	z, zipped := dockerImage(t, "z", nil, file("1.tar.gz", string(gz([]byte("layer 1")))), file("2.tar.zst", string(zst([]byte("layer 2")))))
	zipped = append(zipped, file("manifest.json", encode(t, []any{z})))
	return map[string][]byte{
		"oci, gzip":                gz(layout(t, files, d).tar(t)),
		"oci, zstd":                zst(layout(t, files, d).tar(t)),
		"docker, gzip":             gz(docker.tar(t)),
		"docker, zstd":             zst(docker.tar(t)),
		"docker, layers, too":      gz(zipped.tar(t)),
		"both":                     gz(append(layout(t, files, d), docker...).tar(t)),
		"docker, among many files": gz(append(slices.Clone(docker), file("x", strings.Repeat("{", 100)), file("y", "[")).tar(t)),
	}
}

// TestArchiveRemembered unpacks a compressed archive once, and again only when
// a layer is read.
func TestArchiveRemembered(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "none")
	for name, body := range compressedArchives(t) {
		t.Run(name, func(t *testing.T) {
			ref, memory := save(t, body), notes{}
			first := manifest(t, open(t, ref, fetch.Options{Memory: memory}))
			s := open(t, ref, fetch.Options{Memory: memory, TempDir: nowhere})
			m := manifest(t, s)
			if encode(t, m) != encode(t, first) {
				t.Errorf("another manifest than the first time: %+v, %+v", m, first)
			}
			if _, err := s.Document(context.Background(), m.Config); err != nil {
				t.Error(err)
			}
			blob := openBlob(t, s, m.Layers[0])
			if _, err := blob.ReadAt(make([]byte, 1), 0); err == nil || blob.Local() {
				t.Errorf("a layer was read without unpacking: %v, %v", err, blob.Local())
			}
			s = open(t, ref, fetch.Options{Memory: memory, TempDir: t.TempDir()})
			for i, l := range manifest(t, s).Layers {
				b := openBlob(t, s, l)
				got := make([]byte, b.Size())
				if _, err := b.ReadAt(got, 0); err != nil || l.Digest != l.Digest.Algorithm().FromBytes(got) {
					t.Errorf("layer %d: %q, %v", i, got, err)
				}
			}
		})
	}
}

// TestArchiveForgotten learns anew what it has of a file that was changed, and
// what makes no sense.
func TestArchiveForgotten(t *testing.T) {
	memory := notes{}
	ref := save(t, gz(simple(t, "x").tar(t)))
	manifest(t, open(t, ref, fetch.Options{Memory: memory}))
	d, files := image(t, "x", "another layer")
	if err := os.WriteFile(ref, gz(layout(t, files, d).tar(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := manifest(t, open(t, ref, fetch.Options{Memory: memory})).Layers[0].Size; got != int64(len("another layer")) {
		t.Errorf("a layer of %d bytes", got)
	}
	for key, b := range memory {
		for _, bad := range [][]byte{nil, []byte("x"), b[:len(b)/2]} {
			memory[key] = bad
			manifest(t, open(t, ref, fetch.Options{Memory: memory}))
		}
	}
	plain := notes{}
	s := open(t, save(t, simple(t, "x").tar(t)), fetch.Options{Memory: plain})
	if b := openBlob(t, s, manifest(t, s).Layers[0]); len(plain) > 0 || !b.Local() {
		t.Errorf("%d notes about an archive that is not compressed; local: %v", len(plain), b.Local())
	}
}
