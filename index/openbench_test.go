package index_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// forty is what a table of 40,000 entries lists: a directory, nine files and a
// link, over and over. The files' contents are nowhere, each 20 bytes long.
func forty(add func(kind, name, link string, size, off int64, sum string)) (end int64) {
	for i := range 40_000 {
		dir := fmt.Sprintf("usr/share/package-%04d", i/11)
		name := fmt.Sprintf("%s/file-%x.js", dir, i*7919)
		switch i % 11 {
		case 0:
			add("dir", dir+"/", "", 0, 0, "")
		case 10:
			add("symlink", name, "../../file", 0, 0, "")
		default:
			end += 20
			add("reg", name, "", 1000, end, digest.FromString(name).String())
		}
	}
	return end + 20
}

// BenchmarkOpen opens layers of 40,000 entries; bytes are those of the JSON.
func BenchmarkOpen(b *testing.B) {
	b.Run("estargz", func(b *testing.B) {
		toc := &estargz.JTOC{Version: 1}
		end := forty(func(kind, name, link string, size, off int64, sum string) {
			toc.Entries = append(toc.Entries, &estargz.TOCEntry{Name: name, Type: kind, LinkName: link, Size: size, Mode: 0o644,
				ModTime3339: "2024-01-02T03:04:05Z", Offset: off, Digest: sum, ChunkDigest: sum})
		})
		table, err := json.MarshalIndent(toc, "", "\t")
		if err != nil {
			b.Fatal(err)
		}
		blob := append(make([]byte, end-20), lt.Gzip(make([]byte, 1024), 6)...) // the last file and its padding: an archive that goes on
		at := int64(len(blob))
		blob = append(append(blob, tableMember(b, table)...), footer(at)...)
		benchmarkOpen(b, blob, len(table), map[string]string{noteStargz: digest.FromBytes(table).String()})
	})
	b.Run("zstdchunked", func(b *testing.B) {
		var p lt.Chunked
		when := time.Unix(1_700_000_000, 123456789).UTC()
		end := forty(func(kind, name, link string, size, off int64, sum string) {
			p.Records = append(p.Records, lt.ChunkedRecord{Type: kind, Name: name, Linkname: link, Size: size, Mode: 0o644,
				ModTime: &when, Offset: off, EndOffset: off + 20, Digest: sum})
		})
		table, err := json.Marshal(map[string]any{"version": 1, "entries": p.Records})
		if err != nil {
			b.Fatal(err)
		}
		packed := lt.Zstd(table)
		blob := append(make([]byte, end+8), packed...)
		benchmarkOpen(b, blob, len(table), map[string]string{
			notePodmanPosition: fmt.Sprintf("%d:%d:%d:1", end+8, len(packed), len(table)),
			notePodmanChecksum: digest.FromBytes(packed).String()})
	})
}

func benchmarkOpen(b *testing.B, blob []byte, table int, notes map[string]string) {
	b.SetBytes(int64(table))
	b.ReportAllocs()
	h := index.Hints{Digest: digest.FromString("x"), DiffID: digest.FromString("y"), Annotations: notes}
	var stored []byte
	for b.Loop() {
		toc, err := index.Open(context.Background(), bytes.NewReader(blob), h)
		if err != nil {
			b.Fatal(err)
		}
		if stored == nil {
			stored = toc.Append(nil)
		}
	}
	b.ReportMetric(float64(len(stored))/40_000, "B/entry")
}

// BenchmarkDecodeFile is one small file of a layer with a table of contents,
// from compressed bytes in memory.
func BenchmarkDecodeFile(b *testing.B) {
	var files []lt.Entry
	for i := range 50 {
		files = append(files, lt.File(fmt.Sprint(i), noise(4000, uint64(i))))
	}
	for name, pack := range map[string]pack{"estargz": stargz(), "zstdchunked": podman(1 << 20)} {
		p := pack(b, lt.Tar(files...))
		toc, _, err := open(p)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4000)
			b.ReportAllocs()
			for i := 1; b.Loop(); i = i%48 + 1 {
				off, n := toc.Extent(i, i+1)
				err := toc.Decode(bytes.NewReader(p.blob[off:off+n]), nil, i, i+1, func(int, []byte) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
