package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// An Upload is a manifest, or an index, and the blobs that have to be there
// before it.
type Upload struct {
	Blobs []Content
	// Manifest is at most MaxDocument bytes.
	Manifest []byte
	// MediaType is the manifest's. "": what the manifest says itself.
	MediaType string
	// Tagged puts it under the reference's tag; in a layout whose reference
	// has none, it is listed without a name. Otherwise it can be found by its
	// digest and, if it has a subject, among that one's referrers.
	Tagged bool
	// Progress, if not nil, is told of n more bytes of blobs that have been
	// sent or found to be there; n is negative when as many have to be sent
	// again. It is called by one goroutine at a time.
	Progress func(n int64)
}

// A Content is a blob to be pushed: its digest and its size, and how to read
// it from its beginning. Open is called for each try, perhaps while what it
// returned before is not closed yet, and may be nil if Data has the bytes. Its
// errors, and those of reading, end the push. All is closed when Push returns.
type Content struct {
	ocispec.Descriptor
	Open func() (io.ReadCloser, error)
}

// A writable place can be pushed to.
type writable interface {
	// putBlob makes sure that content is there.
	putBlob(ctx context.Context, p *payload) error
	// putManifest makes sure that a manifest is there and can be found.
	putManifest(ctx context.Context, m *manifest) error
	// deleteManifest deletes a manifest.
	deleteManifest(ctx context.Context, d ocispec.Descriptor) error
}

var errNoTag = errors.New("the reference has no tag to put it under")

// pushWidth is how many blobs are pushed side by side.
const pushWidth = 4

// Push pushes blobs, then a manifest, and returns the manifest's descriptor.
// What is there already is not sent. All content is verified on its way: what
// is not what its descriptor says is refused by a *DigestError.
//
// Where a registry lacks the referrers API, a manifest that has a subject is
// added to the list that clients keep in its place. Archives cannot be pushed
// to: ErrUnsupported.
func (s *Source) Push(ctx context.Context, u Upload) (ocispec.Descriptor, error) {
	d, err := s.push(ctx, u)
	return d, s.explain(err)
}

func (s *Source) push(ctx context.Context, u Upload) (ocispec.Descriptor, error) {
	w, err := s.writable()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	m, err := newManifest(u)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	payloads, err := newPayloads(u)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	g, blobs := errgroup.WithContext(ctx)
	g.SetLimit(pushWidth)
	for _, p := range payloads {
		g.Go(func() error {
			if err := w.putBlob(blobs, p); err != nil {
				return fmt.Errorf("%s: %w", p.Digest, err)
			}
			p.arrived()
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := w.putManifest(ctx, m); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", m.Digest, err)
	}
	return m.Descriptor, nil
}

// Delete deletes a manifest, of which only the digest need be known, with all
// its tags, and drops it from its subject's referrers. The blobs that it
// refers to stay. Where deleting is not possible, or not allowed to anybody,
// the error is ErrUnsupported.
func (s *Source) Delete(ctx context.Context, d ocispec.Descriptor) error {
	w, err := s.writable()
	if err == nil {
		err = checkDigest(d.Digest)
	}
	if err == nil {
		err = w.deleteManifest(ctx, d)
	}
	if err != nil {
		return s.explain(fmt.Errorf("%s: %w", clip(string(d.Digest)), err))
	}
	return nil
}

func (s *Source) writable() (writable, error) {
	w, ok := s.place.(writable)
	if l, layout := s.place.(*layout); layout {
		_, ok = l.files.(directory)
	}
	if !ok {
		return nil, fmt.Errorf("%w: an archive cannot be changed", ErrUnsupported)
	}
	return w, nil
}

// A manifest is a manifest to be pushed. Its descriptor is as it appears in
// the list of its subject's referrers.
type manifest struct {
	ocispec.Descriptor
	body    []byte
	subject *ocispec.Descriptor
	tagged  bool
}

func newManifest(u Upload) (*manifest, error) {
	if len(u.Manifest) > MaxDocument {
		return nil, fmt.Errorf("manifest of %d bytes: %w (at most %d)", len(u.Manifest), ErrUnsupported, MaxDocument)
	}
	l, err := parseLinks(u.Manifest)
	if err != nil {
		return nil, err
	}
	if u.MediaType == "" {
		u.MediaType = l.MediaType
	}
	if !isManifest(u.MediaType) {
		return nil, fmt.Errorf("manifest of type %q: %w", clip(u.MediaType), ErrUnsupported)
	}
	if l.MediaType != "" && l.MediaType != u.MediaType {
		return nil, fmt.Errorf("manifest says that it is of type %q, not %q", clip(l.MediaType), clip(u.MediaType))
	}
	m := &manifest{body: u.Manifest, subject: l.Subject, tagged: u.Tagged}
	m.MediaType, m.Digest, m.Size = u.MediaType, digest.FromBytes(u.Manifest), int64(len(u.Manifest))
	if m.subject != nil {
		m.ArtifactType, m.Annotations = l.artifactType(), l.Annotations
		if err := checkDigest(m.subject.Digest); err != nil {
			return nil, fmt.Errorf("subject: %w", err)
		}
	}
	return m, nil
}

// newPayloads checks the blobs' descriptors, and drops those that come twice.
func newPayloads(u Upload) (list []*payload, err error) {
	seen := make(map[digest.Digest]bool)
	mu := new(sync.Mutex)
	for _, c := range u.Blobs {
		err := checkDigest(c.Digest)
		switch {
		case err != nil:
			return nil, err
		case c.Size < 0:
			return nil, fmt.Errorf("%s: negative size %d", c.Digest, c.Size)
		case c.Open == nil && c.Data == nil && c.Size > 0:
			return nil, fmt.Errorf("%s: %w", c.Digest, errors.New("nothing to read it from"))
		}
		if !seen[c.Digest] {
			seen[c.Digest] = true
			list = append(list, &payload{Content: c, mu: mu, progress: u.Progress})
		}
	}
	return list, nil
}
