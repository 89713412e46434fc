package image_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestMisplacedChunk has a layer's own table of contents that is true, but for
// where a chunk lies in the blob.
func TestMisplacedChunk(t *testing.T) {
	tar := lt.Tar(lt.File("a", noise(20_000)), lt.File("b", noise(30_000)))
	for name, off := range map[string]int64{"true": 0, "misplaced": 3} {
		var c lt.Chunked
		c.Archive(tar, 1<<20)
		for i := range c.Records {
			if c.Records[i].Name == "b" {
				c.Records[i].Offset += off
			}
		}
		toc, err := json.Marshal(map[string]any{"version": 1, "entries": c.Records})
		if err != nil {
			t.Fatal(err)
		}
		l := c.Finish(toc)
		l.DiffID = lt.Plain(tar).DiffID
		ref := layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{l}})
		var found []error
		img, err := image.Open(context.Background(), source(t, ref), store(t), image.Options{Findings: func(f image.Finding) error {
			found = append(found, f.Err)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		img.Close()
		var mismatch *index.MismatchError
		if len(found) != 1 || errors.As(found[0], &mismatch) != (off != 0) {
			t.Errorf("%s: %d findings, %v", name, len(found), found)
		}
	}
}

// TestDroppedTable has a table of contents that the manifest vouches for and that
// can't be used: that is said.
func TestDroppedTable(t *testing.T) {
	var c lt.Chunked
	tar := lt.Tar(lt.File("a", noise(20_000)))
	c.Archive(tar, 1<<20)
	c.Records[0].Digest = ""
	toc, err := json.Marshal(map[string]any{"version": 1, "entries": c.Records})
	if err != nil {
		t.Fatal(err)
	}
	l := c.Finish(toc)
	l.DiffID = lt.Plain(tar).DiffID
	ref := layout(t, "t", lt.Image{Tag: "t", Layers: []lt.Layer{l}})
	var warned []string
	img, err := image.Open(context.Background(), source(t, ref), store(t), image.Options{Warn: func(msg string) { warned = append(warned, msg) }})
	if err != nil {
		t.Fatal(err)
	}
	img.Close()
	if len(warned) != 1 || !strings.Contains(warned[0], "table of contents is not used") || img.Layers()[0].Origin != image.OriginRead {
		t.Errorf("%s; warned: %q", img.Layers()[0].Origin, warned)
	}
}
