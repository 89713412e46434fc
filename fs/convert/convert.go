// Package convert writes an image anew in another layer format: eStargz or
// zstd:chunked, which any tool can pull and lazy ones read in pieces, or plain
// gzip or zstd.
//
// What a layer decodes to stays the same but for eStargz and zstd:chunked, which
// add a landmark to the archive, eStargz also its table of contents, and so change
// the diffID, and for sparse files, of which neither table can tell: in the archive they have
// all their zeros then.
// The configuration keeps everything but that, its history too; the manifest
// keeps its annotations. The result is an OCI image, whatever the source was.
package convert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fs/image"
)

// Options say how to write layers.
type Options struct {
	Format Format

	// Level is the compression level, as the format's own tools count; 0 is
	// their default.
	Level int

	// ChunkSize is the largest piece of a file that can be read alone, in
	// bytes, where the format has such; 0 is its default (4 MiB).
	ChunkSize int

	// First lists files to put in front, where the format has such: those that
	// are read when the image starts, in that order. Names are paths from the
	// image's root; those that a layer doesn't have don't matter.
	First []string

	// TempDir is where layers are written to; "" is os.TempDir().
	TempDir string

	// Progress is told how many of a layer's size bytes, as an archive, were
	// read; layer counts from 0. It is called by one goroutine at a time. nil:
	// nobody is told.
	Progress func(layer int, done, size int64)
}

// An Image is a converted image: its parts, ready to be pushed. Close removes
// the files it is kept in.
type Image struct {
	Manifest []byte
	Config   Blob
	Layers   []Blob
}

// A Blob is a part of an image.
type Blob struct {
	Descriptor ocispec.Descriptor
	r          io.ReaderAt
	file       *os.File // nil for the configuration
}

// Open reads the blob from its beginning. It can be called again, also while
// an earlier reader is in use.
func (b Blob) Open() *io.SectionReader { return io.NewSectionReader(b.r, 0, b.Descriptor.Size) }

// Close removes the files; blobs can't be read any more.
func (m *Image) Close() error {
	var errs []error
	for _, l := range m.Layers {
		errs = append(errs, l.file.Close())
	}
	return errors.Join(errs...)
}

// Convert writes src's layers anew; src must have been opened under
// image.PolicyLocal or image.PolicyOff, so that its archives are known. What a
// format's library can't tell is an error that names the layer.
func Convert(ctx context.Context, src *image.Image, o Options) (_ *Image, err error) {
	m := new(Image)
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	diffIDs := make([]digest.Digest, 0, len(src.Layers()))
	for i, info := range src.Layers() {
		tar, err := src.Archive(i)
		if err != nil {
			return nil, err
		}
		l, diffID, err := write(ctx, o.watched(i, tar), o)
		if err != nil {
			return nil, fmt.Errorf("layer %d %s: %w", i+1, info.Descriptor.Digest, err)
		}
		l.Descriptor.Annotations = merge(keep(info.Descriptor.Annotations), l.Descriptor.Annotations)
		m.Layers = append(m.Layers, l)
		diffIDs = append(diffIDs, diffID)
	}
	config, err := reconfigure(src.Manifest().RawConfig, diffIDs)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	m.Config = Blob{describe(ocispec.MediaTypeImageConfig, config), bytes.NewReader(config), nil}
	m.Manifest, err = manifest(src.Manifest().Raw, m)
	return m, err
}

// watched is the archive of a layer, of which Progress is told.
func (o Options) watched(layer int, tar *io.SectionReader) *io.SectionReader {
	if o.Progress == nil {
		return tar
	}
	return io.NewSectionReader(&watched{r: tar, tell: func(done int64) { o.Progress(layer, done, tar.Size()) }}, 0, tar.Size())
}

// watched tells how much of an archive was read. What is read twice, as headers
// are by some formats' library, counts once at least.
type watched struct {
	r    *io.SectionReader
	tell func(done int64)

	mu   sync.Mutex // guards done, and tell
	done int64
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.r.ReadAt(p, off)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = min(w.done+int64(n), w.r.Size())
	w.tell(w.done)
	return n, err
}

// reconfigure puts other diffIDs into a configuration and leaves all else,
// known and unknown, as it is.
func reconfigure(raw []byte, diffIDs []digest.Digest) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	rootfs, err := json.Marshal(ocispec.RootFS{Type: "layers", DiffIDs: diffIDs})
	if err != nil {
		return nil, err
	}
	fields["rootfs"] = rootfs
	return json.Marshal(fields)
}

// manifest is the converted image's, with the annotations of the source's.
func manifest(raw []byte, m *Image) ([]byte, error) {
	var source struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(raw, &source); err != nil {
		return nil, err
	}
	out := ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      m.Config.Descriptor,
		Layers:      []ocispec.Descriptor{},
		Annotations: keep(source.Annotations),
	}
	for _, l := range m.Layers {
		out.Layers = append(out.Layers, l.Descriptor)
	}
	return json.Marshal(out)
}

func describe(mediaType string, b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}
