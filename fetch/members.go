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

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// An archive is files in a tar file, read in place. If the tar file as a whole
// is compressed, it is read through an unpacked.
type archive struct {
	at     io.ReaderAt // the tar file, without its compression
	close  func() error
	packed bool // at is an unpacked
	learnt

	memory  Memory // may be nil
	id      string // the file as it is now; "" if it can't be told apart
	key     string // what a Memory calls it; "" if nothing is to be remembered
	changed bool   // learnt has more than the Memory
}

// A member is where a file lies in the archive, or another name for one.
type member struct {
	Off, Size int64
	Link      string // clean path of what it is a link to; "" for a file
	Odd       string // why it cannot be read, if so

	// Of packed archives, what reading the file has told.
	Kind compression
	Sum  digest.Digest // "": not known yet
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
	a := &archive{at: f, close: f.Close, memory: o.Memory, id: memoryKey(f)}
	if err == nil {
		switch c := sniff(f); c {
		case plain:
			a.Size = fi.Size()
			err = a.scan(ctx)
		case gzipped, zstandard:
			err = a.unpack(ctx, f, c, o)
		default:
			err = fmt.Errorf("%w: compressed with %s: only gzip and zstd are read", ErrUnsupported, c)
		}
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// scan reads the headers of all members, and none of the content between.
func (a *archive) scan(ctx context.Context) error {
	a.Members = make(map[string]member)
	r := io.NewSectionReader(a.at, 0, a.Size)
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
		if len(a.Members) == maxMembers || names > maxMemberNames {
			return fmt.Errorf("archive: %w: too many members", ErrUnsupported)
		}
		a.add(h, off)
	}
}

// damaged explains why the headers cannot be read. What does not even begin
// like an archive is something else.
func (a *archive) damaged(err error) error {
	broken := errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case broken && len(a.Members) == 0:
		return fmt.Errorf("%w: not a tar archive", ErrUnsupported)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the archive is cut short")
	}
	return fmt.Errorf("archive: %w", err)
}

func (a *archive) add(h *tar.Header, off int64) {
	m := member{Off: off, Size: h.Size}
	switch h.Typeflag {
	case tar.TypeReg:
		if h.Size > a.Size-off {
			m.Odd = "cut short"
		}
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				m.Odd = "sparse"
			}
		}
	case tar.TypeGNUSparse:
		m.Odd = "sparse"
	case tar.TypeLink:
		m.Link = memberPath(h.Linkname)
	case tar.TypeSymlink:
		m.Link = memberPath(path.Join(path.Dir(h.Name), h.Linkname))
		if path.IsAbs(h.Linkname) || m.Link == "" {
			m = member{Odd: "a link that leads out of the archive"}
		}
	default:
		return
	}
	if name := memberPath(h.Name); name != "" {
		a.Members[name] = m
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
	_, ok := a.Members[name]
	return ok
}

// find follows links, within the archive, to the file they lead to.
func (a *archive) find(name string) (at string, m member, err error) {
	at = memberPath(name)
	for range maxLinks {
		m, ok := a.Members[at]
		switch {
		case at == "":
			return "", m, fmt.Errorf("%w: member %q: a path that leads out of the archive", ErrUnsupported, clip(name))
		case !ok:
			return "", m, fmt.Errorf("member %q: %w", clip(at), ErrNotFound)
		case m.Odd != "":
			return "", m, fmt.Errorf("%w: member %q: %s", ErrUnsupported, clip(at), m.Odd)
		case m.Link == "":
			return at, m, nil
		}
		at = m.Link
	}
	return "", m, fmt.Errorf("%w: member %q: too many links", ErrUnsupported, clip(name))
}

// open implements files.
func (a *archive) open(name string) (*file, error) {
	at, m, err := a.find(name)
	if err != nil {
		return nil, err
	}
	if body, ok := a.Docs[at]; ok {
		return &file{ReaderAt: strings.NewReader(body), size: m.Size}, nil
	}
	return &file{ReaderAt: io.NewSectionReader(a.at, m.Off, m.Size), size: m.Size, packed: a.packed}, nil
}

// kind says how a member is compressed.
func (a *archive) kind(name string) (compression, error) {
	_, m, err := a.find(name)
	if err != nil || a.packed {
		return m.Kind, err
	}
	return sniff(io.NewSectionReader(a.at, m.Off, m.Size)), nil
}

// sum reads a member for its digest, once.
func (a *archive) sum(ctx context.Context, name string) (digest.Digest, error) {
	at, m, err := a.find(name)
	if err != nil || m.Sum != "" {
		return m.Sum, err
	}
	m.Sum, err = digest.FromReader(&bounded{ctx, io.NewSectionReader(a.at, m.Off, m.Size)})
	if err != nil {
		return "", err
	}
	a.Members[at], a.changed = m, true
	return m.Sum, nil
}

func (a *archive) Close() error {
	if err := a.close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
