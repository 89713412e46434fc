package index_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestZerosDigest has tables that tell a file to be zeros, wholly or in part: it
// must have the digest of zeros, and room in the limits.
func TestZerosDigest(t *testing.T) {
	const truth = "hello truth\n"
	sum := func(s string) string { return digest.FromString(s).String() }
	none := func(n int) string { return sum(string(make([]byte, n))) }
	file := func(size int64, whole string) lt.ChunkedRecord {
		return lt.ChunkedRecord{Type: "reg", Name: "f", Size: size, Mode: 0o644, ModTime: &lt.Epoch, Digest: whole, ChunkType: "zeros"}
	}
	chunked := func(r lt.ChunkedRecord, n int64, digest string) lt.ChunkedRecord {
		r.ChunkSize, r.ChunkDigest, r.ChunkType = n, digest, ""
		return r
	}
	second := func(digest string) lt.ChunkedRecord {
		return lt.ChunkedRecord{Type: "chunk", Name: "f", ChunkOffset: 6, ChunkSize: 6, ChunkType: "zeros", ChunkDigest: digest}
	}
	for _, c := range []struct {
		name string
		list []lt.ChunkedRecord
		want error
		lie  bool // the error is none of those, but a FormatError
	}{
		{"true", []lt.ChunkedRecord{file(12, none(12))}, nil, false},
		{"a lie", []lt.ChunkedRecord{file(12, sum(truth))}, nil, true},
		{"another length", []lt.ChunkedRecord{file(12, none(11))}, nil, true},
		{"true in the second chunk", []lt.ChunkedRecord{chunked(file(12, ""), 6, sum("hello ")), second(none(6))}, nil, false},
		{"a lie in the second chunk", []lt.ChunkedRecord{chunked(file(12, ""), 6, sum("hello ")), second(sum("truth\n"))}, nil, true},
		{"no digest", []lt.ChunkedRecord{file(12, "")}, index.ErrNoIndex, false},
		{"a PiB", []lt.ChunkedRecord{file(1<<50, none(12))}, index.ErrLimit, false},
		{"more than a batch", slices.Repeat([]lt.ChunkedRecord{file(12, none(12))}, 1<<16+1), nil, false},
		{"a lie behind a batch", append(slices.Repeat([]lt.ChunkedRecord{file(12, none(12))}, 1<<16), file(12, sum(truth))), nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := new(lt.Chunked)
			p.Frame(lt.Tar(lt.File("f", truth)))
			toc, err := json.Marshal(map[string]any{"version": 1, "entries": c.list})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = open(finish(t, p, toc))
			var format *index.FormatError
			if lie := errors.As(err, &format) && !errors.Is(err, index.ErrLimit); lie != c.lie || !c.lie && !errors.Is(err, c.want) {
				t.Errorf("open: %v", err)
			}
		})
	}
}
