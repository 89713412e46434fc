package index_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
)

// TestRaw reads blobs that are no archives: whole, after which each chunk can
// be verified, and unread, where none can.
func TestRaw(t *testing.T) {
	for name, blob := range map[string][]byte{
		"empty": {}, "a byte": {7}, "a chunk": []byte(noise(index.ChunkSize, 1)), "three": []byte(noise(2*index.ChunkSize+11, 2)),
		"what looks like gzip": {0x1f, 0x8b, 8, 0}, "what looks like xz": {0xfd, '7', 'z', 'X', 'Z', 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := digest.FromBytes(blob)
			toc, k, err := build(blob, index.Options{Digest: d, Size: int64(len(blob)), Format: index.Raw})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(k.data, blob) || toc.Format() != index.Raw || toc.NumEntries() != 0 || toc.Digest() != d || toc.DiffID() != d {
				t.Errorf("%s, %d entries, blob %s, diffID %s", toc.Format(), toc.NumEntries(), toc.Digest(), toc.DiffID())
			}
			again, err := index.Parse(toc.Append(nil), index.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			unread := index.Unread(d, int64(len(blob)))
			for what, toc := range map[string]*index.TOC{"built": toc, "parsed": again, "unread": unread} {
				if toc.Len() != unread.Len() || toc.Size() != int64(len(blob)) {
					t.Fatalf("%s: %d chunks of %d bytes", what, toc.Len(), toc.Size())
				}
				for i := range toc.Len() {
					decode(t, toc, k, blob, blob, i, i+1)
				}
			}
			if len(blob) == 0 {
				return
			}
			if _, err := index.Parse(unread.Append(nil), index.Limits{}); err == nil {
				t.Error("an unread blob's table can be stored")
			}
			blob[len(blob)-1] ^= 1
			last := toc.Len() - 1
			off, n := toc.Extent(last, last+1)
			err = toc.Decode(bytes.NewReader(blob[off:off+n]), nil, last, last+1, func(int, []byte) error { return nil })
			var chunk *index.ChunkError
			if !errors.As(err, &chunk) {
				t.Errorf("a flipped bit: error is %v", err)
			}
			var broken *index.DigestError
			if _, _, err := build(blob, index.Options{Digest: d, Format: index.Raw}); !errors.As(err, &broken) {
				t.Errorf("a flipped bit, read whole: error is %v", err)
			}
			err = unread.Decode(bytes.NewReader(blob[:len(blob)-1]), nil, 0, unread.Len(), func(int, []byte) error { return nil })
			if err == nil {
				t.Error("a blob that is too short was decoded")
			}
		})
	}
}
