package main

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// writeLayout writes an OCI image layout with an image of one layer, the
// archive that write writes, in gzip.
func writeLayout(dir string, write func(io.Writer) error) error {
	blobs := filepath.Join(dir, ocispec.ImageBlobsDir, digest.Canonical.String())
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return err
	}
	put := func(mediaType string, v any) (ocispec.Descriptor, error) {
		b, err := json.Marshal(v)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
		return d, os.WriteFile(filepath.Join(blobs, d.Digest.Encoded()), b, 0o644)
	}
	layer, diffID, err := writeLayer(blobs, write)
	if err != nil {
		return err
	}
	config, err := put(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
	})
	if err != nil {
		return err
	}
	version := specs.Versioned{SchemaVersion: 2}
	manifest, err := put(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: version, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer},
	})
	if err != nil {
		return err
	}
	manifest.Annotations = map[string]string{ocispec.AnnotationRefName: "latest"}
	for name, v := range map[string]any{
		ocispec.ImageLayoutFile: ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion},
		ocispec.ImageIndexFile: ocispec.Index{
			Versioned: version, MediaType: ocispec.MediaTypeImageIndex,
			Manifests: []ocispec.Descriptor{manifest},
		},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeLayer writes the layer's blob.
func writeLayer(blobs string, write func(io.Writer) error) (d ocispec.Descriptor, diffID digest.Digest, err error) {
	f, err := os.CreateTemp(blobs, "layer-")
	if err != nil {
		return d, "", err
	}
	defer f.Close()
	packed, unpacked := digest.Canonical.Digester(), digest.Canonical.Digester()
	z := gzip.NewWriter(io.MultiWriter(f, packed.Hash()))
	w := bufio.NewWriterSize(io.MultiWriter(z, unpacked.Hash()), 1<<20)
	if err := write(w); err != nil {
		return d, "", err
	}
	if err := w.Flush(); err != nil {
		return d, "", err
	}
	if err := z.Close(); err != nil {
		return d, "", err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return d, "", err
	}
	d = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: packed.Digest(), Size: size}
	return d, unpacked.Digest(), os.Rename(f.Name(), filepath.Join(blobs, d.Digest.Encoded()))
}

// machineImage makes an image of this machine: its system, up to 600 MB.
func (l *lab) machineImage(ctx context.Context) func(string) error {
	const script = `cd /
find bin lib lib64 sbin etc/os-release usr/lib/os-release usr/bin usr/lib usr/share -xdev -printf '%s\t%p\n' |
	awk -F'\t' '(n += $1) < 600e6 {print $2}' |
	tar -c --no-recursion -T -`
	return func(dir string) error {
		return writeLayout(dir, func(w io.Writer) error {
			cmd := l.cmd(ctx, "bash", "-c", script)
			cmd.Stdout = w
			// find and tar complain of what they may not read; that isn't
			// worth more than the files they could.
			if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
				return err
			}
			return ctx.Err()
		})
	}
}

// namesImage makes an image of n empty files, the given number in a directory,
// with names as long as those in packages.
func namesImage(n, inDir int) func(string) error {
	return func(dir string) error {
		return writeLayout(dir, func(w io.Writer) error {
			t := tar.NewWriter(w)
			for i := range n {
				if i%inDir == 0 {
					if err := t.WriteHeader(header(fmt.Sprintf("lib/package-%04d/", i/inDir), tar.TypeDir)); err != nil {
						return err
					}
				}
				name := fmt.Sprintf("lib/package-%04d/module%07d.js", i/inDir, i)
				if err := t.WriteHeader(header(name, tar.TypeReg)); err != nil {
					return err
				}
			}
			return t.Close()
		})
	}
}

func header(name string, kind byte) *tar.Header {
	mode := int64(0o644)
	if kind == tar.TypeDir {
		mode = 0o755
	}
	return &tar.Header{Name: name, Typeflag: kind, Mode: mode, ModTime: time.Unix(1_700_000_000, 0), Format: tar.FormatUSTAR}
}

// openGzip opens a file that is compressed.
func openGzip(name string) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		f.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}
