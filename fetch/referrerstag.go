package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fallback reads the list of referrers that clients keep under a tag. ok is
// false if there is none.
//
// Some registries resolve that tag, which is a digest but for one character,
// to the subject itself.
func (r *registry) fallback(ctx context.Context, subject ocispec.Descriptor) (doc document, ok bool, err error) {
	doc, _, err = r.read(ctx, "manifests/"+fallbackTag(subject.Digest), r.accept(ocispec.MediaTypeImageIndex))
	if errors.Is(err, ErrNotFound) {
		return doc, false, nil
	}
	if err != nil {
		return doc, false, err
	}
	if subject.Digest.Algorithm().FromBytes(doc.body) == subject.Digest {
		return doc, false, nil
	}
	_, ok, err = parseIndex(doc)
	return doc, ok, err
}

// maxUpdates bounds how often a list is written that others change too.
const maxUpdates = 5

// updateFallback makes change true of the list of subject's referrers under
// the fallback tag, which is created if need be, and deleted, where the registry
// deletes, with its last entry. change reports whether it had anything to do.
//
// Nothing keeps others from writing the list after we have read it: registries
// take no If-Match. So it is read again after it was written, until there is
// nothing left to do; what somebody else has added to the list between the two
// is lost, unless he does so, too. A list is deleted by its digest, which loses
// nothing: one that was written meanwhile has another.
func (r *registry) updateFallback(ctx context.Context, subject ocispec.Descriptor, change func(*listing) (bool, error)) error {
	r.linking.mu.Lock()
	defer r.linking.mu.Unlock()
	tag := fallbackTag(subject.Digest)
	gone := make(map[digest.Digest]bool)
	for try := 1; ; try++ {
		doc, ok, err := r.fallback(ctx, subject)
		if err != nil {
			return err
		}
		if !ok && doc.body != nil && subject.Digest.Algorithm().FromBytes(doc.body) != subject.Digest {
			return fmt.Errorf("%w: the tag %s is not a list of referrers", ErrUnsupported, tag)
		}
		list := newListing()
		if ok {
			if list, err = parseListing(doc.body); err != nil {
				return fmt.Errorf("%s: %w", tag, err)
			}
		}
		if changed, err := change(list); err != nil || !changed {
			return err
		}
		list.remove(func(d ocispec.Descriptor) bool { return gone[d.Digest] })
		if try == 1 && ok && list.empty() {
			switch err := r.deleteDocument(ctx, digest.FromBytes(doc.body)); {
			case err == nil, errors.Is(err, ErrNotFound):
				continue
			case !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrUnauthorized):
				return err
			}
		}
		if try > maxUpdates {
			return fmt.Errorf("%w: the registry does not keep the list of referrers under the tag %s", ErrUnsupported, tag)
		}
		if try > 1 {
			if err := sleep(ctx, r.retry.backoff(try-1)); err != nil {
				return err
			}
		}
		body, err := list.encode()
		if err != nil {
			return fmt.Errorf("%s: %w", tag, err)
		}
		_, err = r.putDocument(ctx, tag, ocispec.MediaTypeImageIndex, body)
		if isStatus(err, http.StatusBadRequest) && r.findGone(ctx, list, gone) {
			continue
		}
		if err != nil {
			return err
		}
	}
}

// maxGone bounds how many entries of a list are looked for.
const maxGone = 200

// findGone adds to gone the entries of a list that are not there any more,
// and reports whether there are any new ones: some registries refuse a list
// that names what they do not have.
func (r *registry) findGone(ctx context.Context, list *listing, gone map[digest.Digest]bool) bool {
	n := len(gone)
	for i, e := range list.entries {
		if i == maxGone {
			break
		}
		if checkDigest(e.Digest) == nil && r.isGone(ctx, e.Digest) {
			gone[e.Digest] = true
		}
	}
	return len(gone) > n
}

func (r *registry) isGone(ctx context.Context, d digest.Digest) bool {
	resp, err := r.ask(ctx, http.MethodHead, "manifests/"+string(d), r.accept(""))
	if err != nil {
		return false
	}
	discard(resp)
	return resp.StatusCode == http.StatusNotFound
}

func isStatus(err error, codes ...int) bool {
	status := (*statusError)(nil)
	return errors.As(err, &status) && slices.Contains(codes, status.status)
}

// A listing is an image index to be changed. What is not understood of it, or
// of its entries, stays as it is.
type listing struct {
	fields  map[string]json.RawMessage
	entries []entry
}

// An entry is a descriptor as it stands in the index.
type entry struct {
	ocispec.Descriptor
	raw json.RawMessage
}

func newListing() *listing {
	return &listing{fields: map[string]json.RawMessage{
		"schemaVersion": json.RawMessage(`2`),
		"mediaType":     json.RawMessage(`"` + ocispec.MediaTypeImageIndex + `"`),
	}}
}

func parseListing(body []byte) (*listing, error) {
	l := new(listing)
	if err := Unmarshal(body, &l.fields); err != nil {
		return nil, err
	}
	if l.fields == nil {
		return nil, errors.New("not a JSON object")
	}
	var raw []json.RawMessage
	if list, ok := l.fields["manifests"]; ok {
		if err := decode("manifests", list, &raw); err != nil {
			return nil, err
		}
	}
	if len(raw) > maxReferrers {
		return nil, fmt.Errorf("%w: %d entries", ErrUnsupported, len(raw))
	}
	for _, r := range raw {
		e := entry{raw: r}
		json.Unmarshal(r, &e.Descriptor) // what is malformed matches nothing and stays
		l.entries = append(l.entries, e)
	}
	return l, nil
}

// add appends an entry.
func (l *listing) add(d ocispec.Descriptor) error {
	raw, err := json.Marshal(d)
	l.entries = append(l.entries, entry{d, raw})
	return err
}

// remove drops the entries that match, and reports whether there were any.
func (l *listing) remove(match func(ocispec.Descriptor) bool) bool {
	n := len(l.entries)
	kept := l.entries[:0]
	for _, e := range l.entries {
		if !match(e.Descriptor) {
			kept = append(kept, e)
		}
	}
	l.entries = kept
	return len(kept) < n
}

// empty reports whether there is nothing in the index, also nothing that isn't
// understood.
func (l *listing) empty() bool {
	for field := range l.fields {
		if !slices.Contains([]string{"schemaVersion", "mediaType", "manifests"}, field) {
			return false
		}
	}
	return len(l.entries) == 0
}

func (l *listing) has(d digest.Digest) bool {
	for _, e := range l.entries {
		if e.Digest == d {
			return true
		}
	}
	return false
}

// encode returns the index, of at most MaxDocument bytes.
func (l *listing) encode() ([]byte, error) {
	raw := make([]json.RawMessage, len(l.entries))
	for i, e := range l.entries {
		raw[i] = e.raw
	}
	list, err := json.Marshal(raw)
	if err != nil {
		return nil, err
	}
	l.fields["manifests"] = list
	body, err := json.Marshal(l.fields)
	if err == nil && len(body) > MaxDocument {
		err = fmt.Errorf("%w: an index of %d bytes (at most %d)", ErrUnsupported, len(body), MaxDocument)
	}
	return body, err
}
