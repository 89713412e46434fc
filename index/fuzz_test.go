package index_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"

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
		stored, err := index.Parse(toc.Append(nil), index.Limits{})
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
	data := lt.Tar(lt.File("a", noise(3*index.ChunkSize, 1)), lt.Dir("d"))
	for _, blob := range encodings(f, data) {
		toc, _, err := build(blob, index.Options{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(toc.Append(nil))
	}
	for _, p := range packs() {
		toc, _, err := open(p.pack(f, data))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(toc.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		toc, err := index.Parse(b, index.Limits{})
		if err != nil {
			return
		}
		if again := toc.Append(nil); !bytes.Equal(again, b) && len(again) == len(b) {
			// Numbers have one encoding but in the entries, whose varints may be longer than need be.
			if _, err := index.Parse(again, index.Limits{}); err != nil {
				t.Fatal(err)
			}
		}
		exercise(t, toc, b)
	})
}

// exercise calls all that a TOC offers, and decodes whatever of blob Extent
// names, as far as blob goes.
func exercise(t *testing.T, toc *index.TOC, blob []byte) {
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
		start, end := toc.Bounds(i)
		if start >= end || toc.At(start) != i || toc.At(end-1) != i {
			t.Fatalf("chunk %d: [%d, %d) is in chunks %d to %d", i, start, end, toc.At(start), toc.At(end-1))
		}
		if end-start > 64<<20 {
			continue // Parse may believe it, but there is no need to wait for it
		}
		src := io.NewSectionReader(bytes.NewReader(blob), off, n)
		_ = toc.Decode(src, bytes.NewReader(blob), i, i+1, func(int, []byte) error { return io.EOF })
	}
}

// tables are tables of contents to begin with, right ones and lies.
func tables(f *testing.F, p packed) (seeds [][]byte) {
	keep := func(b []byte) []byte {
		seeds = append(seeds, bytes.Clone(b))
		return b
	}
	relist(f, p, keep)
	for _, lie := range lies {
		relist(f, p, func(b []byte) []byte { return keep(edited(f, lie.edit)(b)) })
	}
	return seeds
}

// fuzzOpen opens a layer, the table of contents perhaps apart, with limits that
// a fuzzer can wait for.
func fuzzOpen(t *testing.T, blob, apart []byte, notes map[string]string) {
	d := digest.FromBytes(blob)
	toc, _, err := open(packed{blob, index.Hints{Digest: d, DiffID: d, Annotations: notes, TOC: apart,
		Limits: index.Limits{TOC: 1 << 20, Chunk: 1 << 20}}})
	if err != nil {
		return
	}
	if toc, err = index.Parse(toc.Append(nil), index.Limits{}); err != nil {
		t.Fatalf("what Open made can't be read back: %v", err)
	}
	exercise(t, toc, blob)
}

// FuzzOpenEstargz gives Open any table, behind any members, with a footer that
// says where it lies or anything else. It refuses that, or the TOC can be
// stored and used.
func FuzzOpenEstargz(f *testing.F) {
	p := stargz(estargz.WithChunkSize(100))(f, about(250))
	off, _, err := estargz.OpenFooter(io.NewSectionReader(bytes.NewReader(p.blob), 0, int64(len(p.blob))))
	if err != nil {
		f.Fatal(err)
	}
	for _, toc := range tables(f, p) {
		f.Add(p.blob[:off], toc, int64(0))
	}
	f.Add([]byte{}, []byte(`{"version":1,"entries":[]}`), int64(1))
	f.Fuzz(func(t *testing.T, members, toc []byte, wrong int64) {
		blob := append(bytes.Clone(members), tableMember(t, toc)...)
		blob = append(blob, footer(max(0, int64(len(members))+wrong))...)
		fuzzOpen(t, blob, nil, map[string]string{noteStargz: digest.FromBytes(toc).String()})
	})
}

// FuzzOpenExternal is FuzzOpenEstargz for a table apart, of which a TOC image
// may have any bytes at all.
func FuzzOpenExternal(f *testing.F) {
	p := external(f, about(250))
	for _, toc := range tables(f, stargz(estargz.WithChunkSize(100))(f, about(250))) {
		f.Add(p.blob, toc, true)
	}
	f.Add(p.blob, p.hints.TOC, false)
	f.Fuzz(func(t *testing.T, blob, toc []byte, encode bool) {
		apart := toc
		if encode {
			apart = tableMember(t, toc)
		}
		fuzzOpen(t, blob, apart, map[string]string{noteStargz: digest.FromBytes(toc).String()})
	})
}

// FuzzOpenZstdChunked is FuzzOpenEstargz for the other format, with an
// annotation for the footer; the table may be no frame at all.
func FuzzOpenZstdChunked(f *testing.F) {
	p := podman(100)(f, about(250))
	var off, n int
	if _, err := fmt.Sscanf(p.hints.Annotations[notePodmanPosition], "%d:%d:", &off, &n); err != nil {
		f.Fatal(err)
	}
	for _, toc := range tables(f, p) {
		f.Add(p.blob[:off], toc, true, "")
	}
	f.Add(p.blob[:off], p.blob[off:off+n], false, "")
	f.Add([]byte{}, []byte{}, true, "0:0:0:1")
	f.Fuzz(func(t *testing.T, members, toc []byte, encode bool, place string) {
		packed := toc
		if encode {
			packed = lt.Zstd(toc)
		}
		if place == "" {
			place = fmt.Sprintf("%d:%d:%d:1", len(members), len(packed), len(toc))
		}
		fuzzOpen(t, append(bytes.Clone(members), packed...), nil, map[string]string{
			notePodmanPosition: place, notePodmanChecksum: digest.FromBytes(packed).String()})
	})
}
