package fetch

import (
	"context"
	"errors"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds on what is read of a layout to find referrers.
const (
	maxLayoutDocuments = 4096
	maxLayoutBytes     = 16 * MaxDocument
)

// referrers looks through index.json: for manifests that have a subject, and
// for lists of referrers under the tag that they have in registries without a
// referrers API. What is listed has been read and verified.
func (l *layout) referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	body, err := l.read(ocispec.ImageIndexFile)
	if err != nil {
		return nil, err
	}
	top, _, err := parseIndex(document{body, ocispec.MediaTypeImageIndex})
	if err != nil {
		return nil, err
	}
	s := &search{l: l, subject: subject, artifactType: artifactType}
	for _, d := range top {
		if d.Annotations[ocispec.AnnotationRefName] != fallbackTag(subject.Digest) {
			continue
		}
		list, err := s.index(ctx, d)
		if err != nil {
			return nil, err
		}
		top = append(top, list...)
		break
	}
	list := acceptable(top, subject, "")
	slices.SortStableFunc(list, func(a, b ocispec.Descriptor) int { return named(a) - named(b) })
	for _, d := range list {
		err := s.look(ctx, d)
		if err == errLayoutTooLarge {
			l.warn(l.ref.String() + ": " + err.Error())
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return s.found, nil
}

// named is 0 for what is likely to be a referrer: it has no name of its own.
func named(d ocispec.Descriptor) int {
	return min(len(d.Annotations[ocispec.AnnotationRefName]), 1)
}

var errLayoutTooLarge = errors.New("too many documents: not all have been searched for referrers")

// A search is one look through a layout.
type search struct {
	l               *layout
	subject         ocispec.Descriptor
	artifactType    string
	documents, size int

	found []ocispec.Descriptor
}

// document reads a document of the layout; nil if it is not there or damaged.
func (s *search) document(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if checkDigest(d.Digest) != nil || d.Size < 0 || d.Size > MaxDocument {
		return nil, nil
	}
	if s.documents >= maxLayoutDocuments || s.size >= maxLayoutBytes {
		return nil, errLayoutTooLarge
	}
	body, err := s.l.read(blobPath(d))
	if err != nil || verify(d, body) != nil {
		return nil, nil
	}
	s.documents++
	s.size += len(body)
	return body, nil
}

// index returns the entries of an index, if it is one.
func (s *search) index(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	body, err := s.document(ctx, d)
	if body == nil {
		return nil, err
	}
	list, _, err := parseIndex(document{body, d.MediaType})
	return list, err
}

// look reads a manifest, unless its descriptor tells that it is another type
// of artifact, and keeps it if subject is its subject.
func (s *search) look(ctx context.Context, d ocispec.Descriptor) error {
	if s.artifactType != "" && d.ArtifactType != "" && d.ArtifactType != s.artifactType {
		return nil
	}
	body, err := s.document(ctx, d)
	if body == nil {
		return err
	}
	links, err := parseLinks(body)
	if err != nil || links.Subject == nil || links.Subject.Digest != s.subject.Digest {
		return nil
	}
	d.ArtifactType, d.Annotations = links.artifactType(), links.Annotations
	d.Size = int64(len(body))
	s.found = append(s.found, d)
	return nil
}

// images returns the entries of a layout's index that somebody may mean who
// names none of them: all but referrers, unless there is nothing else.
func images(entries []ocispec.Descriptor) []ocispec.Descriptor {
	found := slices.DeleteFunc(slices.Clone(entries), func(d ocispec.Descriptor) bool {
		return d.ArtifactType != "" || isFallbackTag(d.Annotations[ocispec.AnnotationRefName])
	})
	if len(found) == 0 {
		return entries
	}
	return found
}

func isFallbackTag(name string) bool {
	hex, ok := strings.CutPrefix(name, "sha256-")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}
