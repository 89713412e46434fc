package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds on the list of a subject's referrers. Registries give it in pages of
// some hundred entries; who pushes may add to it as they like.
const (
	maxReferrers      = 10_000
	maxReferrerPages  = 100
	maxReferrersBytes = 4 * MaxDocument // all pages together
)

// A referring place knows which manifests name another one as their subject.
type referring interface {
	// referrers lists them, those of other types perhaps among them.
	referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error)
}

// Referrers lists the manifests that name subject, of which only the digest
// need be known, as theirs: signatures, indexes and the like. With an
// artifactType, it lists those that have this one; descriptors that have none
// are listed only without. There may be none, which is not an error.
//
// A registry is asked by one request, or by two where it lacks the referrers
// API: the second one is for a tag that clients maintain in its place. That
// it lacks the API is found out once per Source.
//
// From a registry the list is a claim, and some give the wrong one: pass each
// manifest, once it has been read, to VerifySubject. Listed manifests may also
// be gone. In a layout they have been read and verified already.
func (s *Source) Referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	if err := checkDigest(subject.Digest); err != nil {
		return nil, s.explain(err)
	}
	place, ok := s.place.(referring)
	if !ok {
		return nil, nil
	}
	list, err := place.referrers(ctx, subject, artifactType)
	if err != nil {
		return nil, s.explain(fmt.Errorf("referrers of %s: %w", subject.Digest, err))
	}
	return acceptable(list, subject, artifactType), nil
}

// acceptable drops what is not wanted, and what cannot be a referrer: we have
// not written the list.
func acceptable(list []ocispec.Descriptor, subject ocispec.Descriptor, artifactType string) (good []ocispec.Descriptor) {
	seen := map[digest.Digest]bool{subject.Digest: true}
	for _, d := range list {
		switch {
		case artifactType != "" && d.ArtifactType != artifactType:
		case checkDigest(d.Digest) != nil || seen[d.Digest]:
		case d.Size < 0 || d.Size > MaxDocument || !isManifest(d.MediaType):
		default:
			seen[d.Digest] = true
			good = append(good, d)
		}
	}
	return good
}

// VerifySubject returns nil if manifest, a document whose digest has been
// verified, does name subject as its own.
func VerifySubject(manifest []byte, subject ocispec.Descriptor) error {
	l, err := parseLinks(manifest)
	switch {
	case err != nil:
		return err
	case l.Subject == nil:
		return errors.New("the manifest has no subject")
	case l.Subject.Digest != subject.Digest:
		return fmt.Errorf("the manifest's subject is %s, not %s", clip(string(l.Subject.Digest)), subject.Digest)
	}
	return nil
}

// links is what relates a manifest or an index to others.
type links struct {
	MediaType    string
	ArtifactType string
	Config       struct{ MediaType string }
	Subject      *ocispec.Descriptor
	Annotations  map[string]string
	Manifests    descriptors
}

func parseLinks(body []byte) (l links, err error) {
	return l, decode("manifest", body, &l)
}

// artifactType is what a list of referrers says of the manifest.
func (l *links) artifactType() string {
	if l.ArtifactType != "" {
		return l.ArtifactType
	}
	return l.Config.MediaType
}

// parseIndex returns the entries of an image index; ok is false if the
// document is something else.
func parseIndex(doc document) (entries []ocispec.Descriptor, ok bool, err error) {
	l, err := parseLinks(doc.body)
	if errors.Is(err, errTooMany) {
		return nil, false, err
	}
	if l.MediaType == "" {
		l.MediaType = doc.mediaType
	}
	if err != nil || l.MediaType != ocispec.MediaTypeImageIndex {
		return nil, false, nil
	}
	return l.Manifests, true, nil
}

// descriptors is a list that is given up when it grows beyond maxReferrers,
// and from which malformed entries are missing.
type descriptors []ocispec.Descriptor

var errTooMany = fmt.Errorf("%w: more than %d referrers", ErrUnsupported, maxReferrers)

// UnmarshalJSON implements json.Unmarshaler.
func (l *descriptors) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	switch t, err := dec.Token(); {
	case err != nil:
		return err
	case t == nil: // null, which some write for an empty list
		return nil
	case t != json.Delim('['):
		return errors.New("not a list of descriptors")
	}
	for dec.More() {
		var d ocispec.Descriptor
		err := dec.Decode(&d)
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			continue
		}
		if err != nil {
			return err
		}
		if len(*l) == maxReferrers {
			return errTooMany
		}
		*l = append(*l, d)
	}
	return nil
}

// fallbackTag is the tag under which clients keep the list of a subject's
// referrers where the registry does not: the digest, as far as it fits.
func fallbackTag(subject digest.Digest) string {
	algorithm, encoded := subject.Algorithm().String(), subject.Encoded()
	return algorithm[:min(len(algorithm), 32)] + "-" + encoded[:min(len(encoded), 64)]
}
