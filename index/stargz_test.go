package index_test

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/externaltoc"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
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

// A podmanRecord is one element of Podman's table of contents.
type podmanRecord struct {
	Type        string            `json:"type"`
	Name        string            `json:"name"`
	Linkname    string            `json:"linkName,omitempty"`
	Mode        int64             `json:"mode,omitempty"`
	Size        int64             `json:"size,omitempty"`
	UID         int               `json:"uid,omitempty"`
	GID         int               `json:"gid,omitempty"`
	ModTime     *time.Time        `json:"modtime,omitempty"`
	Devmajor    int64             `json:"devMajor,omitempty"`
	Devminor    int64             `json:"devMinor,omitempty"`
	Xattrs      map[string]string `json:"xattrs,omitempty"`
	Digest      string            `json:"digest,omitempty"`
	Offset      int64             `json:"offset,omitempty"`
	EndOffset   int64             `json:"endOffset,omitempty"`
	InnerOffset int64             `json:"innerOffset,omitempty"` // not Podman's
	ChunkSize   int64             `json:"chunkSize,omitempty"`
	ChunkOffset int64             `json:"chunkOffset,omitempty"`
	ChunkDigest string            `json:"chunkDigest,omitempty"`
	ChunkType   string            `json:"chunkType,omitempty"`
}

// podman packs as containers/storage does: chunks of uneven lengths, runs of
// zeros apart, each in a frame of its own; and behind the table the data of
// tar-split, which here is none.
func podman(chunk int) pack {
	return func(t testing.TB, archive []byte) packed {
		t.Helper()
		p := &podmanWriter{t: t}
		p.archive(archive, chunk)
		toc, err := json.Marshal(map[string]any{"version": 1, "entries": p.records,
			"tarSplitDigest": digest.FromString("tar-split")})
		if err != nil {
			t.Fatal(err)
		}
		return p.finish(toc)
	}
}

type podmanWriter struct {
	t       testing.TB
	blob    []byte
	records []podmanRecord
}

// frame appends a frame and says where it begins.
func (p *podmanWriter) frame(b []byte) int64 {
	off := int64(len(p.blob))
	if len(b) > 0 {
		p.blob = append(p.blob, zstdFrame(b)...)
	}
	return off
}

func zstdFrame(b []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

func (p *podmanWriter) archive(archive []byte, chunk int) {
	p.t.Helper()
	r := bytes.NewReader(archive)
	tr := tar.NewReader(r)
	done := 0 // of the archive
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			p.t.Fatal(err)
		}
		if h.Size == 0 {
			p.records = append(p.records, p.record(h))
			continue
		}
		start := len(archive) - r.Len()
		p.frame(archive[done:start])
		done = start + int(h.Size)
		p.file(h, archive[start:done], chunk)
	}
	p.frame(archive[done:])
}

func (p *podmanWriter) record(h *tar.Header) podmanRecord {
	kinds := map[byte]string{tar.TypeReg: "reg", tar.TypeLink: "hardlink", tar.TypeSymlink: "symlink", tar.TypeDir: "dir",
		tar.TypeChar: "char", tar.TypeBlock: "block", tar.TypeFifo: "fifo"}
	x := map[string]string{}
	for k, v := range h.PAXRecords {
		if name, ok := strings.CutPrefix(k, "SCHILY.xattr."); ok {
			x[name] = base64.StdEncoding.EncodeToString([]byte(v))
		}
	}
	return podmanRecord{Type: kinds[h.Typeflag], Name: h.Name, Linkname: h.Linkname, Mode: h.Mode, Size: h.Size,
		UID: h.Uid, GID: h.Gid, ModTime: &h.ModTime, Devmajor: h.Devmajor, Devminor: h.Devminor, Xattrs: x}
}

// file writes a file's chunks: of at most chunk bytes, and of zeros alone
// where there are 1024 or more.
func (p *podmanWriter) file(h *tar.Header, content []byte, chunk int) {
	main := p.record(h)
	main.Digest = digest.FromBytes(content).String()
	var chunks []podmanRecord
	for off := 0; off < len(content); {
		n, kind := cut(content[off:], chunk)
		chunks = append(chunks, podmanRecord{Type: "chunk", Name: h.Name, ChunkOffset: int64(off), ChunkSize: int64(n),
			ChunkType: kind, ChunkDigest: digest.FromBytes(content[off : off+n]).String(), Offset: p.frame(content[off : off+n])})
		off += n
	}
	main.Offset, main.EndOffset = chunks[0].Offset, int64(len(p.blob))
	if len(chunks) > 1 {
		main.ChunkSize, main.ChunkDigest, main.ChunkType = chunks[0].ChunkSize, chunks[0].ChunkDigest, chunks[0].ChunkType
	}
	p.records = append(append(p.records, main), chunks[1:]...)
}

func cut(b []byte, most int) (n int, kind string) {
	zeros := len(b) - len(bytes.TrimLeft(b, "\x00"))
	if zeros >= 1024 {
		return zeros, "zeros"
	}
	n = min(most, len(b))
	if i := bytes.Index(b[:n], make([]byte, 1024)); i > 0 {
		n = i
	}
	return n, ""
}

func skippable(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18}, uint32(len(b))), b...)
}

// finish appends the table, the tar-split data and the footer.
func (p *podmanWriter) finish(toc []byte) packed {
	p.t.Helper()
	packedTOC, split := zstdFrame(toc), zstdFrame([]byte("tar-split"))
	off := len(p.blob) + 8
	p.blob = append(p.blob, skippable(packedTOC)...)
	splitOff := len(p.blob) + 8
	p.blob = append(p.blob, skippable(split)...)
	var footer []byte
	for _, v := range []int{off, len(packedTOC), len(toc), 1, splitOff, len(split), 9} {
		footer = binary.LittleEndian.AppendUint64(footer, uint64(v))
	}
	p.blob = append(p.blob, skippable(append(footer, "GNUlInUx"...))...)
	return newPacked(p.t, p.blob, map[string]string{
		notePodmanChecksum: digest.FromBytes(packedTOC).String(),
		notePodmanPosition: fmt.Sprintf("%d:%d:%d:1", off, len(packedTOC), len(toc)),
		"io.github.containers.zstd-chunked.tarsplit-position": fmt.Sprintf("%d:%d:9", splitOff, len(split)),
	})
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
