package convert_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs/convert"
	"ocifs.dev/ocifs/fs/image"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestConvertSparse writes sparse files of every kind in every format: what is
// read stays the same.
func TestConvertSparse(t *testing.T) {
	runs := []lt.Run{{Off: 1 << 20, Data: "island"}, {Off: 3<<20 - 4, Data: "end."}}
	dir := t.TempDir()
	lt.WriteLayout(t, dir, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(
		lt.File("before", "x", lt.Xattr("user.x", "y")),
		lt.Sparse(lt.OldGNU, "old", 3<<20, runs), lt.Sparse(lt.SparseV0, "v0", 3<<20, runs),
		lt.Sparse(lt.SparseV01, "v01", 3<<20, runs), lt.Sparse(lt.SparseV1, "v1", 3<<20, runs),
		lt.Sparse(lt.SparseV1, "d/"+strings.Repeat("h", 200)+"日", 4<<20, nil),
		lt.Hardlink("link", "v1"), lt.File("behind", "z")))}})
	img := open(t, "oci:"+dir+":t", image.PolicyLocal)
	want := tell(t, img)
	for _, f := range convert.Formats {
		out, err := convert.Convert(context.Background(), img, convert.Options{Format: f, TempDir: t.TempDir()})
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		defer out.Close()
		ref := push(t, out)
		for _, p := range []image.Policy{image.PolicyLocal, image.PolicyTrusted} {
			if got := tell(t, open(t, ref, p)); !slices.Equal(got, want) {
				t.Errorf("%s, %s: another content", f, p)
			}
		}
	}
}
