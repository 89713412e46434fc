package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// files is a tree of files that holds an image: a directory or an archive.
type files interface {
	// open opens a regular file; names are slash-separated and relative.
	open(name string) (*file, error)
	io.Closer
}

// A file is one of files.
type file struct {
	io.ReaderAt
	size   int64
	close  func() error // may be nil
	packed bool         // it must be unpacked to be read
}

func (f *file) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

// A layout is an image in the form of an OCI image layout.
type layout struct {
	files
	ref  Reference
	warn func(string)
}

func openLayout(r Reference, o Options) (place, error) {
	fi, err := os.Stat(r.path)
	if err != nil {
		return nil, notFound(err)
	}
	if !fi.IsDir() { // OpenRoot would wait for a FIFO's other end
		return nil, fmt.Errorf("%w: not a directory", ErrUnsupported)
	}
	root, err := os.OpenRoot(r.path)
	if err != nil {
		return nil, err
	}
	return newLayout(r, directory{root}, o)
}

// newLayout checks the layout's version, of which nothing depends: it warns.
// It closes f if it fails.
func newLayout(r Reference, f files, o Options) (*layout, error) {
	l := &layout{files: f, ref: r, warn: o.warn}
	var version ocispec.ImageLayout
	body, err := l.read(ocispec.ImageLayoutFile)
	switch {
	case err == nil && json.Unmarshal(body, &version) == nil && strings.HasPrefix(version.Version, "1."):
	case err == nil:
		o.warn(r.String() + ": oci-layout: unknown version " + clip(version.Version))
	case errors.Is(err, ErrNotFound):
		f, err := l.open(ocispec.ImageIndexFile)
		if err != nil {
			l.Close()
			return nil, fmt.Errorf("not an OCI image layout: %w", err)
		}
		f.Close()
		o.warn(r.String() + ": oci-layout: missing")
	default:
		l.Close()
		return nil, err
	}
	return l, nil
}

// read reads a whole file of at most MaxDocument bytes.
func (l *layout) read(name string) ([]byte, error) {
	f, err := l.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.size > MaxDocument {
		return nil, fmt.Errorf("%s: document of %d bytes: %w (at most %d)", name, f.size, ErrUnsupported, MaxDocument)
	}
	body := make([]byte, f.size)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, f.size), body); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return body, nil
}

func (l *layout) resolve(context.Context) (ocispec.Descriptor, document, error) {
	d, err := l.find()
	return d, document{}, err
}

// find looks the reference up in index.json.
func (l *layout) find() (ocispec.Descriptor, error) {
	index, err := l.index()
	if err != nil && l.ref.digest == "" {
		return ocispec.Descriptor{}, err
	}
	found := l.matches(index.Manifests)
	switch {
	case len(found) > 0 && same(found):
		return found[0], l.check(found[0])
	case l.ref.digest != "":
		return ocispec.Descriptor{Digest: l.ref.digest}, nil
	case len(index.Manifests) == 0:
		return ocispec.Descriptor{}, fmt.Errorf("%w: the layout has no images", ErrNotFound)
	case len(found) == 0:
		return ocispec.Descriptor{}, fmt.Errorf("%w: the layout has %s", ErrNotFound, list(index.Manifests))
	}
	return ocispec.Descriptor{}, fmt.Errorf("several images, name one: the layout has %s", list(found))
}

// check checks an entry of index.json. A size is required there (image-spec,
// descriptor.md), and no manifest is empty: one that is not known would let any
// size pass later on.
func (l *layout) check(d ocispec.Descriptor) error {
	err := checkDigest(d.Digest)
	if err != nil || d.Size > 0 {
		return err
	}
	f, err := l.open(blobPath(d))
	if err != nil {
		return err
	}
	defer f.Close()
	return fmt.Errorf("%s: %s: %w", ocispec.ImageIndexFile, d.Digest, &DigestError{Want: d.Digest, WantSize: d.Size, GotSize: f.size})
}

func (l *layout) index() (index ocispec.Index, err error) {
	body, err := l.read(ocispec.ImageIndexFile)
	if err != nil {
		return index, err
	}
	return index, decode(ocispec.ImageIndexFile, body, &index)
}

// matches returns the entries of an index that the reference may mean: all,
// if it names none.
func (l *layout) matches(entries []ocispec.Descriptor) []ocispec.Descriptor {
	by := func(match func(ocispec.Descriptor) bool) (found []ocispec.Descriptor) {
		for _, d := range entries {
			if match(d) {
				found = append(found, d)
			}
		}
		return found
	}
	switch {
	case l.ref.digest != "":
		return by(func(d ocispec.Descriptor) bool { return d.Digest == l.ref.digest })
	case l.ref.tag == "":
		return images(entries)
	}
	for _, key := range []string{ocispec.AnnotationRefName, annotationImageName} {
		found := by(func(d ocispec.Descriptor) bool { return d.Annotations[key] == l.ref.tag })
		if len(found) > 0 {
			return found
		}
	}
	return by(func(d ocispec.Descriptor) bool {
		name := d.Annotations[annotationImageName]
		return name != "" && fullName(name) == fullName(l.ref.tag)
	})
}

// annotationImageName is where containerd and Docker put an image's full
// name, beside the bare tag in ref.name.
const annotationImageName = "io.containerd.image.name"

func same(entries []ocispec.Descriptor) bool {
	for _, d := range entries {
		if d.Digest != entries[0].Digest {
			return false
		}
	}
	return true
}

// list names entries for a message: tags, or digests where tags do not tell
// them apart.
func list(entries []ocispec.Descriptor) string {
	var names []string
	tags := make(map[string]int)
	for _, d := range entries {
		tags[d.Annotations[ocispec.AnnotationRefName]]++
	}
	for i, d := range entries {
		if i == 20 {
			names = append(names, fmt.Sprintf("%d more", len(entries)-i))
			break
		}
		if name := d.Annotations[ocispec.AnnotationRefName]; name != "" && tags[name] == 1 {
			names = append(names, clip(name))
		} else {
			names = append(names, "@"+clip(string(d.Digest)))
		}
	}
	return strings.Join(names, ", ")
}

func (l *layout) document(_ context.Context, d ocispec.Descriptor) (document, error) {
	body, err := l.read(blobPath(d))
	return document{body: body}, err
}

func (l *layout) blob(_ context.Context, d ocispec.Descriptor) (medium, error) {
	f, err := l.open(blobPath(d))
	if err != nil {
		return nil, err
	}
	if f.size != d.Size {
		f.Close()
		return nil, &DigestError{Want: d.Digest, WantSize: d.Size, GotSize: f.size}
	}
	return &local{r: f, close: f.Close, packed: f.packed}, nil
}

// blobPath is where a layout keeps a blob; the digest has been checked.
func blobPath(d ocispec.Descriptor) string {
	return ocispec.ImageBlobsDir + "/" + d.Digest.Algorithm().String() + "/" + d.Digest.Encoded()
}

// A directory is files on disk. Symbolic links are followed as long as they
// stay inside: real layouts have them.
type directory struct{ root *os.Root }

func (d directory) Close() error { return d.root.Close() }

// open opens without waiting for a FIFO's other end, and then refuses
// everything but a regular file.
func (d directory) open(name string) (*file, error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, notFound(err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%w: not a regular file", ErrUnsupported)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &file{ReaderAt: f, size: fi.Size(), close: f.Close}, nil
}

// notFound adds ErrNotFound to the errors that mean it.
func notFound(err error) error {
	if errors.Is(err, unix.ENAMETOOLONG) {
		return fmt.Errorf("%w: the file's name is too long", ErrNotFound)
	}
	if at := (*fs.PathError)(nil); errors.As(err, &at) && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)) {
		return fmt.Errorf("%s: %w", at.Path, ErrNotFound)
	}
	return err
}
