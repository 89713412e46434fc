package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxDocument bounds a manifest, an index or a config: 4 MiB is what the
// distribution specification asks registries to accept at least.
const MaxDocument = 4 << 20

// A Source is one image (or several, under an index) in the place where it is
// kept. It is safe for concurrent use. Close releases what it holds.
type Source struct {
	ref   Reference // in full, unless place is searched
	place place
	meter *meter

	mu   sync.Mutex // guards root
	root document   // a document that Resolve had to read whole
}

// A place is where an image is kept: a registry, a layout, an archive. It
// delivers bytes and leaves it to Source to verify them.
type place interface {
	// resolve says what the reference points at. If it had to read the
	// document for that, it returns it too.
	resolve(ctx context.Context) (ocispec.Descriptor, document, error)
	// document reads the whole of d, of which only the digest need be known.
	document(ctx context.Context, d ocispec.Descriptor) (document, error)
	// blob opens d; ctx bounds every read of it.
	blob(ctx context.Context, d ocispec.Descriptor) (medium, error)
	io.Closer
}

// A document is a small thing that is read whole, and what the place that
// keeps it calls its type ("" if it does not say).
type document struct {
	body      []byte
	mediaType string
}

// Open finds out where ref points to and opens that place: a layout's index
// or an archive's members are read, while a registry is not asked anything
// yet. ctx bounds that, and whatever unpacking of a compressed archive its reads
// lead to later. See the package comment for the forms a reference may have.
func Open(ctx context.Context, ref string, o Options) (*Source, error) {
	r, err := ParseReference(ref)
	if err != nil {
		return nil, err
	}
	if !r.Local() && shadowed(ref, look) {
		o.warn(fmt.Sprintf("%s is %s; for the layout of that name here, say ./%s", ref, r, ref))
	}
	return open(ctx, r, o)
}

func open(ctx context.Context, r Reference, o Options) (_ *Source, err error) {
	s := &Source{ref: r, meter: &meter{sent: o.Sent}}
	switch r.transport {
	case transportRegistry:
		s.place, s.ref, err = openRegistry(r, o, s.meter)
	case transportLayout:
		s.place, err = openLayout(r, o)
	default:
		s.place, err = openArchive(ctx, r, o)
	}
	if err != nil {
		return nil, s.explain(err)
	}
	return s, nil
}

// Name is the reference in full, for messages: docker.io/library/alpine:3.20
// for alpine:3.20.
//
// A short name that may be in one of several registries has its full name once
// it has been found.
func (s *Source) Name() string { return s.full().String() }

// full is the reference in full, as far as it is known.
func (s *Source) full() Reference {
	if several, ok := s.place.(*searched); ok {
		return several.full()
	}
	return s.ref
}

// Home is where s is, whatever it is called there: a repository's name in full,
// the absolute path of a layout or an archive. Who has the same Home has the
// same content from the same hands.
func (s *Source) Home() string {
	r := s.full()
	r.tag, r.digest = "", ""
	if path, err := filepath.Abs(r.path); err == nil && r.Local() {
		r.path = path
	}
	return r.String()
}

// At is the reference in full of what has the digest d where s is: by that, not
// by a tag. It is "" for a Docker archive, which knows no digests.
func (s *Source) At(d digest.Digest) string {
	if _, ok := s.place.(*dockerArchive); ok {
		return ""
	}
	r := s.full()
	r.tag, r.digest = "", d
	return r.String()
}

// Stats counts what was asked of the network.
type Stats struct {
	Requests int64 // HTTP requests, those for tokens and those answered by errors included
	Bytes    int64 // bytes of response bodies that arrived
	Retries  int64 // how often something that had failed was asked for again after a pause
}

// Stats returns the counts up to now. They stay zero where no network is
// involved.
func (s *Source) Stats() Stats {
	return Stats{Requests: s.meter.requests.Load(), Bytes: s.meter.bytes.Load(), Retries: s.meter.retries.Load()}
}

// Resolve returns a descriptor of what the reference points at. A reference
// by digest is resolved without asking anybody. Size is 0 and MediaType empty
// where nobody trustworthy has said them yet: Complete fills them in.
func (s *Source) Resolve(ctx context.Context) (ocispec.Descriptor, error) {
	d, doc, err := s.place.resolve(ctx)
	if err != nil {
		return d, s.explain(err)
	}
	if doc.body != nil {
		s.mu.Lock()
		s.root = doc
		s.mu.Unlock()
	}
	return d, nil
}

// Document returns the bytes of a manifest, an index or a config, at most
// MaxDocument of them. Their digest is verified, and their size where d has
// one; a mismatch is a *DigestError. Content embedded in d is used, once it
// has passed the same checks, without asking anybody. The caller must not
// modify the result.
func (s *Source) Document(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	_, body, err := s.Complete(ctx, d)
	return body, err
}

// Complete is Document for a descriptor of which perhaps only the digest is
// known: it returns d with the size of what came and, if d had no media type,
// the one that the place gave with it, which is "" when it gave none. It is a
// claim: what the document is, its bytes decide.
func (s *Source) Complete(ctx context.Context, d ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	doc, err := s.document(ctx, d)
	if err == nil {
		err = verify(d, doc.body)
	}
	if err != nil {
		return d, nil, s.explain(fmt.Errorf("%s: %w", d.Digest, err))
	}
	d.Size = int64(len(doc.body))
	if d.MediaType == "" {
		d.MediaType = doc.mediaType
	}
	return d, doc.body, nil
}

func (s *Source) document(ctx context.Context, d ocispec.Descriptor) (document, error) {
	if err := checkDigest(d.Digest); err != nil {
		return document{}, err
	}
	if d.Size < 0 || d.Size > MaxDocument {
		return document{}, fmt.Errorf("document of %d bytes: %w (at most %d)", d.Size, ErrUnsupported, MaxDocument)
	}
	if d.Data != nil {
		return document{body: d.Data}, nil
	}
	s.mu.Lock()
	root := s.root
	s.mu.Unlock()
	if root.body != nil && verify(d, root.body) == nil {
		return root, nil
	}
	return s.place.document(ctx, d)
}

// Blob opens the blob that d describes, of which the digest and the size must
// be known. Nothing is read yet, though a blob in a file must be there with
// the right size. ctx bounds every read of the blob; close it after the last.
func (s *Source) Blob(ctx context.Context, d ocispec.Descriptor) (*Blob, error) {
	m, err := s.blob(ctx, d)
	if err != nil {
		return nil, s.explain(fmt.Errorf("%s: %w", d.Digest, err))
	}
	return &Blob{digest: d.Digest, size: d.Size, m: m, explain: s.explain}, nil
}

func (s *Source) blob(ctx context.Context, d ocispec.Descriptor) (medium, error) {
	if err := checkDigest(d.Digest); err != nil {
		return nil, err
	}
	if d.Size < 0 {
		return nil, fmt.Errorf("negative size %d", d.Size)
	}
	if d.Size == 0 { // which leaves one content only
		if err := verify(d, nil); err != nil {
			return nil, err
		}
	}
	if d.Data != nil {
		if err := verify(d, d.Data); err != nil {
			return nil, err
		}
		return &local{r: bytes.NewReader(d.Data)}, nil
	}
	return s.place.blob(ctx, d)
}

// Close releases connections, files and temporary files. Blobs must be closed
// before.
func (s *Source) Close() error { return s.place.Close() }

// explain puts the source's name before an error, once, and cleans its text.
func (s *Source) explain(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return err
	}
	return &Error{Name: s.Name(), Err: err}
}

// verify checks a document against its descriptor; size 0 is an unknown one.
func verify(d ocispec.Descriptor, body []byte) error {
	got := d.Digest.Algorithm().FromBytes(body)
	size := int64(len(body))
	if got != d.Digest || (d.Size != 0 && d.Size != size) {
		return &DigestError{Want: d.Digest, Got: got, WantSize: d.Size, GotSize: size}
	}
	return nil
}

// checkDigest lets pass only digests that are safe in a path or a URL and
// that can be verified.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", clip(string(d)), err)
	}
	switch d.Algorithm() {
	case digest.SHA256, digest.SHA384, digest.SHA512:
		return nil
	}
	return fmt.Errorf("digest %q: %w: algorithm", clip(string(d)), ErrUnsupported)
}
