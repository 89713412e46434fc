package index_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
	"ocifs.dev/ocifs/index/internal/ztoc"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestSOCIRefused has zTOCs that must not be opened, each for its reason.
func TestSOCIRefused(t *testing.T) {
	data := archive()
	blob := lt.Gzip(data, 6)
	whole, err := buildSOCI(blob, index.SOCIOptions{Span: 1 << 18})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := buildSOCI(data, index.SOCIOptions{Span: 1 << 18})
	if err != nil {
		t.Fatal(err)
	}
	const cp = 12 // where the first checkpoint is, and how long they are
	const cpLen = 8 + 8 + 1 + 32768
	le := binary.LittleEndian
	for _, c := range []struct {
		name string
		edit func(h *ztoc.Header, files []ztoc.File)
		want string
		is   error // nil: a *FormatError that isn't one of the package's errors
	}{
		{"another layer", func(h *ztoc.Header, _ []ztoc.File) { h.CompressedSize++ }, "bytes, not", nil},
		{"a digest too few", func(h *ztoc.Header, _ []ztoc.File) { h.Digests = h.Digests[1:] }, "checkpoints, and", nil},
		{"checkpoints cut", func(h *ztoc.Header, _ []ztoc.File) { h.Checkpoints = h.Checkpoints[:100] }, "invalid ztoc", nil},
		{"a checkpoint behind the blob", func(h *ztoc.Header, _ []ztoc.File) { le.PutUint64(h.Checkpoints[cp+cpLen:], 1<<50) }, "checkpoint 1", nil},
		{"checkpoints that don't rise", func(h *ztoc.Header, _ []ztoc.File) {
			copy(h.Checkpoints[cp+2*cpLen:][:16], h.Checkpoints[cp+cpLen:])
		}, "checkpoint 2", nil},
		{"a span that overlaps the one before", func(h *ztoc.Header, _ []ztoc.File) {
			le.PutUint64(h.Checkpoints[cp+2*cpLen:], le.Uint64(h.Checkpoints[cp+cpLen:])-9)
		}, "checkpoint 2", nil},
		{"an offset that overflows", func(h *ztoc.Header, _ []ztoc.File) { le.PutUint64(h.Checkpoints[cp+cpLen:], 1<<63) }, "checkpoint 1", nil},
		{"no spans", func(h *ztoc.Header, _ []ztoc.File) { h.Digests, h.Checkpoints = nil, nil }, "invalid ztoc", nil},
		{"a huge archive", func(h *ztoc.Header, _ []ztoc.File) { h.UncompressedSize = 1 << 62 }, "decodes to more", index.ErrLimit},
		{"a huge span", func(h *ztoc.Header, _ []ztoc.File) { h.UncompressedSize = 1 << 29 }, "span", index.ErrLimit},
		{"an archive cut", func(h *ztoc.Header, _ []ztoc.File) { h.UncompressedSize = 10240 }, "lies elsewhere", nil},
		{"a type", func(_ *ztoc.Header, f []ztoc.File) { f[1].Type = "socket" }, `type "socket"`, nil},
		{"a time", func(_ *ztoc.Header, f []ztoc.File) { f[1].ModTime = "yesterday" }, "yesterday", nil},
		{"no time", func(_ *ztoc.Header, f []ztoc.File) { f[1].ModTime = "" }, "can't tell", index.ErrNoIndex},
		{"sparse", func(_ *ztoc.Header, f []ztoc.File) { f[2].PAX = []ztoc.Record{{Key: "GNU.sparse.major", Value: "1"}} }, "sparse", index.ErrNoIndex},
		{"no room for a header", func(_ *ztoc.Header, f []ztoc.File) { f[1].Off = f[0].Off }, "lies elsewhere", nil},
		{"within a block", func(_ *ztoc.Header, f []ztoc.File) { f[3].Off++ }, "lies elsewhere", nil},
		{"at the start", func(_ *ztoc.Header, f []ztoc.File) { f[0].Off = 0 }, "lies elsewhere", nil},
		{"before the start", func(_ *ztoc.Header, f []ztoc.File) { f[0].Off = -512 }, "lies elsewhere", nil},
		{"a negative size", func(_ *ztoc.Header, f []ztoc.File) { f[2].Size = -1 }, "lies elsewhere", nil},
		{"a size beyond all bounds", func(_ *ztoc.Header, f []ztoc.File) { f[len(f)-1].Size = 1<<63 - 1 }, "lies elsewhere", nil},
		{"the root as a file", func(_ *ztoc.Header, f []ztoc.File) { f[2].Name = "../" }, "root is not a directory", nil},
		{"a long name", func(_ *ztoc.Header, f []ztoc.File) { f[2].Name = strings.Repeat("x", 256) }, "a name of", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := openSOCI(remake(t, whole, c.edit), blob, data)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want something with %q", err, c.want)
			}
			var format *index.FormatError
			switch known := errors.Is(err, index.ErrLimit) || errors.Is(err, index.ErrNoIndex); {
			case c.is != nil && !errors.Is(err, c.is):
				t.Errorf("%v is not %v", err, c.is)
			case c.is == nil && (known || !errors.As(err, &format)):
				t.Errorf("%v is of another kind", err)
			}
		})
	}
	for name, edit := range map[string]func(h *ztoc.Header, files []ztoc.File){
		"another size": func(h *ztoc.Header, _ []ztoc.File) { h.Checkpoints = ztoc.Grid{Span: 1 << 18, Size: 5}.Marshal() },
		"another span": func(h *ztoc.Header, _ []ztoc.File) {
			h.Checkpoints = ztoc.Grid{Span: 1 << 30, Size: int64(len(data))}.Marshal()
		},
		"a long archive": func(h *ztoc.Header, _ []ztoc.File) { h.UncompressedSize++; h.UncompressedSize = int64(len(data)) + 1 },
	} {
		if _, err := openSOCI(remake(t, plain, edit), data, data); err == nil {
			t.Errorf("uncompressed, %s: no error", name)
		}
	}
	if _, err := index.OpenSOCI(whole, int64(len(blob)), index.Hints{}); err == nil {
		t.Error("a layer of unknown digest: no error")
	}
	h := index.Hints{Digest: digest.FromBytes(blob), DiffID: digest.FromBytes(data)}
	for _, l := range []index.Limits{{Entries: 2}, {TOC: 100}, {Chunk: 1000}, {Decoded: 1000}} {
		h.Limits = l
		if _, err := index.OpenSOCI(whole, int64(len(blob)), h); !errors.Is(err, index.ErrLimit) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// TestSOCILies has zTOCs that could be true and aren't: each is opened, and found
// out by Compare, and no lie about files changes what a span decodes to.
func TestSOCILies(t *testing.T) {
	data := liar()
	blob := lt.Gzip(data, 6)
	honest, err := buildSOCI(blob, index.SOCIOptions{Span: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	whole, k, err := build(blob, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(f []ztoc.File)
	}{
		{"setuid", func(f []ztoc.File) { f[2].Mode = 0o4755 }},
		{"another owner", func(f []ztoc.File) { f[2].UID = 7 }},
		{"another time", func(f []ztoc.File) { f[2].ModTime = "2001-01-01T00:00:00Z" }},
		{"another name", func(f []ztoc.File) { f[2].Name = "other" }},
		{"another type", func(f []ztoc.File) { f[2].Type = "fifo" }},
		{"one name twice", func(f []ztoc.File) { f[2].Name = f[1].Name }},
		{"a hard link to itself", func(f []ztoc.File) { f[3].Link = f[3].Name }},
		{"another attribute", func(f []ztoc.File) { f[2].PAX = []ztoc.Record{{Key: "SCHILY.xattr.user.x", Value: "y"}} }},
		{"a size too small", func(f []ztoc.File) { f[2].Size-- }},
		{"a size too large", func(f []ztoc.File) { f[2].Size++ }},
	} {
		t.Run(c.name, func(t *testing.T) {
			toc, err := openSOCI(remake(t, honest, func(_ *ztoc.Header, f []ztoc.File) { c.edit(f) }), blob, data)
			if err != nil {
				t.Fatal(err)
			}
			var lie *index.MismatchError
			if err := index.Compare(toc, whole, bytes.NewReader(k.data)); !errors.As(err, &lie) {
				t.Errorf("found nothing: %v", err)
			}
			off, n := toc.Extent(0, toc.Len())
			err = toc.Decode(bytes.NewReader(blob[off:off+n]), bytes.NewReader(toc.Windows()), 0, toc.Len(), func(i int, p []byte) error {
				if start, end := toc.Bounds(i); !bytes.Equal(p, data[start:end]) {
					t.Errorf("span %d has other bytes", i)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSOCIStored changes each byte of the stored form: it is refused, or
// nothing that the TOC offers panics or reaches beyond the blob.
func TestSOCIStored(t *testing.T) {
	data := lt.Tar(lt.Dir("d"), lt.File("d/f", noise(100_000, 1)))
	blob := lt.MultiGzip(data, 4)
	z, err := buildSOCI(blob, index.SOCIOptions{Span: 1})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := openSOCI(z, blob, data)
	if err != nil {
		t.Fatal(err)
	}
	good := whole.Append(nil)
	for i := range good {
		for _, v := range []byte{0, 1, 0x7f, 0xff, good[i] ^ 8} {
			bad := bytes.Clone(good)
			bad[i] = v
			toc, err := index.Parse(bad, index.Limits{})
			if err != nil {
				continue
			}
			for c := range toc.Len() {
				start, end := toc.Bounds(c)
				off, n := toc.Extent(c, toc.Len())
				if start >= end || toc.At(start) != c || toc.Restart(c) > c || off < 0 || n < 0 || off+n > toc.BlobSize() {
					t.Fatalf("byte %d as %d: chunk %d from %d to %d takes %d bytes at %d", i, v, c, start, end, n, off)
				}
				if i%8 == 0 && toc.BlobSize() == int64(len(blob)) {
					_ = toc.Decode(bytes.NewReader(blob[off:]), bytes.NewReader(whole.Windows()), c, toc.Len(), func(int, []byte) error { return nil })
				}
			}
		}
	}
	for n := range good {
		if _, err := index.Parse(good[:n], index.Limits{}); err == nil {
			t.Errorf("cut at %d: no error", n)
		}
	}
}

// TestBuildSOCIRefused has the layers that zTOCs can't tell of.
func TestBuildSOCIRefused(t *testing.T) {
	data := archive()
	for name, layer := range map[string][]byte{
		"zstd":                  lt.Zstd(data),
		"a global header":       lt.Tar(lt.Global(lt.Record{Key: "comment", Value: "x"}), lt.File("f", "")),
		"sparse, old":           lt.Tar(lt.Sparse(lt.OldGNU, "s", 9999, []lt.Run{{Off: 5000, Data: "x"}})),
		"sparse":                lt.Tar(lt.Sparse(lt.SparseV1, "s", 9999, []lt.Run{{Off: 5000, Data: "x"}})),
		"sparse 0.1":            lt.Tar(lt.Sparse(lt.SparseV01, "s", 9999, []lt.Run{{Off: 5000, Data: "x"}})),
		"a hard link of a size": lt.Tar(lt.File("f", "12345"), lt.Hardlink("g", "f", lt.Size(5))),
	} {
		if _, err := buildSOCI(layer, index.SOCIOptions{}); !errors.Is(err, index.ErrNoIndex) {
			t.Errorf("%s: %v", name, err)
		}
	}
	blob := lt.Gzip(data, 6)
	for name, o := range map[string]index.Options{
		"digest": {Digest: digest.FromString("another")},
		"size":   {Size: 1},
		"diffID": {DiffID: digest.FromString("another")},
	} {
		var broken *index.DigestError
		if _, err := buildSOCI(blob, index.SOCIOptions{Options: o}); !errors.As(err, &broken) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	for name, layer := range map[string][]byte{"cut": blob[:len(blob)/2], "no archive": lt.Gzip([]byte(noise(4096, 1)), 6)} {
		var format *index.FormatError
		if _, err := buildSOCI(layer, index.SOCIOptions{}); !errors.As(err, &format) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A block costs 5 bytes, a checkpoint 32 KiB.
	empty := append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 1000)...)
	o := index.SOCIOptions{Options: index.Options{Limits: index.Limits{TOC: 1 << 20}}}
	if _, err := buildSOCI(empty, o); !errors.Is(err, index.ErrLimit) {
		t.Errorf("empty blocks: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := index.BuildSOCI(ctx, io.NopCloser(bytes.NewReader(blob)), index.SOCIOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// FuzzOpenSOCI opens any bytes at all as a zTOC: it is refused, or the layer
// can be stored and read by it, whatever comes out.
func FuzzOpenSOCI(f *testing.F) {
	data := lt.Tar(lt.Dir("d"), lt.File("d/f", noise(100_000, 1), lt.Xattr("user.a", "b")), lt.Hardlink("d/g", "d/f"), lt.Symlink("l", "d"))
	blobs := [][]byte{lt.MultiGzip(data, 3), data}
	for i, blob := range blobs {
		z, err := buildSOCI(blob, index.SOCIOptions{Span: 1 << 15})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i == 0, z)
	}
	f.Fuzz(func(t *testing.T, gzip bool, z []byte) {
		blob := blobs[1]
		if gzip {
			blob = blobs[0]
		}
		toc, err := openSOCI(z, blob, data)
		if err != nil {
			return
		}
		stored, err := index.Parse(toc.Append(nil), index.Limits{})
		if err != nil {
			t.Fatalf("what OpenSOCI made can't be read back: %v", err)
		}
		for e := range stored.Entries() {
			if e.Off+e.Size > stored.Size() {
				t.Fatalf("%s lies beyond the end at %d", e, stored.Size())
			}
		}
		for i := range stored.Len() {
			off, n := stored.Extent(i, i+1)
			_ = stored.Decode(bytes.NewReader(blob[off:off+n]), bytes.NewReader(toc.Windows()), i, i+1, func(i int, p []byte) error {
				if start, end := stored.Bounds(i); int64(len(p)) != end-start {
					t.Fatalf("chunk %d of %d bytes has %d", i, end-start, len(p))
				}
				return nil
			})
		}
	})
}
