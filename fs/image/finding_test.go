package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// wordy is a layout with an image of one gzip layer, in which later chunks
// refer to earlier ones, so that decoding them takes windows.
func wordy(t *testing.T) string {
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu")
	var b strings.Builder
	for b.Len() < 3<<20 {
		b.WriteString(words[r.IntN(len(words))] + " ")
	}
	return layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("words", b.String())))}})
}

// pushIndex pushes an index of the image at ref, which edit may have changed,
// one blob after another.
func pushIndex(t *testing.T, ref string, edit func(d *ocispec.Descriptor, b []byte) []byte) {
	t.Helper()
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
	var m ocispec.Manifest
	if err := json.Unmarshal(x.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	for i := range m.Layers {
		r, err := x.Blobs[i].Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		b = edit(&m.Layers[i], b)
		m.Layers[i].Digest, m.Layers[i].Size = digest.FromBytes(b), int64(len(b))
		x.Blobs[i] = fetch.Content{Descriptor: m.Layers[i], Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
	}
	if x.Manifest, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Push(context.Background(), fetch.Upload{Manifest: x.Manifest, Blobs: x.Blobs}); err != nil {
		t.Fatal(err)
	}
}

// repacked is a packed table of contents after a change.
func repacked(t *testing.T, packed []byte, change func([]byte) []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	toc, err := d.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return e.EncodeAll(change(toc), nil)
}

// findings opens the image at ref and returns what came of its claims.
func findings(t *testing.T, ref string, s *cache.Store) []image.Finding {
	t.Helper()
	var mu sync.Mutex
	var all []image.Finding
	img, err := image.Open(context.Background(), source(t, ref), s, image.Options{Findings: func(f image.Finding) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, f)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if o := img.Layers()[0].Origin; o != image.OriginRead && o != image.OriginCache {
		t.Errorf("the image goes by %s", o)
	}
	img.Close()
	return all
}

// TestFindings holds indexes against their layer: a true one, true ones that
// are made otherwise, and such as would have it decoded to something else.
func TestFindings(t *testing.T) {
	same := func(_ *ocispec.Descriptor, b []byte) []byte { return b }
	for _, c := range []struct {
		name string
		edit func(*ocispec.Descriptor, []byte) []byte
		want string // of the error
	}{
		{"true", same, ""},
		{"compressed otherwise", func(d *ocispec.Descriptor, b []byte) []byte {
			if strings.Contains(d.MediaType, "toc") {
				return repacked(t, b, func(toc []byte) []byte { return toc })
			}
			return b
		}, ""},
		{"windows of another layer", func(d *ocispec.Descriptor, b []byte) []byte {
			if strings.Contains(d.MediaType, "windows") {
				return bytes.Repeat([]byte{7}, len(b))
			}
			return b
		}, `entry "words": the table of contents has another content`},
		{"too few windows", func(d *ocispec.Descriptor, b []byte) []byte {
			if strings.Contains(d.MediaType, "windows") {
				return b[:len(b)/2]
			}
			return b
		}, "it is another layer's"},
		{"no table of contents", func(d *ocispec.Descriptor, b []byte) []byte {
			if strings.Contains(d.MediaType, "toc") {
				return []byte("hello")
			}
			return b
		}, "table of contents"},
		{"another name", func(d *ocispec.Descriptor, b []byte) []byte {
			if strings.Contains(d.MediaType, "toc") {
				return repacked(t, b, func(toc []byte) []byte { return bytes.Replace(toc, []byte("words"), []byte("sword"), 1) })
			}
			return b
		}, `entry "words": the table of contents has another name than the layer: sword, not words`},
	} {
		t.Run(c.name, func(t *testing.T) {
			ref := wordy(t)
			pushIndex(t, ref, c.edit)
			s := store(t)
			for range 2 { // the second time by the cache's
				all := findings(t, ref, s)
				if len(all) != 1 || all[0].Origin != image.OriginPushed || all[0].Named || all[0].Layer != 0 {
					t.Fatalf("%+v", all)
				}
				err := all[0].Err
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				if lie := (*index.MismatchError)(nil); strings.HasPrefix(c.want, "entry") && !errors.As(err, &lie) {
					t.Errorf("%T", err)
				}
			}
		})
	}
}

// wholePages is how a windows file of so many bytes is cut in the cache.
type wholePages int64

func (w wholePages) Len() int { return w.At(int64(w)-1) + 1 }
func (w wholePages) Bounds(i int) (int64, int64) {
	return int64(i) << 17, min(int64(i+1)<<17, int64(w))
}
func (w wholePages) At(off int64) int { return int(off >> 17) }

// TestBadPage has pages of windows in the cache that somebody has put there
// under the digest of others: they are fetched anew, and the right ones kept.
func TestBadPage(t *testing.T) {
	ref := wordy(t)
	var windows []byte
	pushIndex(t, ref, func(d *ocispec.Descriptor, b []byte) []byte {
		if strings.Contains(d.MediaType, "windows") {
			windows = b
		}
		return b
	})
	s := store(t)
	key := "windows-sha256-" + digest.FromBytes(windows).Encoded()
	all := func(content []byte) []byte {
		t.Helper()
		w := wholePages(len(windows))
		sp, err := s.Space(key, w, func(first, last int, put func(int, []byte) error) error {
			for i := first; i < last; i++ {
				start, end := w.Bounds(i)
				if err := put(i, content[start:end]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer sp.Close()
		got := make([]byte, len(windows))
		if _, err := sp.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		return got
	}
	all(bytes.Repeat([]byte{7}, len(windows)))
	img, err := image.Open(context.Background(), source(t, ref), s, image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := img.Tree().Walk("words", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := img.ReadAt(n, make([]byte, 100), 2<<20); err != nil {
		t.Error(err)
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
	got, w, right := all(bytes.Repeat([]byte{8}, len(windows))), wholePages(len(windows)), 0
	for i := range w.Len() {
		start, end := w.Bounds(i)
		if bytes.Equal(got[start:end], windows[start:end]) {
			right++
		}
	}
	if right == 0 {
		t.Errorf("no page of %d was replaced", w.Len())
	}
}

// TestSurvey lists what there is, in its order, and asks again what is
// remembered.
func TestSurvey(t *testing.T) {
	ref := wordy(t)
	s := store(t)
	survey := func(p image.Policy) (origins []image.Origin) {
		t.Helper()
		src := source(t, ref)
		m, err := image.Resolve(context.Background(), src, s, image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		claims, err := image.Survey(context.Background(), m, src, s, image.Options{Index: p, Warn: func(msg string) { t.Error(msg) }})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range claims {
			origins = append(origins, c.Origin)
		}
		return origins
	}
	if got := survey(""); got != nil {
		t.Errorf("nothing yet: %v", got)
	}
	pushIndex(t, ref, func(_ *ocispec.Descriptor, b []byte) []byte { return b })
	if got := survey(""); !slices.Equal(got, []image.Origin{image.OriginPushed}) {
		t.Errorf("pushed: %v", got)
	}
	findings(t, ref, s)
	if got := survey(""); !slices.Equal(got, []image.Origin{image.OriginCache, image.OriginPushed}) {
		t.Errorf("and read: %v", got)
	}
	if got := survey(image.PolicyTrusted); !slices.Equal(got, []image.Origin{image.OriginCache}) {
		t.Errorf("trusted: %v", got)
	}
	if got := survey(image.PolicyOff); got != nil {
		t.Errorf("off: %v", got)
	}
	src := source(t, ref)
	m, err := image.Resolve(context.Background(), src, s, image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := image.Forget(m, src, s); n != 1 || err != nil {
		t.Errorf("forget: %d, %v", n, err)
	}
	if gone, err := image.Retract(context.Background(), m, src, s, ""); len(gone) != 1 || err != nil {
		t.Errorf("retract: %v, %v", gone, err)
	}
	if got := survey(""); got != nil {
		t.Errorf("in the end: %v", got)
	}
}
