package image_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// sociImage is a layout with an image of one gzip layer, and a SOCI index of it
// that the manifest names, with a zTOC that tamper may have changed.
func sociImage(t *testing.T, tar []byte, tamper func([]byte) []byte) string {
	t.Helper()
	l := lt.GzipLayer(tar)
	z, err := index.BuildSOCI(context.Background(), io.NopCloser(bytes.NewReader(l.Blob)), index.SOCIOptions{Span: 64 << 10, Tool: index.SOCITool})
	if err != nil {
		t.Fatal(err)
	}
	if tamper != nil {
		z = tamper(z)
	}
	x, err := index.MarshalSOCIIndex(&index.SOCIIndex{Version: 2, Tool: index.SOCITool, Ztocs: []index.SOCIZtoc{{
		Digest: digest.FromBytes(z), Size: int64(len(z)), Layer: digest.FromBytes(l.Blob), LayerType: l.MediaType, Span: 64 << 10}}})
	if err != nil {
		t.Fatal(err)
	}
	ref := layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{l}, Annotations: map[string]string{index.SOCIIndexDigest: digest.FromBytes(x).String()}})
	blobs := strings.TrimSuffix(strings.TrimPrefix(ref, "oci:"), ":t") + "/blobs/sha256/"
	for _, b := range [][]byte{z, x} {
		if err := os.WriteFile(blobs+digest.FromBytes(b).Encoded(), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return ref
}

// mixed is text of n lines that compresses to many blocks that refer to those
// before.
func mixed(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "abcdefgh %x\n", sha256.Sum256(fmt.Append(nil, i)))
	}
	return b.String()
}

// TestWrongWindows has a zTOC with windows that the layer wasn't compressed with:
// no span's digest shows it, but the diffID does, once all has been read. From
// then on the zTOC isn't used, whoever opens the image.
func TestWrongWindows(t *testing.T) {
	body := mixed(20_000)
	lie := func(z []byte) []byte { return bytes.ReplaceAll(z, []byte("abcdefgh"), []byte("ABCDEFGH")) }
	for name, c := range map[string]struct {
		tamper func([]byte) []byte
		want   [2]image.Origin
	}{
		"true":  {nil, [2]image.Origin{image.OriginSOCI, image.OriginSOCI}},
		"lying": {lie, [2]image.Origin{image.OriginSOCI, image.OriginRead}},
	} {
		t.Run(name, func(t *testing.T) {
			ref, s := sociImage(t, lt.Tar(lt.File("f", body)), c.tamper), store(t)
			for i, want := range c.want {
				img, err := image.Open(context.Background(), source(t, ref), s, image.Options{})
				if err != nil {
					t.Fatal(err)
				}
				n, err := img.Tree().Walk("f", true)
				if err != nil {
					t.Fatal(err)
				}
				p := make([]byte, len(body))
				_, err = img.ReadAt(n, p, 0)
				if verdict := img.Settle(); verdict != nil {
					err = verdict
				}
				found := c.tamper != nil && i == 0
				if wrong := (*image.WrongIndexError)(nil); errors.As(err, &wrong) != found || !found && (err != nil || string(p) != body) {
					t.Errorf("opened %d times: %v, right: %v", i+1, err, string(p) == body)
				}
				if got := img.Layers()[0].Origin; got != want {
					t.Errorf("opened %d times: %s, want %s", i+1, got, want)
				}
				img.Close()
			}
			entries, err := s.Entries()
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if c.tamper != nil && e.Kind == cache.KindSpace && strings.HasPrefix(e.Key, "space-soci") {
					t.Errorf("what the lie led to is kept: %s", e.Key)
				}
			}
		})
	}
}

// TestWrongHeader has a zTOC that tells a file to lie, or to end, elsewhere than
// it does, or to be setuid or another one's: the first read finds it, though not all has been
// read.
func TestWrongHeader(t *testing.T) {
	body := mixed(20_000)
	// The offset, and the size, of the file as little-endian numbers of 8 bytes.
	small := "the content of the file that is told of wrongly"
	archive := lt.Tar(lt.File("a", "first"), lt.File("f", small, lt.Mode(0o751), lt.Owner(1717, 0)), lt.File("long/"+strings.Repeat("n", 150)+"日", small+"!"), lt.File("z", body))
	off := int64(bytes.Index(archive, []byte(small)))
	number := func(n int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }
	for name, lie := range map[string]func([]byte) []byte{
		"true":            nil,
		"the next header": func(z []byte) []byte { return bytes.Replace(z, number(off), number(off+512), 1) },
		"another length":  func(z []byte) []byte { return bytes.Replace(z, number(int64(len(small))), number(512), 1) },
		"setuid":          func(z []byte) []byte { return bytes.Replace(z, number(0o751), number(0o4751), 1) },
		"another owner":   func(z []byte) []byte { return bytes.Replace(z, number(1717)[:4], number(1718)[:4], 1) },
		"its own, longer": func(z []byte) []byte {
			return bytes.Replace(z, number(int64(len(small))), number(int64(len(small))+1), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, ref := store(t), sociImage(t, archive, lie)
			img, err := image.Open(context.Background(), source(t, ref), s, image.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			if got := img.Layers()[0].Origin; got != image.OriginSOCI {
				t.Fatalf("the zTOC is refused: %s", got)
			}
			for path, want := range map[string]string{"f": small, "long/" + strings.Repeat("n", 150) + "日": small + "!"} {
				n, err := img.Tree().Walk(path, true)
				if err != nil {
					t.Fatal(err)
				}
				p := make([]byte, len(want))
				_, err = img.ReadAt(n, p, 0)
				if err != nil && strings.Count(err.Error(), "is wrong") != 1 {
					t.Errorf("%.9s: %v", path, err)
				}
				if lie != nil && path != "f" {
					continue // all is lost by now, or not yet
				}
				if wrong := (*image.WrongIndexError)(nil); errors.As(err, &wrong) != (lie != nil) || lie == nil && (err != nil || string(p) != want) {
					t.Errorf("%.9s: %v, %q", path, err, p)
				}
			}
		})
	}
}
