package image

import (
	"context"
	"errors"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
)

// notePredicate says, in a blob of what cosign keeps under a tag, what is
// attested.
const notePredicate = "predicateType"

// cosigned is what cosign keeps of subject under tags made of its digest, as it
// does for registries that know of no subjects: signatures, attestations, an
// SBOM. That it is about subject, nothing but the tag says. What found has
// already is left out.
func (w *referrerWalk) cosigned(ctx context.Context, subject ocispec.Descriptor, found []*Referred) ([]*Referred, error) {
	for _, kind := range []string{fetch.CosignSignatures, fetch.CosignAttestations, fetch.CosignSBOM} {
		n, err := w.underTag(ctx, subject, kind)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, fetch.ErrNotFound):
			continue
		case errors.Is(err, fetch.ErrUnauthorized), errors.Is(err, fetch.ErrUnreachable):
			return nil, err
		case err != nil:
			w.r.warn(fmt.Sprintf("what cosign keeps under the tag %s: %v", fetch.CosignTag(subject.Digest, kind), err))
			continue
		}
		same := func(m *Referred) bool { return m.Descriptor.Digest == n.Descriptor.Digest }
		if n.Descriptor.Digest != subject.Digest && !slices.ContainsFunc(found, same) && w.wanted(n) {
			found = append(found, n)
		}
	}
	return found, nil
}

// underTag is what cosign keeps of a kind.
func (w *referrerWalk) underTag(ctx context.Context, subject ocispec.Descriptor, kind string) (*Referred, error) {
	d, err := w.r.src.Cosign(ctx, subject.Digest, kind)
	if err != nil {
		return nil, err
	}
	doc, err := w.r.load(ctx, d)
	if err != nil {
		return nil, err
	}
	n := referredOf(doc)
	n.Tag = fetch.CosignTag(subject.Digest, kind)
	if n.ArtifactType == "" && doc.manifest != nil && len(doc.manifest.Layers) > 0 {
		n.ArtifactType = doc.manifest.Layers[0].MediaType // the manifest poses as an image's
	}
	return n, nil
}
