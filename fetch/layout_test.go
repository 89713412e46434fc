package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fetch"
)

// TestLayout reads images from directories and from archives of the same
// files, plain and compressed as a whole.
func TestLayout(t *testing.T) {
	one, oneFiles := image(t, "one", "layer 1", "layer 2")
	two, twoFiles := image(t, "docker.io/x/y:busybox:1.38", "layer 3")
	none, noneFiles := image(t, "", "layer 4")
	named, namedFiles := image(t, "latest", "layer 5")
	named.Annotations["io.containerd.image.name"] = "docker.io/library/named:latest"
	all := slices.Concat(oneFiles, twoFiles, noneFiles, namedFiles)
	both := layout(t, all, one, two, none)
	for _, c := range []struct {
		name   string
		tree   tree
		suffix string
		want   string // layers, or what the error says
		err    error
	}{
		{"one image", layout(t, oneFiles, one), "", "layer 1,layer 2", nil},
		{"one image, by tag", layout(t, oneFiles, one), ":one", "layer 1,layer 2", nil},
		{"one image, another tag", layout(t, oneFiles, one), ":two", "the layout has one", fetch.ErrNotFound},
		{"one image without a tag", layout(t, noneFiles, none), "", "layer 4", nil},
		{"two images", both, "", "several images, name one: the layout has one, docker.io/x/y:busybox:1.38, @" + none.Digest.String(), errAny},
		{"two images, the first", both, ":one", "layer 1,layer 2", nil},
		{"two images, the second", both, ":docker.io/x/y:busybox:1.38", "layer 3", nil},
		{"two images, by digest", both, "@" + none.Digest.String(), "layer 4", nil},
		{"an image that the index does not list", layout(t, all, one), "@" + two.Digest.String(), "layer 3", nil},
		{"a digest that is not there", both, "@" + digest.FromString("x").String(), "not found", fetch.ErrNotFound},
		{"the same image twice", layout(t, oneFiles, one, one), "", "layer 1,layer 2", nil},
		{"two images by the same name", layout(t, all, one, ocispec.Descriptor{
			Digest: two.Digest, Size: two.Size, Annotations: one.Annotations,
		}), ":one", "several images, name one: the layout has @" + one.Digest.String(), errAny},
		{"by containerd's name", layout(t, namedFiles, named), ":docker.io/library/named:latest", "layer 5", nil},
		{"no images", layout(t, oneFiles), "", "the layout has no images", fetch.ErrNotFound},
		{"no index", layout(t, oneFiles, one)[:1], "", "", errWhatever},
		{"no blobs", layout(t, nil, one), "", "not found", fetch.ErrNotFound},
		{"no layer", layout(t, slices.Delete(slices.Clone(oneFiles), 1, 2), one), "", "not found", fetch.ErrNotFound},
		{"index is not JSON", tree{file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("index.json", "<html>")}, "", "index.json", errAny},
		{"index too big", tree{file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("index.json", strings.Repeat(" ", fetch.MaxDocument+1))}, "", "document of", fetch.ErrUnsupported},
		{"a layer cut short", append(layout(t, oneFiles, one), file(oneFiles[1].name, "layer")), "", "5 bytes, not 7", errDigest},
		{"a wrong manifest", append(layout(t, oneFiles, one), file(oneFiles[len(oneFiles)-1].name, strings.Repeat(" ", int(one.Size)))), "", "content has digest", errDigest},
		{"a manifest without a size", layout(t, oneFiles, ocispec.Descriptor{Digest: one.Digest}), "", fmt.Sprintf("content has %d bytes, not 0", one.Size), errDigest},
		{"a manifest without a size, by digest", layout(t, oneFiles, ocispec.Descriptor{Digest: one.Digest}), "@" + one.Digest.String(), "bytes, not 0", errDigest},
		{"a manifest of a negative size", layout(t, oneFiles, ocispec.Descriptor{Digest: one.Digest, Size: -1}), "", "bytes, not -1", errDigest},
		{"a digest that is a path", layout(t, oneFiles, ocispec.Descriptor{Digest: "sha256:../../../etc/passwd", Size: 1}), "", "digest", errAny},
		{"links inside", append(layout(t, nil, one), linked(oneFiles)...), "", "layer 1,layer 2", nil},
		{"a link that leads out", layout(t, replace(oneFiles, 2, "../../../outside"), one), "", "", errWhatever},
		{"an absolute link", layout(t, replace(oneFiles, 2, "/etc/passwd"), one), "", "", errWhatever},
		{"a link to itself", layout(t, replace(oneFiles, 2, filepath.Base(oneFiles[2].name)), one), "", "", errWhatever},
	} {
		t.Run(c.name, func(t *testing.T) {
			archive := c.tree.tar(t)
			for _, ref := range []string{
				"oci:" + c.tree.dir(t), c.tree.dir(t),
				"oci-archive:" + save(t, archive), save(t, archive),
				"oci-archive:" + save(t, gz(archive)), save(t, zst(archive)),
			} {
				layers, warnings, err := contents(t, ref+c.suffix)
				checkErr(t, err, c.err)
				got := strings.Join(layers, ",")
				if err != nil {
					got = err.Error()
				}
				if !strings.Contains(got, c.want) {
					t.Errorf("%s: %s, want %s", ref, got, c.want)
				}
				if len(warnings) > 0 {
					t.Errorf("%s: warnings: %q", ref, warnings)
				}
			}
		})
	}
}

// replace puts a link in a file's place.
func replace(files tree, i int, to string) tree {
	files = slices.Clone(files)
	files[i] = link(files[i].name, to)
	return files
}

// linked puts files elsewhere, and links to them in their places.
func linked(files tree) (out tree) {
	for i, f := range files {
		out = append(out, file(fmt.Sprintf("data/%d", i), f.body), link(f.name, fmt.Sprintf("../../data/%d", i)))
	}
	return out
}

// TestLayoutVersion warns of what is odd, and reads on.
func TestLayoutVersion(t *testing.T) {
	for version, warn := range map[string]bool{
		`{"imageLayoutVersion":"1.0.0"}`: false,
		`{"imageLayoutVersion":"1.1"}`:   false,
		`{"imageLayoutVersion":"9.0.0"}`: true,
		`{}`:                             true,
		`<html>`:                         true,
		"":                               true, // no such file
	} {
		files := simple(t, "x")
		files[0].body = version
		if version == "" {
			files = files[1:]
		}
		for _, ref := range []string{files.dir(t), "oci:" + files.dir(t), save(t, files.tar(t))} {
			layers, warnings, err := contents(t, ref)
			if err != nil || !slices.Equal(layers, []string{"layer"}) || (len(warnings) == 1) != warn {
				t.Errorf("%q: %q, %v; %q", version, layers, err, warnings)
			}
		}
	}
}

// TestNoLayout names what is missing.
func TestNoLayout(t *testing.T) {
	dir := t.TempDir()
	for _, ref := range []string{"oci:" + dir, dir, "oci:" + dir + "/none", dir + "/none", "oci:" + dir + "/none:tag", "oci-archive:" + dir + "/none"} {
		_, err := fetch.Open(context.Background(), ref, fetch.Options{})
		checkErr(t, err, fetch.ErrNotFound)
	}
	fifo := dir + "/fifo"
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"oci:" + fifo, fifo, "oci-archive:" + fifo, "docker-archive:/dev/null", "oci-archive:" + dir} {
		if _, err := fetch.Open(context.Background(), ref, fetch.Options{}); err == nil {
			t.Errorf("%s: no error", ref)
		}
	}
}

// TestLayoutOddFiles does not wait for the other end of a FIFO, nor read
// anything else that is not a file.
func TestLayoutOddFiles(t *testing.T) {
	d, files := image(t, "x", "layer")
	for name, put := range map[string]func(string) error{
		"fifo":      func(name string) error { return unix.Mkfifo(name, 0o600) },
		"directory": func(name string) error { return os.Mkdir(name, 0o700) },
	} {
		for _, f := range append(files, file("index.json", ""), file("oci-layout", "")) {
			dir := layout(t, files, d).dir(t)
			at := filepath.Join(dir, f.name)
			if err := os.Remove(at); err != nil {
				t.Fatal(err)
			}
			if err := put(at); err != nil {
				t.Fatal(err)
			}
			if _, _, err := contents(t, "oci:"+dir); err == nil {
				t.Errorf("%s for %s: no error", name, f.name)
			}
		}
	}
}

// TestLayoutChanges reads what is left of a blob that is cut while it is open.
func TestLayoutChanges(t *testing.T) {
	d, files := image(t, "x", strings.Repeat("x", 10_000))
	dir := layout(t, files, d).dir(t)
	s := open(t, "oci:"+dir, fetch.Options{})
	b := openBlob(t, s, manifest(t, s).Layers[0])
	if err := os.Truncate(filepath.Join(dir, blobName(b.Digest())), 5000); err != nil {
		t.Fatal(err)
	}
	if n, err := b.ReadAt(make([]byte, 100), 4000); n != 100 || err != nil {
		t.Error(n, err)
	}
	if n, err := b.ReadAt(make([]byte, 2000), 4000); n != 1000 || err == nil {
		t.Error(n, err)
	}
	r := b.Range(0, b.Size())
	defer r.Close()
	if got, err := io.ReadAll(r); len(got) != 5000 || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), dir) {
		t.Error(len(got), err)
	}
}
