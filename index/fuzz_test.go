package index_test

import (
	"bytes"
	"io"
	"testing"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// FuzzBuild gives Build any bytes at all: it refuses them, or what it stores
// can be read back and decodes to what the sink was given.
func FuzzBuild(f *testing.F) {
	small := lt.Tar(lt.Dir("d"), lt.File("d/f", "content", lt.Xattr("user.a", "b")), lt.Hardlink("d/g", "d/f"),
		lt.Symlink("l", "d"), lt.Char("c", 1, 3), lt.Sparse(lt.SparseV1, "s", 9999, []lt.Run{{Off: 5000, Data: "x"}}),
		lt.Sparse(lt.OldGNU, "o", 9999, []lt.Run{{Off: 5000, Data: "x"}}))
	for _, blob := range encodings(f, small) {
		f.Add(blob)
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		toc, k, err := build(blob, index.Options{Limits: index.Limits{Decoded: 8 << 20, Window: 8 << 20}})
		if err != nil {
			return
		}
		stored, err := index.Parse(toc.Append(nil))
		if err != nil {
			t.Fatalf("what Build made can't be read back: %v", err)
		}
		for e := range stored.Entries() {
			if e.Data == nil && e.Off+e.Size > int64(len(k.data)) {
				t.Fatalf("%s lies beyond the end at %d", e, len(k.data))
			}
		}
		for i := range stored.Len() {
			decode(t, stored, k, blob, k.data, i, i+1)
		}
	})
}

// FuzzParse gives Parse any bytes at all: it refuses them, or everything the
// TOC offers can be called, and stays within the blob.
func FuzzParse(f *testing.F) {
	for _, blob := range encodings(f, lt.Tar(lt.File("a", noise(3*index.ChunkSize, 1)), lt.Dir("d"))) {
		toc, _, err := build(blob, index.Options{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(toc.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		toc, err := index.Parse(b)
		if err != nil {
			return
		}
		if again := toc.Append(nil); !bytes.Equal(again, b) && len(again) == len(b) {
			// Numbers have one encoding but in the entries, whose varints may be longer than need be.
			if _, err := index.Parse(again); err != nil {
				t.Fatal(err)
			}
		}
		for e := range toc.Entries() {
			_ = e.String()
		}
		for i := range min(toc.Len(), 100) {
			off, n := toc.Extent(i, i+1)
			if off < 0 || n < 0 || off+n > toc.BlobSize() {
				t.Fatalf("chunk %d: %d bytes at %d of a blob of %d", i, n, off, toc.BlobSize())
			}
			if r := toc.Restart(i); r < 0 || r > i {
				t.Fatalf("chunk %d: restart at %d", i, r)
			}
			_ = toc.Decode(bytes.NewReader(b), bytes.NewReader(b), i, i+1, func(int, []byte) error { return io.EOF })
		}
	})
}
