package image_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path"
	"testing"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestClaimedDigest refuses an archive whose layer is not what it claims, also
// where the cache has what it claims from an honest one.
func TestClaimedDigest(t *testing.T) {
	honest := lt.Plain(lt.Tar(lt.File("who", "good")))
	liar := lt.Plain(lt.Tar(lt.File("who", "evil")))
	liar.DiffID = honest.DiffID
	if len(liar.Blob) != len(honest.Blob) {
		t.Fatal("sizes tell them apart")
	}
	for name, pack := range map[string]func([]byte) []byte{"plain": bytes.Clone, "compressed": func(b []byte) []byte { return lt.Gzip(b, gzip.BestSpeed) }} {
		t.Run(name, func(t *testing.T) {
			dir, s := t.TempDir(), store(t)
			write := func(file string, l lt.Layer) string {
				file = path.Join(dir, file)
				if err := os.WriteFile(file, pack(lt.DockerArchive(lt.Image{Layers: []lt.Layer{l}})), 0o600); err != nil {
					t.Fatal(err)
				}
				return file
			}
			good, bad, copied := write("good", honest), write("bad", liar), write("copied", honest)
			for _, c := range []struct {
				file string
				ok   bool
			}{{bad, false}, {good, true}, {bad, false}, {bad, false}, {copied, true}, {good, true}} {
				img, err := openRemembering(t, "docker-archive:"+c.file, s, dir)
				var wrong *index.DigestError
				switch {
				case c.ok && err != nil, !c.ok && !errors.As(err, &wrong):
					t.Fatalf("%s: error is %v", path.Base(c.file), err)
				case c.ok && read(t, img, "who") != "good":
					t.Errorf("%s: other bytes", path.Base(c.file))
				}
			}
			for _, file := range []string{good, copied} { // which are not unpacked again for it
				if _, err := openRemembering(t, "docker-archive:"+file, s, dir+"/none"); err != nil {
					t.Errorf("%s, again: %v", path.Base(file), err)
				}
			}
		})
	}
}

// openRemembering opens an image in an archive, of which s is the Memory and
// which is unpacked in temp.
func openRemembering(t *testing.T, ref string, s *cache.Store, temp string) (*image.Image, error) {
	src, err := fetch.Open(context.Background(), ref, fetch.Options{Memory: s, TempDir: temp})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { src.Close() })
	img, err := image.Open(context.Background(), src, s, image.Options{})
	if err == nil {
		t.Cleanup(func() { img.Close() })
	}
	return img, err
}
