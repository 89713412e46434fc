package fetch

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// openArchive opens an image in a tar file, of the kind that the reference
// says or, if it does not say, of the kind that it is.
func openArchive(ctx context.Context, r Reference, o Options) (place, error) {
	a, err := readArchive(ctx, r.path, o)
	if err != nil {
		return nil, err
	}
	switch r.transport {
	case transportDockerArchive:
		return newDockerArchive(ctx, r, a)
	case transportOCIArchive:
		return newLayout(r, a, o)
	}
	switch index, manifest := a.has(ocispec.ImageIndexFile), a.has(dockerManifest); {
	case index && manifest:
		return openDual(ctx, r, a, o)
	case manifest:
		return newDockerArchive(ctx, r, a)
	case index:
		return newLayout(r, a, o)
	}
	a.Close()
	return nil, fmt.Errorf("%w: neither an OCI nor a Docker archive: no %s, no %s", ErrUnsupported, ocispec.ImageIndexFile, dockerManifest)
}

// openDual opens an archive that is of both kinds, as Docker writes them: a
// layout, but for an image that only manifest.json has: one by its number, one
// by another name than in index.json, one without a name.
func openDual(ctx context.Context, r Reference, a *archive, o Options) (place, error) {
	index, err := (&layout{files: a}).index()
	if err != nil {
		return newLayout(r, a, o)
	}
	images, err := dockerImages(a)
	if err == nil {
		_, err = choose(images, r)
	}
	inDocker, inLayout := err == nil, len((&layout{ref: r}).matches(index.Manifests)) > 0
	switch {
	case inLayout, r.digest != "":
		return newLayout(r, a, o)
	case inDocker, len(index.Manifests) == 0:
		return newDockerArchive(ctx, r, a)
	}
	a.Close()
	return nil, fmt.Errorf("%w: the archive has %s, or, as Docker calls them, %s", ErrNotFound, list(index.Manifests), listImages(images))
}

// isEmpty reports whether a layout has no images. Docker writes both kinds of
// archive into one, and an image without a name only into the older kind.
func isEmpty(f files) bool {
	index, err := (&layout{files: f}).index()
	return err == nil && len(index.Manifests) == 0
}

// An archive is files in a tar file, read in place. If the tar file as a
// whole is compressed, it is read from an unpacked copy without a name.
type archive struct {
	f       *os.File
	members map[string]member // by clean path; of equal names, the last
}

// A member is where a file lies in the archive, or another name for one.
type member struct {
	off, size int64
	link      string // clean path of what it is a link to; "" for a file
	odd       string // why it cannot be read, if so
}

// Archives of images have a few members per layer. These bounds are far
// above, and keep hostile ones from filling the memory.
const (
	maxMembers     = 1 << 17
	maxMemberNames = 16 << 20 // bytes of names together
	maxLinks       = 8        // links to links
)

func readArchive(ctx context.Context, name string, o Options) (*archive, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, notFound(err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%w: not a regular file", ErrUnsupported)
	}
	if err == nil {
		f, err = uncompressed(ctx, f, o.TempDir)
	}
	a := &archive{f: f, members: make(map[string]member)}
	if err == nil {
		err = a.scan(ctx)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

// scan reads the headers of all members, and none of the content between.
func (a *archive) scan(ctx context.Context) error {
	fi, err := a.f.Stat()
	if err != nil {
		return err
	}
	r := io.NewSectionReader(a.f, 0, fi.Size())
	tr := tar.NewReader(r)
	names := 0
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return a.damaged(err)
		}
		off, err := r.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		names += len(h.Name) + len(h.Linkname)
		if len(a.members) == maxMembers || names > maxMemberNames {
			return fmt.Errorf("archive: %w: too many members", ErrUnsupported)
		}
		a.add(h, off, fi.Size())
	}
}

// damaged explains why the headers cannot be read. What does not even begin
// like an archive is something else.
func (a *archive) damaged(err error) error {
	broken := errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case broken && len(a.members) == 0:
		return fmt.Errorf("%w: not a tar archive", ErrUnsupported)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the archive is cut short")
	}
	return fmt.Errorf("archive: %w", err)
}

func (a *archive) add(h *tar.Header, off, end int64) {
	m := member{off: off, size: h.Size}
	switch h.Typeflag {
	case tar.TypeReg:
		if h.Size > end-off {
			m.odd = "cut short"
		}
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				m.odd = "sparse"
			}
		}
	case tar.TypeGNUSparse:
		m.odd = "sparse"
	case tar.TypeLink:
		m.link = memberPath(h.Linkname)
	case tar.TypeSymlink:
		m.link = memberPath(path.Join(path.Dir(h.Name), h.Linkname))
		if path.IsAbs(h.Linkname) || m.link == "" {
			m = member{odd: "a link that leads out of the archive"}
		}
	default:
		return
	}
	if name := memberPath(h.Name); name != "" {
		a.members[name] = m
	}
}

// memberPath makes a member's name a clean relative path: "" if it is none.
func memberPath(name string) string {
	name = path.Clean(name)
	if !fs.ValidPath(name) || name == "." {
		return ""
	}
	return name
}

func (a *archive) has(name string) bool {
	_, ok := a.members[name]
	return ok
}

// open implements files. Links are followed within the archive.
func (a *archive) open(name string) (*file, error) {
	at := memberPath(name)
	for range maxLinks {
		m, ok := a.members[at]
		switch {
		case at == "":
			return nil, fmt.Errorf("%w: member %q: a path that leads out of the archive", ErrUnsupported, clip(name))
		case !ok:
			return nil, fmt.Errorf("member %q: %w", clip(at), ErrNotFound)
		case m.odd != "":
			return nil, fmt.Errorf("%w: member %q: %s", ErrUnsupported, clip(at), m.odd)
		case m.link == "":
			return &file{ReaderAt: io.NewSectionReader(a.f, m.off, m.size), size: m.size}, nil
		}
		at = m.link
	}
	return nil, fmt.Errorf("%w: member %q: too many links", ErrUnsupported, clip(name))
}

func (a *archive) Close() error {
	if err := a.f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
