package index_test

import (
	"errors"
	"fmt"
	"testing"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestParseLimits holds stored tables to the limits, as the layers that they are
// of, and says how long each is.
func TestParseLimits(t *testing.T) {
	var files []lt.Entry
	for i := range 20 {
		files = append(files, lt.File(fmt.Sprint(i), noise(20_000, uint64(i)), lt.Xattr("user.a", "x"), lt.Xattr("user.b", "y")))
	}
	gzip, _, err := build(lt.Gzip(lt.Tar(files...), 6), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sparse, _, err := build(lt.Tar(lt.Sparse(lt.SparseV1, "sparse", 3<<20, []lt.Run{{Off: 4096, Data: "x"}, {Off: 1 << 20, Data: "x"}})), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opened, _, err := open(stargz()(t, liar()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		toc    *index.TOC
		limits index.Limits
	}{
		{"entries", gzip, index.Limits{Entries: 19}},
		{"decoded", gzip, index.Limits{Decoded: 300_000}},
		{"attributes", gzip, index.Limits{Xattrs: 1}},
		{"extents", sparse, index.Limits{Extents: 1}},
		{"entries of a table", opened, index.Limits{Entries: 4}},
		{"chunks of a table", opened, index.Limits{Chunk: 100_000}},
		{"what a table decodes to", opened, index.Limits{Decoded: 250_000}},
	} {
		stored := c.toc.Append(nil)
		if n := c.toc.Stored(); n != int64(len(stored)) {
			t.Errorf("%s: %d bytes are stored, not %d", c.name, len(stored), n)
		}
		if _, err := index.Parse(stored, index.Limits{}); err != nil {
			t.Errorf("%s: without limits: %v", c.name, err)
		}
		if toc, err := index.Parse(stored, c.limits); !errors.Is(err, index.ErrLimit) || toc != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
