package layertest

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// notePodman begins the names of a zstd:chunked layer's annotations.
const notePodman = "io.github.containers.zstd-chunked."

// A ChunkedRecord is one element of Podman's table of contents.
type ChunkedRecord struct {
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

// ZstdChunked is a layer as containers/storage writes them: chunks of uneven
// lengths, most bytes each at most, runs of zeros apart, each in a frame of its
// own; behind them the table of contents and the data of tar-split, which here
// is none.
func ZstdChunked(tar []byte, most int) Layer {
	var c Chunked
	c.Archive(tar, most)
	toc, err := json.Marshal(map[string]any{"version": 1, "entries": c.Records,
		"tarSplitDigest": digest.FromString("tar-split")})
	must(err)
	l := c.Finish(toc)
	l.DiffID = digest.FromBytes(tar)
	return l
}

// A Chunked is a zstd:chunked layer in the making. The zero value is empty.
type Chunked struct {
	Blob    []byte // up to the table
	Records []ChunkedRecord
}

// Frame appends a frame and says where it begins.
func (c *Chunked) Frame(b []byte) int64 {
	off := int64(len(c.Blob))
	if len(b) > 0 {
		c.Blob = append(c.Blob, frame(b)...)
	}
	return off
}

// frame is b in a zstd frame.
func frame(b []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	must(err)
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// Archive appends an archive, its files in chunks of at most so many bytes,
// and lists it.
func (c *Chunked) Archive(archive []byte, chunk int) {
	r := bytes.NewReader(archive)
	tr := tar.NewReader(r)
	done := 0 // of the archive
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		must(err)
		if h.Size == 0 {
			c.Records = append(c.Records, record(h))
			continue
		}
		start := len(archive) - r.Len()
		c.Frame(archive[done:start])
		done = start + int(h.Size)
		c.file(h, archive[start:done], chunk)
	}
	c.Frame(archive[done:])
}

// record is what the table says of a header.
func record(h *tar.Header) ChunkedRecord {
	kinds := map[byte]string{tar.TypeReg: "reg", tar.TypeLink: "hardlink", tar.TypeSymlink: "symlink", tar.TypeDir: "dir",
		tar.TypeChar: "char", tar.TypeBlock: "block", tar.TypeFifo: "fifo"}
	x := map[string]string{}
	for k, v := range h.PAXRecords {
		if name, ok := strings.CutPrefix(k, "SCHILY.xattr."); ok {
			x[name] = base64.StdEncoding.EncodeToString([]byte(v))
		}
	}
	return ChunkedRecord{Type: kinds[h.Typeflag], Name: h.Name, Linkname: h.Linkname, Mode: h.Mode, Size: h.Size,
		UID: h.Uid, GID: h.Gid, ModTime: &h.ModTime, Devmajor: h.Devmajor, Devminor: h.Devminor, Xattrs: x}
}

// file writes a file's chunks: of at most chunk bytes, and of zeros alone
// where there are 1024 or more.
func (c *Chunked) file(h *tar.Header, content []byte, chunk int) {
	main := record(h)
	main.Digest = digest.FromBytes(content).String()
	var chunks []ChunkedRecord
	for off := 0; off < len(content); {
		n, kind := cut(content[off:], chunk)
		chunks = append(chunks, ChunkedRecord{Type: "chunk", Name: h.Name, ChunkOffset: int64(off), ChunkSize: int64(n),
			ChunkType: kind, ChunkDigest: digest.FromBytes(content[off : off+n]).String(), Offset: c.Frame(content[off : off+n])})
		off += n
	}
	main.Offset, main.EndOffset = chunks[0].Offset, int64(len(c.Blob))
	if len(chunks) > 1 {
		main.ChunkSize, main.ChunkDigest, main.ChunkType = chunks[0].ChunkSize, chunks[0].ChunkDigest, chunks[0].ChunkType
	}
	c.Records = append(append(c.Records, main), chunks[1:]...)
}

// cut is how much of b is the next chunk, and of which type.
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

// Skippable is b in a frame that decoders pass over.
func Skippable(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18}, uint32(len(b))), b...)
}

// Finish appends the table, the tar-split data and the footer. The layer has no
// diffID yet.
func (c *Chunked) Finish(toc []byte) Layer {
	packed, split := frame(toc), frame([]byte("tar-split"))
	off := len(c.Blob) + 8
	c.Blob = append(c.Blob, Skippable(packed)...)
	splitOff := len(c.Blob) + 8
	c.Blob = append(c.Blob, Skippable(split)...)
	var footer []byte
	for _, v := range []int{off, len(packed), len(toc), 1, splitOff, len(split), 9} {
		footer = binary.LittleEndian.AppendUint64(footer, uint64(v))
	}
	c.Blob = append(c.Blob, Skippable(append(footer, "GNUlInUx"...))...)
	return Layer{Blob: c.Blob, MediaType: ocispec.MediaTypeImageLayerZstd, Annotations: map[string]string{
		notePodman + "manifest-checksum": digest.FromBytes(packed).String(),
		notePodman + "manifest-position": fmt.Sprintf("%d:%d:%d:1", off, len(packed), len(toc)),
		notePodman + "tarsplit-position": fmt.Sprintf("%d:%d:9", splitOff, len(split)),
	}}
}
