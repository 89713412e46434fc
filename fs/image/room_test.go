package image_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestManyTables has an image of which no layer's table is large, but all are
// together: that is one error, and no layer is to blame for more than that.
func TestManyTables(t *testing.T) {
	var layers []lt.Layer
	for i := range 20 {
		layers = append(layers, lt.GzipLayer(lt.Tar(lt.File(strings.Repeat(fmt.Sprint(i%10), 200), "x"), lt.File(fmt.Sprint(i), "x"))))
	}
	ref, s := layout(t, "t", lt.Image{Tag: "t", Layers: layers}), store(t)
	for _, policy := range []image.Policy{image.PolicyOff, image.PolicyLocal, image.PolicyRepository} {
		img, err := image.Open(context.Background(), source(t, ref), s, image.Options{Index: policy})
		if err != nil {
			t.Fatal(err)
		}
		img.Close()
		_, err = image.Open(context.Background(), source(t, ref), s, image.Options{Index: policy, Tables: 5000})
		if !errors.Is(err, index.ErrLimit) || strings.Count(err.Error(), "tables of contents") != 1 {
			t.Errorf("%s: %v", policy, err)
		}
	}
}
