package convert_test

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/convert"
	"ocifs.dev/ocifs/fs/image"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// open opens the image that ref points at.
func open(t *testing.T, ref string, p image.Policy) *image.Image {
	t.Helper()
	src, err := fetch.Open(context.Background(), ref, fetch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	store, err := cache.Open(t.TempDir(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	img, err := image.Open(context.Background(), src, store, image.Options{Index: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	return img
}

// tell is what an image holds, a line per name, but for what eStargz adds.
func tell(t *testing.T, img *image.Image) []string {
	t.Helper()
	tr := img.Tree()
	var lines []string
	var walk func(dir string)
	walk = func(dir string) {
		n, err := tr.Walk(dir, false)
		if err != nil {
			t.Fatal(err)
		}
		first, count := tr.Dirents(n)
		for i := first; i < first+count; i++ {
			name, child := tr.Dirent(i)
			path := strings.TrimPrefix(dir+"/"+name, "/")
			if path == "stargz.index.json" || strings.HasSuffix(path, ".landmark") {
				continue
			}
			a := tr.Attr(child)
			content := make([]byte, a.Size)
			if tr.IsDir(child) {
				walk(path)
				content = nil
			} else if a.Mode&0o170000 == 0o100000 {
				if _, err := img.ReadAt(child, content, 0); err != nil && err != io.EOF {
					t.Fatalf("%s: %v", path, err)
				}
			}
			lines = append(lines, fmt.Sprintf("%s %o %d %d %d %d %v %q", path, a.Mode, a.UID, a.GID, a.Sec, a.Nlink, tr.Xattrs(child), content))
		}
	}
	walk("")
	return lines
}

// TestConvert writes an image in every format, and reads it back.
func TestConvert(t *testing.T) {
	history := []ocispec.History{{CreatedBy: "one"}, {CreatedBy: "nothing", EmptyLayer: true}, {CreatedBy: "two"}}
	source := lt.Image{Tag: "t", Annotations: map[string]string{"kept": "yes", "com.amazon.soci.index-digest": "gone"},
		Config: ocispec.Image{Config: ocispec.ImageConfig{Env: []string{"A=b"}, Cmd: []string{"/bin/x"}}, History: history},
		Layers: []lt.Layer{
			lt.GzipLayer(lt.Tar(lt.Dir("etc", lt.Mode(0o711)), lt.File("etc/a", strings.Repeat("long ", 100_000)), lt.File("etc/b", "b", lt.Xattr("user.x", "y")), lt.Hardlink("etc/c", "etc/b"))),
			lt.ZstdLayer(lt.Tar(lt.Symlink("link", "etc/a"), lt.Whiteout("etc/b"), lt.File("last", "x"))),
		}}
	dir := t.TempDir()
	lt.WriteLayout(t, dir, source)
	img := open(t, "oci:"+dir+":t", image.PolicyLocal)
	want := tell(t, img)
	for _, f := range convert.Formats {
		t.Run(string(f), func(t *testing.T) {
			read := map[int]int64{}
			o := convert.Options{Format: f, First: []string{"last", "nowhere"}, TempDir: t.TempDir(), Progress: func(i int, done, size int64) {
				if done < read[i] || done > size || size != img.Layers()[i].Size {
					t.Errorf("layer %d: %d of %d bytes, after %d", i, done, size, read[i])
				}
				read[i] = done
			}}
			out, err := convert.Convert(context.Background(), img, o)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			for i, l := range img.Layers() {
				if read[i] < l.Size*9/10 { // the archive's end may go unread
					t.Errorf("layer %d: told of %d of %d bytes", i, read[i], l.Size)
				}
			}
			ref := push(t, out)
			if f == convert.EStargz || f == convert.ZstdChunked {
				if first := names(t, open(t, ref, image.PolicyLocal), 1); !slices.Equal(first[:2], []string{"last", ".prefetch.landmark"}) {
					t.Errorf("in front: %q", first)
				}
			}
			origin := map[convert.Format]image.Origin{convert.EStargz: image.OriginLayer, convert.ZstdChunked: image.OriginLayer}[f]
			for _, p := range []image.Policy{image.PolicyTrusted, image.PolicyLocal} {
				got := open(t, ref, p)
				if lines := tell(t, got); !slices.Equal(lines, want) {
					t.Errorf("%s:\n got %q\nwant %q", p, lines, want)
				}
				if o := got.Layers()[0].Origin; p == image.PolicyTrusted && origin != "" && o != origin {
					t.Errorf("its table of contents was not used: %s", o)
				}
			}
			check(t, out, history)
		})
	}
}

// names are those in a layer's archive.
func names(t *testing.T, img *image.Image, layer int) (list []string) {
	t.Helper()
	r, err := img.Archive(layer)
	if err != nil {
		t.Fatal(err)
	}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, h.Name)
	}
}

// push puts a converted image into a layout.
func push(t *testing.T, m *convert.Image) string {
	t.Helper()
	ref := "oci:" + t.TempDir() + "/layout:new"
	dst, err := fetch.Create(context.Background(), ref, fetch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	u := fetch.Upload{Manifest: m.Manifest, Tagged: true}
	for _, b := range append(slices.Clone(m.Layers), m.Config) {
		u.Blobs = append(u.Blobs, fetch.Content{Descriptor: b.Descriptor, Open: func() (io.ReadCloser, error) { return io.NopCloser(b.Open()), nil }})
	}
	if _, err := dst.Push(context.Background(), u); err != nil {
		t.Fatal(err)
	}
	return ref
}

// check holds the configuration and the manifest to what the source had.
func check(t *testing.T, m *convert.Image, history []ocispec.History) {
	t.Helper()
	b, err := io.ReadAll(m.Config.Open())
	if err != nil {
		t.Fatal(err)
	}
	var c ocispec.Image
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.History) != len(history) || c.History[1].CreatedBy != "nothing" || len(c.RootFS.DiffIDs) != 2 || c.Config.Env[0] != "A=b" {
		t.Errorf("configuration: %s", b)
	}
	var got ocispec.Manifest
	if err := json.Unmarshal(m.Manifest, &got); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got.Annotations, map[string]string{"kept": "yes"}) {
		t.Errorf("annotations: %v", got.Annotations)
	}
}
