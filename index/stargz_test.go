package index_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/externaltoc"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// The annotations of the formats.
const (
	noteStargz         = "containerd.io/snapshot/stargz/toc.digest"
	notePodmanChecksum = "io.github.containers.zstd-chunked.manifest-checksum"
	notePodmanPosition = "io.github.containers.zstd-chunked.manifest-position"
	noteZstdChecksum   = "io.containers.zstd-chunked.manifest-checksum"
	noteZstdPosition   = "io.containers.zstd-chunked.manifest-position"
)

// A packed layer is one with a table of contents, and what its manifest says.
type packed struct {
	blob  []byte
	hints index.Hints
}

// pack turns an archive into a layer with a table of contents.
type pack func(t testing.TB, archive []byte) packed

// newPacked is a layer and its hints; the diffID is that of what blob decodes
// to.
func newPacked(t testing.TB, blob []byte, notes map[string]string) packed {
	t.Helper()
	whole, _, err := build(blob, index.Options{})
	if err != nil {
		t.Fatalf("what was packed is no layer: %v", err)
	}
	return packed{blob, index.Hints{Digest: digest.FromBytes(blob), DiffID: whole.DiffID(), Annotations: notes}}
}

// stargz packs with stargz-snapshotter's Build.
func stargz(options ...estargz.Option) pack {
	return func(t testing.TB, archive []byte) packed {
		t.Helper()
		b, err := estargz.Build(io.NewSectionReader(bytes.NewReader(archive), 0, int64(len(archive))),
			append([]estargz.Option{estargz.WithCompressionLevel(1), estargz.WithParallelism(2)}, options...)...)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		blob, err := io.ReadAll(b)
		if err != nil {
			t.Fatal(err)
		}
		return newPacked(t, blob, map[string]string{noteStargz: string(b.TOCDigest())})
	}
}

// lossless packs with stargz-snapshotter's Writer, which keeps the archive as
// it is, its end included, before the table of contents.
func lossless(chunk, least int) pack {
	return func(t testing.TB, archive []byte) packed {
		t.Helper()
		var blob bytes.Buffer
		w := estargz.NewWriterLevel(&blob, 1)
		w.ChunkSize, w.MinChunkSize = chunk, least
		return writeTo(t, w, archive, &blob, nil)
	}
}

func writeTo(t testing.TB, w *estargz.Writer, archive []byte, blob *bytes.Buffer, notes map[string]string) packed {
	t.Helper()
	if err := w.AppendTarLossLess(bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	d, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if notes == nil {
		notes = map[string]string{}
	}
	notes[noteStargz] = string(d)
	return newPacked(t, blob.Bytes(), notes)
}

// external packs with the table of contents apart.
func external(t testing.TB, archive []byte) packed {
	t.Helper()
	var blob, toc bytes.Buffer
	c := externaltoc.NewGzipCompressorWithLevel(1)
	w := estargz.NewWriterWithCompressor(&blob, struct {
		*externaltoc.GzipCompressor
	}{c})
	w.ChunkSize = 100_000
	p := writeTo(t, w, archive, &blob, nil)
	if _, err := c.WriteTOCTo(&toc); err != nil {
		t.Fatal(err)
	}
	p.hints.TOC = toc.Bytes()
	return p
}

// zstdStargz packs in stargz-snapshotter's dialect of zstd:chunked. Without
// position the annotations are those of an image that says no more than must
// be said.
func zstdStargz(chunk, least int, position bool) pack {
	return func(t testing.TB, archive []byte) packed {
		t.Helper()
		var blob bytes.Buffer
		notes := map[string]string{}
		c := &zstdchunked.Compressor{CompressionLevel: zstd.SpeedFastest}
		if position {
			c.Metadata = notes
		}
		w := estargz.NewWriterWithCompressor(&blob, c)
		w.ChunkSize, w.MinChunkSize = chunk, least
		return writeTo(t, w, archive, &blob, notes)
	}
}

// podman packs as containers/storage does.
func podman(chunk int) pack {
	return func(t testing.TB, archive []byte) packed {
		t.Helper()
		l := lt.ZstdChunked(archive, chunk)
		return newPacked(t, l.Blob, l.Annotations)
	}
}

// finish is a layer in the making with this table of contents.
func finish(t testing.TB, c *lt.Chunked, toc []byte) packed {
	t.Helper()
	l := c.Finish(toc)
	return newPacked(t, l.Blob, l.Annotations)
}

// packs are the ways to pack an archive, and how many reads it takes at most
// to open what comes out of a small one.
func packs() map[string]struct {
	pack  pack
	reads int
} {
	prioritized := estargz.WithPrioritizedFiles([]string{"usr/bin/small", "even"})
	missing := estargz.WithAllowPrioritizeNotFound(new([]string))
	type p = struct {
		pack  pack
		reads int
	}
	return map[string]p{
		"estargz":                              {stargz(estargz.WithChunkSize(100_000)), 1},
		"estargz, one part":                    {stargz(estargz.WithParallelism(1)), 1},
		"estargz, packed":                      {stargz(estargz.WithChunkSize(100_000), estargz.WithMinChunkSize(50_000)), 1},
		"estargz, prioritized":                 {stargz(estargz.WithChunkSize(1<<20), prioritized, missing), 1},
		"estargz, lossless":                    {lossless(100_000, 0), 1},
		"estargz, lossless and packed":         {lossless(0, 30_000), 1},
		"estargz, table apart":                 {external, 0},
		"zstd:chunked, Podman's":               {podman(60_000), 1},
		"zstd:chunked, Podman's, large chunks": {podman(1 << 30), 1},
		"zstd:chunked, stargz's":               {zstdStargz(100_000, 0, true), 1},
		"zstd:chunked, stargz's, packed":       {zstdStargz(100_000, 20_000, true), 1},
		"zstd:chunked, no position":            {zstdStargz(0, 0, false), 1},
	}
}

// TestTableHeader has the table of contents in a member whose header tells a mode,
// an owner and a time, as other writers than the format's first have it. Rights
// that nobody vouches for it doesn't give.
func TestTableHeader(t *testing.T) {
	honest := stargz()(t, lt.Tar(lt.File("f", "content")))
	off, _, err := estargz.OpenFooter(io.NewSectionReader(bytes.NewReader(honest.blob), 0, int64(len(honest.blob))))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(honest.blob[off:]))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(z)
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	table, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options []lt.Option
		err     error
	}{
		"mode":   {[]lt.Option{lt.Mode(0o644)}, nil},
		"owner":  {[]lt.Option{lt.Mode(0), lt.Owner(5, 7)}, nil},
		"setuid": {[]lt.Option{lt.Mode(0o4755)}, index.ErrNoIndex},
		"xattr":  {[]lt.Option{lt.Xattr("user.a", "b")}, index.ErrNoIndex},
	} {
		blob := append(bytes.Clone(honest.blob[:off]), lt.Gzip(lt.Tar(lt.File("stargz.index.json", string(table), c.options...)), 6)...)
		blob = append(blob, estargz.CreateGzipFooter(fmt.Appendf(nil, "SG\x16\x00%016xSTARGZ", off))...)
		p := newPacked(t, blob, honest.hints.Annotations)
		toc, _, err := open(p)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		whole, data, err := build(blob, index.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := index.Check(toc, whole, bytes.NewReader(data.data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
