package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/signature"
	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

const (
	// building layers are read whole at a time: one is decoded by two cores,
	// the others make sure that the network has something to do meanwhile.
	building = 4

	// sideBySide fills are under way at a time, however many readers wait: so
	// many requests hide a distant registry's latency, and take some 16 MiB.
	sideBySide = 16
)

// Options say which image, and who wants to hear what. The zero value is
// useful.
type Options struct {
	// View says what of the image to show; the zero value: its root file system.
	View View
	// Platform is the one wanted, as ParsePlatform reads it; "" is the host's.
	Platform string
	// Index says whose word is taken on layers that were not read whole here;
	// "" is PolicyRepository.
	Index Policy
	// SOCIv1 takes SOCI indexes of version 1, too, where the policy takes what
	// was pushed.
	SOCIv1 bool
	// Keys, if not nil, must have signed what is opened: the image index that the
	// reference leads to or the manifest that is chosen from it, or else there is
	// an ErrUnsigned. Nothing that such a signature doesn't cover is believed then:
	// PolicyRepository takes no more than PolicyTrusted, and blobs that are no
	// archives are read whole before they are opened.
	Keys *signature.Keys
	// Elsewhere, if not nil, opens an image of a Compose application's service
	// that doesn't go with the application, by its name in full: all of them are
	// shown then. Whoever gives it closes the sources, after the image.
	Elsewhere func(ctx context.Context, name string) (*fetch.Source, error)
	// Findings, if not nil, has every layer read whole before it is opened, and
	// every table of contents from elsewhere that the policy takes, also those
	// that would not be needed, held against it; the image goes by none of
	// them. It is told what came of each, and may be called by several
	// goroutines at a time; an error of it ends the opening.
	Findings func(Finding) error
	// Span is how many decoded bytes lie between the points of gzip layers that
	// are read whole: index.Options.Span.
	Span int64
	// Limits bound what a layer may ask for.
	Limits index.Limits
	// Tables bounds the memory, in bytes, that all layers' tables of contents take
	// together; what asks for more is an index.ErrLimit. 0: 1 GiB.
	Tables int64
	// Warn is told, in one line, what is odd but harmless. nil: nobody is.
	Warn func(msg string)
	// Progress is told how many of a layer's size bytes were read, while it is
	// read whole, and of each layer, when it is ready, that all were; layer
	// counts from 0. It is called from several goroutines. nil: nobody is told.
	Progress func(layer int, done, size int64)
}

// takes says whether q is a policy under which o believes others.
func (o Options) takes(q Policy) bool {
	return o.Index.allows(q) && (o.Keys == nil || q != PolicyRepository)
}

func (o Options) warn(msg string) {
	if o.Warn != nil {
		o.Warn(msg)
	}
}

// warningOnce is o, but that Warn is told nothing twice: a layer may be read
// more than once before it is right, or known what it is.
func (o Options) warningOnce() Options {
	var told sync.Map
	warn := o.warn
	o.Warn = func(msg string) {
		if _, again := told.LoadOrStore(msg, nil); !again {
			warn(msg)
		}
	}
	return o
}

func (o Options) progress(layer int, done, size int64) {
	if o.Progress != nil {
		o.Progress(layer, done, size)
	}
}

// An Image is a merged tree and the content of its files. It is safe for
// concurrent use. Close ends it.
type Image struct {
	manifest *Manifest
	what     string
	layers   []*layer
	contents []io.ReaderAt // by the layer numbers of tree: the layers', then texts
	tree     *tree.Tree
	cancel   context.CancelFunc
}

// Open is Select, and then Selection.Open. Errors are theirs, those of
// index.Build and of tree.Merge; each says which layer is to blame.
func Open(ctx context.Context, src *fetch.Source, store *cache.Store, o Options) (*Image, error) {
	s, err := Select(ctx, src, store, o)
	if err != nil {
		return nil, err
	}
	return s.Open(ctx, o)
}

// OpenManifest opens the image of a manifest that is resolved already, whatever
// o.View says.
func OpenManifest(ctx context.Context, m *Manifest, src *fetch.Source, store *cache.Store, o Options) (*Image, error) {
	o.View = View{}
	s := newSelection(src, store, o)
	if err := s.r.holdSigned(ctx, m, o); err != nil {
		return nil, err
	}
	s.m = m
	if err := s.image(m, ""); err != nil {
		return nil, err
	}
	return s.Open(ctx, o)
}

// Close ends the reads under way and releases what the image holds; the source
// and the store stay open.
func (m *Image) Close() error {
	m.cancel()
	var errs []error
	for _, l := range m.layers {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// Manifest is what the image was opened from.
func (m *Image) Manifest() *Manifest { return m.manifest }

// What is Selection.What.
func (m *Image) What() string { return m.what }

// Mismatches is how often bytes that came for a read were not what they should
// be, wherever they came from.
func (m *Image) Mismatches() (n int64) {
	for _, l := range m.layers {
		n += l.wrong.Load()
	}
	return n
}

// Verdict is what an audit has found wrong, for which all reads of that layer
// fail; nil if nothing is known of that kind.
func (m *Image) Verdict() error {
	for _, l := range m.layers {
		if err := l.audit.verdict(); err != nil {
			return err
		}
	}
	return nil
}

// Tree is the merged tree.
func (m *Image) Tree() *tree.Tree { return m.tree }

// ReadAt reads the content of the regular file n, holes as zeros, in the
// manner of io.ReaderAt. Who reads in order is read ahead of.
func (m *Image) ReadAt(n tree.Node, p []byte, off int64) (int, error) {
	return m.read(n, p, off, false)
}

// ReadOnly is ReadAt for who knows what else will be read: no more is fetched than
// what p takes.
func (m *Image) ReadOnly(n tree.Node, p []byte, off int64) (int, error) {
	return m.read(n, p, off, true)
}

func (m *Image) read(n tree.Node, p []byte, off int64, only bool) (int, error) {
	d := m.tree.Data(n)
	if off < 0 { // that would be another file's bytes
		return 0, errors.New("image: negative offset")
	}
	if off >= d.Size {
		return 0, io.EOF
	}
	var eof error
	if int64(len(p)) > d.Size-off {
		p, eof = p[:d.Size-off], io.EOF
	}
	r := m.contents[d.Layer]
	l, _ := r.(*layer)
	if l != nil && only {
		r = justThat{l}
	}
	if l != nil {
		if err := l.header(d.Off, r); err != nil {
			return 0, err
		}
	}
	var read int
	var err error
	switch {
	case d.Extents != nil:
		read, err = readSparse(r, d, p, off)
	case l != nil && !only:
		read, err = l.readFile(p, d.Off+off, d.Off+d.Size)
	default:
		read, err = r.ReadAt(p, d.Off+off)
	}
	if read == len(p) {
		return read, eof
	}
	if err == io.EOF { // the layer's end, where the TOC has a file
		err = io.ErrUnexpectedEOF
	}
	return read, err
}

// readSparse fills p with what lies at off of a sparse file: zeros, and the
// parts of the data extents that fall into it, which lie one after another in
// the layer.
func readSparse(l io.ReaderAt, d tree.Data, p []byte, off int64) (int, error) {
	clear(p)
	end, at := off+int64(len(p)), d.Off
	for _, x := range d.Extents {
		from, to := max(x.Off, off), min(x.Off+x.Len, end)
		if from < to {
			if n, err := l.ReadAt(p[from-off:to-off], at+from-x.Off); err != nil && int64(n) < to-from {
				return int(from-off) + n, err
			}
		}
		at += x.Len
	}
	return len(p), nil
}

// Archive is the tar archive that layer i is, the base being 0, as far as it is
// known where it lies: not for a layer that was opened by a table of its own
// or a TOC image's, which tells of files only. That is an ErrUnsupported.
func (m *Image) Archive(i int) (*io.SectionReader, error) {
	l := m.layers[i]
	if l.origin.files() {
		return nil, fmt.Errorf("%w: layer %d %s is known by its files only", ErrUnsupported, i+1, l.desc.Digest)
	}
	return io.NewSectionReader(l, 0, l.toc.Size()), nil
}

// LayerInfo is what is known of a layer of an open image.
type LayerInfo struct {
	Descriptor ocispec.Descriptor
	DiffID     digest.Digest
	Format     index.Format // as its first bytes say
	Size       int64        // decoded
	Entries    int
	Origin     Origin
}

// Layers tells of each layer, the base first.
func (m *Image) Layers() []LayerInfo {
	info := make([]LayerInfo, len(m.layers))
	for i, l := range m.layers {
		origin := l.origin
		if l.raw.verified() != nil { // all of it has been read since
			origin = OriginRead
		}
		info[i] = LayerInfo{l.desc, l.diffID, l.toc.Format(), l.toc.Size(), l.toc.NumEntries(), origin}
	}
	return info
}
