package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
)

// A Referred is a manifest or an image index, and what refers to it. All of it
// has been read and verified.
type Referred struct {
	Descriptor   ocispec.Descriptor // with its platform, if an image index tells
	ArtifactType string             // "" of an image
	Annotations  map[string]string  // its own
	// Attestation says that it is listed in the same image index as what it
	// refers to, as BuildKit does, and has no subject.
	Attestation bool
	// Tag, if not "", is the one that cosign makes of the digest of what this
	// belongs to. It has no subject, and nothing else says what it belongs to.
	Tag string
	// Predicates are the types of what is attested, by in-toto statements.
	Predicates []string

	Referrers []*Referred
	// Manifests are those of an image index that something refers to.
	Manifests []*Referred
}

// Bounds of a walk through referrers: of those that are read altogether, and of
// how far they refer to one another.
const (
	maxReferred      = 1000
	maxReferredDepth = 16
)

// A ReferrersOptions says which referrers are wanted. The zero value: all.
type ReferrersOptions struct {
	Type  string // their artifactType; what refers to others that have it is kept, too
	Depth int    // how far they refer to one another: 1 is what refers to the image itself; 0: no bound
}

// Referrers finds what refers to what src's reference points at: by subject, in
// the registry's referrers API, its fallback tag or a layout's index; in an
// image index, as an attestation; and under the tags that cosign makes of the
// digest. The manifests of an image index have their own; with o.Platform, only
// those for that platform are asked for. Four requests or five for each manifest,
// and one for each referrer that isn't in store. What doesn't refer to what it is listed for, or is gone, is left out with a warning.
func Referrers(ctx context.Context, src *fetch.Source, store *cache.Store, o Options, want ReferrersOptions) (*Referred, error) {
	w := &referrerWalk{r: &resolver{src: src, store: store, warn: o.warn}, want: want}
	if w.want.Depth == 0 || w.want.Depth > maxReferredDepth {
		w.want.Depth = maxReferredDepth
	}
	root, err := w.r.root(ctx)
	if err != nil {
		return nil, err
	}
	n := referredOf(root)
	if n.Referrers, err = w.direct(ctx, root.desc); err != nil {
		return nil, err
	}
	if root.index != nil {
		if n.Manifests, err = w.manifests(ctx, root, o); err != nil {
			return nil, err
		}
	}
	if w.full {
		o.warn(fmt.Sprintf("more than %d referrers: not all are shown", maxReferred))
	}
	return n, nil
}

// A referrerWalk is one call of Referrers.
type referrerWalk struct {
	r    *resolver
	want ReferrersOptions
	n    int  // read so far
	full bool // there are more than may be
}

// direct finds all that refers to an image, and what refers to that.
func (w *referrerWalk) direct(ctx context.Context, image ocispec.Descriptor) ([]*Referred, error) {
	found, err := w.walk(ctx, image, 1)
	if err != nil {
		return nil, err
	}
	return w.cosigned(ctx, image, found)
}

// walk finds what has subject as its own, and what refers to that.
func (w *referrerWalk) walk(ctx context.Context, subject ocispec.Descriptor, depth int) (found []*Referred, err error) {
	if depth > w.want.Depth {
		return nil, nil
	}
	list, err := w.r.src.Referrers(ctx, subject, "")
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	for _, d := range list {
		if w.n++; w.n > maxReferred {
			w.full = true
			break
		}
		doc, err := w.r.load(ctx, d)
		if err == nil {
			err = fetch.VerifySubject(doc.raw, subject)
		}
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, fetch.ErrUnauthorized), errors.Is(err, fetch.ErrUnreachable):
			return nil, err
		case err != nil:
			w.r.warn(fmt.Sprintf("referrer %s: %v", d.Digest, err))
			continue
		}
		n := referredOf(doc)
		if n.ArtifactType == "" {
			n.ArtifactType = d.ArtifactType
		}
		if n.Referrers, err = w.walk(ctx, doc.desc, depth+1); err != nil {
			return nil, err
		}
		if w.wanted(n) {
			found = append(found, n)
		}
	}
	return found, nil
}

func (w *referrerWalk) wanted(n *Referred) bool {
	return w.want.Type == "" || n.ArtifactType == w.want.Type || len(n.Referrers) > 0
}

// What BuildKit says in an image index of an attestation: which manifest it is
// about; and of what is in it.
const (
	attestationOf = "vnd.docker.reference.digest"
	predicateNote = "in-toto.io/predicate-type"
)

// manifests are those of an index that something refers to.
func (w *referrerWalk) manifests(ctx context.Context, doc *document, o Options) (found []*Referred, err error) {
	fits := func(ocispec.Platform) bool { return true }
	if o.Platform != "" {
		spec, err := ParsePlatform(o.Platform)
		if err != nil {
			return nil, fmt.Errorf("platform %q: %w", o.Platform, err)
		}
		fits = newChooser(w.r, spec).fits
	}
	for _, d := range doc.index.Manifests {
		if isAttestation(d) || d.Platform != nil && !fits(*d.Platform) || d.Digest.Validate() != nil {
			continue
		}
		if w.n++; w.n > maxReferred {
			w.full = true
			break
		}
		n := &Referred{Descriptor: d, ArtifactType: d.ArtifactType, Annotations: d.Annotations}
		if n.Referrers, err = w.direct(ctx, d); err != nil {
			return nil, err
		}
		attested, err := w.attestations(ctx, doc.index.Manifests, d.Digest)
		if err != nil {
			return nil, err
		}
		if n.Referrers = append(n.Referrers, attested...); len(n.Referrers) > 0 {
			found = append(found, n)
		}
	}
	return found, nil
}

// attestations are those entries of an index that are about the manifest of.
func (w *referrerWalk) attestations(ctx context.Context, entries []ocispec.Descriptor, of digest.Digest) (found []*Referred, err error) {
	for _, d := range entries {
		if d.Annotations[attestation] == "" || d.Annotations[attestationOf] != string(of) {
			continue
		}
		doc, err := w.r.load(ctx, d)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			w.r.warn(fmt.Sprintf("attestation %s: %v", d.Digest, err))
			continue
		}
		n := referredOf(doc)
		n.Attestation, n.ArtifactType = true, d.Annotations[attestation]
		if w.wanted(n) {
			found = append(found, n)
		}
	}
	return found, nil
}

// referredOf is what a document tells of itself.
func referredOf(doc *document) *Referred {
	n := &Referred{Descriptor: doc.desc}
	n.Descriptor.Data = nil
	if doc.index != nil {
		n.ArtifactType, n.Annotations = doc.index.ArtifactType, doc.index.Annotations
		return n
	}
	n.Annotations = doc.manifest.Annotations
	if doc.manifest.ArtifactType != "" || !isImageConfig(doc.manifest.Config.MediaType) {
		n.ArtifactType = artifactType(doc.manifest)
	}
	for _, l := range doc.manifest.Layers {
		if p := cmp.Or(l.Annotations[predicateNote], l.Annotations[notePredicate]); p != "" {
			n.Predicates = append(n.Predicates, p)
		}
	}
	return n
}
