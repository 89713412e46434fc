package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// indexed is a layout with an image of gzip, zstd and plain layers, and an
// ocifs index of it, which tamper may have changed.
func indexed(t *testing.T, tamper func([]byte) []byte) (ref string, files map[string]string) {
	files = map[string]string{"secret": mixed(20_000), "zstd": strings.Repeat("zstd ", 200_000), "plain": "plain"}
	return indexedLayers(t, tamper, lt.GzipLayer(lt.Tar(lt.File("secret", files["secret"]))),
		lt.ZstdLayer(lt.Tar(lt.File("zstd", files["zstd"]))),
		lt.Plain(lt.Tar(lt.File("plain", files["plain"])))), files
}

// indexedLayers is indexed for these layers.
func indexedLayers(t *testing.T, tamper func([]byte) []byte, layers ...lt.Layer) (ref string) {
	ref = layout(t, "t", lt.Image{Tag: "t", Layers: layers})
	src := source(t, ref)
	img, err := image.Open(context.Background(), src, store(t), image.Options{Index: image.PolicyLocal})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	x, err := img.Index(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	u := fetch.Upload{Blobs: x.Blobs, Manifest: x.Manifest}
	if tamper != nil {
		u = tampered(t, u, tamper)
	}
	if _, err := src.Push(context.Background(), u); err != nil {
		t.Fatal(err)
	}
	return ref
}

// tampered changes the first layer's table of contents, and all digests that
// hang from it, as somebody would who wants to lie.
func tampered(t *testing.T, u fetch.Upload, tamper func([]byte) []byte) fetch.Upload {
	t.Helper()
	r, err := u.Blobs[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	packed, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := zstd.NewReader(nil)
	defer d.Close()
	toc, err := d.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := zstd.NewWriter(nil)
	lie := e.EncodeAll(tamper(toc), nil)
	var m ocispec.Manifest
	if err := json.Unmarshal(u.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	m.Layers[0].Digest, m.Layers[0].Size = digest.FromBytes(lie), int64(len(lie))
	u.Blobs[0] = fetch.Content{Descriptor: m.Layers[0], Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(lie)), nil }}
	u.Manifest, err = json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// strict has every claim be true.
func strict(f image.Finding) error { return f.Err }

// TestPushedIndex opens an image by an index that was pushed beside it.
func TestPushedIndex(t *testing.T) {
	ref, files := indexed(t, nil)
	for _, c := range []struct {
		o    image.Options
		want image.Origin
	}{
		{image.Options{}, image.OriginPushed},
		{image.Options{Index: image.PolicyTrusted}, image.OriginRead},
		{image.Options{Index: image.PolicyLocal}, image.OriginRead},
		{image.Options{Findings: strict}, image.OriginRead},
	} {
		s := store(t)
		for range 2 {
			img, err := image.Open(context.Background(), source(t, ref), s, c.o)
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range files {
				if got := read(t, img, path); got != want {
					t.Errorf("%s: %s: %d bytes, want %d", c.want, path, len(got), len(want))
				}
			}
			for i, l := range img.Layers() {
				if l.Origin != c.want && l.Origin != image.OriginCache {
					t.Errorf("layer %d: %s, want %s", i, l.Origin, c.want)
				}
			}
			img.Close()
		}
	}
}

// TestLyingIndex has an index that shows another name than the layer has. It
// is believed until all of the layer has been seen, and not a read longer; and
// not at all where everything is verified.
func TestLyingIndex(t *testing.T) {
	rename := func(toc []byte) []byte { return bytes.Replace(toc, []byte("secret"), []byte("public"), 1) }
	ref, files := indexed(t, rename)
	var mismatch *index.MismatchError
	if _, err := image.Open(context.Background(), source(t, ref), store(t), image.Options{Findings: strict}); !errors.As(err, &mismatch) {
		t.Errorf("verified: %v", err)
	}
	warned := make(chan string, 9)
	img, err := image.Open(context.Background(), source(t, ref), store(t), image.Options{Warn: func(msg string) { warned <- msg }})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	n, err := img.Tree().Walk("public", true)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, len(files["secret"])) // all of it, and with it the whole layer
	if _, err := img.ReadAt(n, p, 0); err == nil && string(p) != files["secret"] || err != nil && !errors.As(err, &mismatch) {
		t.Errorf("read: wrong bytes, or %v", err)
	}
	if err := image.Audited(img); !errors.As(err, &mismatch) { // the audit runs beside the reader
		t.Errorf("audit: %v", err)
	}
	if _, err := img.ReadAt(n, p[:1], 0); !errors.As(err, &mismatch) {
		t.Errorf("read when the lie was found: %v", err)
	}
	if msg := <-warned; !strings.Contains(msg, `layer 1 sha256:`) || !strings.Contains(msg, "secret") {
		t.Errorf("warned: %s", msg)
	}
}

// TestRememberedVerdict mounts by a lie, and by the truth, again when all that
// they decode to is in the cache: the truth is used again, the lie never.
func TestRememberedVerdict(t *testing.T) {
	for name, lies := range map[string]bool{"public": true, "secret": false} {
		ref, files := indexed(t, func(toc []byte) []byte { return bytes.Replace(toc, []byte("secret"), []byte(name), 1) })
		s := store(t)
		for i := range 3 {
			img, err := image.Open(context.Background(), source(t, ref), s, image.Options{})
			if err != nil {
				t.Fatal(err)
			}
			found := lies && i == 0
			if !found && lies { // it has been found
				name = "secret"
			}
			n, err := img.Tree().Walk(name, true)
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, len(files["secret"]))
			_, err = img.ReadAt(n, p, 0)
			if verdict := img.Settle(); verdict != nil {
				err = verdict
			}
			if wrong := (*image.WrongIndexError)(nil); errors.As(err, &wrong) != found || !found && string(p) != files["secret"] {
				t.Errorf("%s: %v", name, err)
			}
			if pushed := img.Layers()[0].Origin == image.OriginPushed; pushed != (found || !lies) {
				t.Errorf("%s: %s", name, img.Layers()[0].Origin)
			}
			img.Close()
		}
	}
}

// TestIndexOfAnotherPlace opens an image by a lying index in its repository, and
// then, with the same cache, the same image elsewhere, where nobody has pushed
// one.
func TestIndexOfAnotherPlace(t *testing.T) {
	rename := func(toc []byte) []byte { return bytes.Replace(toc, []byte("secret"), []byte("public"), 1) }
	bad, _ := indexed(t, rename)
	good, _ := indexed(t, nil)
	m, err := resolve(t, good, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.Retract(context.Background(), m, source(t, good), store(t), ""); err != nil {
		t.Fatal(err)
	}
	s := store(t)
	for _, c := range []struct {
		ref, file string
		origin    image.Origin
	}{{bad, "public", image.OriginPushed}, {good, "secret", image.OriginRead}} {
		img, err := image.Open(context.Background(), source(t, c.ref), s, image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if img.Layers()[0].Origin != c.origin {
			t.Errorf("%s, want %s", img.Layers()[0].Origin, c.origin)
		}
		if _, err := img.Tree().Walk(c.file, true); err != nil {
			t.Errorf("%s: %v", c.file, err)
		}
		img.Close()
	}
}

// TestSameByIndex has an image opened by an index, and read whole: that two files
// are the same bytes of the diffID is known when the index has been found true,
// and never of one that lies.
func TestSameByIndex(t *testing.T) {
	for name, lies := range map[string]bool{"public": true, "secret": false} {
		ref, files := indexed(t, func(toc []byte) []byte { return bytes.Replace(toc, []byte("secret"), []byte(name), 1) })
		whole, err := image.Open(context.Background(), source(t, ref), store(t), image.Options{Index: image.PolicyLocal})
		if err != nil {
			t.Fatal(err)
		}
		defer whole.Close()
		img, err := image.Open(context.Background(), source(t, ref), store(t), image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		n, err := img.Tree().Walk(name, true)
		if err != nil {
			t.Fatal(err)
		}
		m, err := whole.Tree().Walk("secret", true)
		if err != nil {
			t.Fatal(err)
		}
		if _, known := img.Same(n, whole, m); known {
			t.Errorf("%s: known before it was read", name)
		}
		if _, known := whole.Same(m, img, n); known {
			t.Errorf("%s: known before it was read, the other way round", name)
		}
		img.ReadAt(n, make([]byte, len(files["secret"])), 0) // and with it the whole layer
		if err := image.Audited(img); (err != nil) != lies {
			t.Errorf("%s: %v", name, err)
		}
		if same, known := img.Same(n, whole, m); same == lies || known == lies {
			t.Errorf("%s: when all was read: same %v, known %v", name, same, known)
		}
	}
}

// TestReplacedIndex mounts by an index, has it replaced by another one, and
// mounts again when the first one can't be read any more.
func TestReplacedIndex(t *testing.T) {
	ctx := context.Background()
	ref, _ := indexed(t, func(toc []byte) []byte { return bytes.Replace(toc, []byte("secret"), []byte("public"), 1) })
	src, s := source(t, ref), store(t)
	img, err := image.Open(ctx, src, s, image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	img.Close()
	m := img.Manifest()
	list, err := src.Referrers(ctx, m.Descriptor, image.IndexType)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := src.Delete(ctx, list[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(cache.KindObject, "doc-sha256-"+list[0].Digest.Encoded()); err != nil {
		t.Fatal(err)
	}
	if img, err = image.Open(ctx, src, store(t), image.Options{Index: image.PolicyLocal}); err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	x, err := img.Index(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.Push(ctx, fetch.Upload{Blobs: x.Blobs, Manifest: x.Manifest}); err != nil {
		t.Fatal(err)
	}
	again, err := image.Open(ctx, source(t, ref), s, image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Tree().Walk("secret", true); err != nil || again.Layers()[0].Origin != image.OriginPushed {
		t.Errorf("%s, %v", again.Layers()[0].Origin, err)
	}
}

// TestSeveralIndexes has two indexes of an image, the one pushed first and the
// other: everybody takes the one with the lower digest.
func TestSeveralIndexes(t *testing.T) {
	ctx := context.Background()
	lie := func(toc []byte) []byte { return bytes.Replace(toc, []byte("secret"), []byte("public"), 1) }
	for _, tampers := range [][2]func([]byte) []byte{{nil, lie}, {lie, nil}} {
		ref, _ := indexed(t, tampers[0])
		src := source(t, ref)
		img, err := image.Open(ctx, src, store(t), image.Options{Index: image.PolicyLocal})
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		x, err := img.Index(ctx)
		if err != nil {
			t.Fatal(err)
		}
		u := fetch.Upload{Blobs: x.Blobs, Manifest: x.Manifest}
		if tampers[1] != nil {
			u = tampered(t, u, tampers[1])
		}
		if _, err := src.Push(ctx, u); err != nil {
			t.Fatal(err)
		}
		list, err := src.Referrers(ctx, img.Manifest().Descriptor, image.IndexType)
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		claims, err := image.Survey(ctx, img.Manifest(), src, store(t), image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if want := min(list[0].Digest, list[1].Digest); claims[0].Index.Digest != want {
			t.Errorf("%s is taken, not %s", claims[0].Index.Digest, want)
		}
	}
}

// TestDamagedIndex has indexes that can't be used; the layers can.
func TestDamagedIndex(t *testing.T) {
	for name, tamper := range map[string]func([]byte) []byte{
		"garbage": func([]byte) []byte { return []byte("garbage") },
		"nothing": func([]byte) []byte { return nil },
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
	} {
		ref, files := indexed(t, tamper)
		var warned []string
		img, err := image.Open(context.Background(), source(t, ref), store(t), image.Options{Warn: func(msg string) { warned = append(warned, msg) }})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := read(t, img, "secret"); got != files["secret"] {
			t.Errorf("%s: wrong bytes", name)
		}
		if img.Layers()[0].Origin != image.OriginRead || img.Layers()[1].Origin != image.OriginPushed || len(warned) == 0 {
			t.Errorf("%s: %s, %s, %q", name, img.Layers()[0].Origin, img.Layers()[1].Origin, warned)
		}
		img.Close()
	}
}

// TestLostWindows reads by a pushed index whose windows are gone, or are not
// what they were: the layers are decoded from their beginning.
func TestLostWindows(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"gone": os.Remove,
		"wrong": func(file string) error {
			b, err := os.ReadFile(file)
			if err == nil {
				clear(b)
				err = os.WriteFile(file, b, 0o644)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ref, files := indexed(t, nil)
			s, warned := store(t), make(chan string, 9)
			img, err := image.Open(context.Background(), source(t, ref), s, image.Options{Warn: func(msg string) { warned <- msg }})
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(windowsFile(t, ref)); err != nil {
				t.Fatal(err)
			}
			n, err := img.Tree().Walk("secret", true)
			if err != nil {
				t.Fatal(err)
			}
			for _, off := range []int{1 << 20, 1<<20 + 1<<18, 3 << 18} { // not in the first chunk, which needs no state
				p := make([]byte, 1000)
				if _, err := img.ReadAt(n, p, int64(off)); err != nil || string(p) != files["secret"][off:off+1000] {
					t.Errorf("read: %v", err)
				}
			}
			wrong := name == "wrong"
			if wrong { // the reader may have its bytes before that is noted
				select {
				case msg := <-warned:
					if err := img.Astray(); err == nil || msg != err.Error() || !strings.Contains(msg, "layer 1 sha256:") || !strings.Contains(msg, "index sha256:") {
						t.Errorf("astray: %v; warned: %s", err, msg)
					}
				case <-time.After(time.Minute):
					t.Fatal("nobody is warned")
				}
			}
			err = img.Astray()
			img.Close()
			if len(warned) > 0 || (err != nil) != wrong {
				t.Errorf("astray: %v; warned %d times more", err, len(warned))
			}
			if !wrong {
				return
			}
			if img, err = image.Open(context.Background(), source(t, ref), s, image.Options{}); err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			if got := img.Layers()[0].Origin; got != image.OriginRead {
				t.Errorf("opened again: %s", got)
			}
		})
	}
}

// windowsFile is the blob of the layout at ref that holds the gzip layer's
// states.
func windowsFile(t *testing.T, ref string) string {
	t.Helper()
	dir := strings.TrimSuffix(strings.TrimPrefix(ref, "oci:"), ":t") + "/blobs/sha256/"
	blobs, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range blobs {
		b, err := os.ReadFile(dir + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		var m ocispec.Manifest
		if json.Unmarshal(b, &m) != nil || m.ArtifactType != image.IndexType {
			continue
		}
		for _, d := range m.Layers {
			if strings.Contains(d.MediaType, "windows") && d.Size > 0 {
				return dir + d.Digest.Encoded()
			}
		}
	}
	t.Fatal("no windows")
	return ""
}

// TestIndexWithoutWindows has an index of which the windows are gone: it is
// passed over, and the layers are read.
func TestIndexWithoutWindows(t *testing.T) {
	ref, files := indexed(t, nil)
	blobs := strings.TrimSuffix(strings.TrimPrefix(ref, "oci:"), ":t") + "/blobs/sha256/"
	list, err := os.ReadDir(blobs)
	if err != nil {
		t.Fatal(err)
	}
	gone := 0
	for _, f := range list {
		b, _ := os.ReadFile(blobs + f.Name()) // or it has just been removed
		var m ocispec.Manifest
		if json.Unmarshal(b, &m) != nil || m.ArtifactType != image.IndexType {
			continue
		}
		for _, d := range m.Layers {
			if d.MediaType == "application/vnd.ocifs.windows.v1" && d.Size > 0 && os.Remove(blobs+d.Digest.Encoded()) == nil {
				gone++
			}
		}
	}
	if gone == 0 {
		t.Fatal("no windows to remove")
	}
	img, err := image.Open(context.Background(), source(t, ref), store(t), image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		if got := read(t, img, path); got != want {
			t.Errorf("%s: %d bytes, want %d", path, len(got), len(want))
		}
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
}

// TestUnfitTable has a table of contents of which no tree can be made, as a hard
// link leads back to itself: it is passed over with a warning, and the layer is
// read.
func TestUnfitTable(t *testing.T) {
	lie := func(toc []byte) []byte {
		at := bytes.LastIndex(toc, []byte("\x06target"))
		return append(append(bytes.Clone(toc[:at]), "\x06linked"...), toc[at+7:]...)
	}
	ref := indexedLayers(t, lie, lt.GzipLayer(lt.Tar(lt.File("target", "content"), lt.Hardlink("linked", "target"))),
		lt.GzipLayer(lt.Tar(lt.File("more", "content"))))
	for _, o := range []image.Options{{}, {View: image.View{Layer: "1"}}} {
		var warned []string
		o.Warn = func(msg string) { warned = append(warned, msg) }
		img, err := image.Open(context.Background(), source(t, ref), store(t), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, img, "linked"); got != "content" {
			t.Errorf("it reads %q", got)
		}
		layers := img.Layers()
		if layers[0].Origin != image.OriginRead || len(layers) > 1 && layers[1].Origin != image.OriginPushed {
			t.Errorf("opened by %s", layers[0].Origin)
		}
		if len(warned) != 1 || !strings.Contains(warned[0], "layer 1 sha256:") || !strings.Contains(warned[0], "leads back to itself") {
			t.Errorf("warned: %q", warned)
		}
		img.Close()
	}
}
