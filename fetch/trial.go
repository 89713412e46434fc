package fetch

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// A Trial is what a server has answered.
type Trial struct {
	Err       error         // why it is of no use; nil: it gave all that it was asked for
	Scheme    string        // https or http; "": there was no answer
	Auth      string        // what it wanted: "none", "basic", "bearer"; "": not known
	Digest    digest.Digest // what it says that the tag points at; "": it was not asked
	Ranges    Answer        // whether it gives parts of blobs
	Referrers Answer        // whether it has the referrers API
}

// An Answer is one to a question that can be answered by yes or no.
type Answer int

// The answers.
const (
	Unasked Answer = iota
	Yes
	No
)

func answerOf(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// trials try registries that are to have the same.
type trials struct {
	ref   Reference
	known digest.Digest // of what the reference points at
}

// errNobody: nobody could say what the reference points at.
var errNobody = errors.New("not asked: no server has said what the tag points at")

func (t *trials) of(ctx context.Context, r *registry) (trial Trial) {
	trial.Err = t.try(ctx, r, &trial)
	r.mu.Lock()
	if len(r.endpoint.schemes) == 1 && !errors.Is(trial.Err, errNobody) {
		trial.Scheme = r.endpoint.schemes[0]
	}
	r.mu.Unlock()
	if no := (*networkError)(nil); errors.As(trial.Err, &no) {
		trial.Scheme = ""
		return trial
	}
	switch scheme, _ := r.tokens.GetScheme(ctx, r.host); {
	case scheme == auth.SchemeBasic:
		trial.Auth = "basic"
	case scheme == auth.SchemeBearer:
		trial.Auth = "bearer"
	case trial.Err == nil:
		trial.Auth = "none"
	}
	return trial
}

func (t *trials) try(ctx context.Context, r *registry, trial *Trial) error {
	d := ocispec.Descriptor{Digest: t.known}
	if r.endpoint.resolve || t.ref.digest != "" {
		var err error
		if d, _, err = r.resolve(ctx); err != nil {
			return err
		}
		trial.Digest = d.Digest
	}
	if d.Digest == "" {
		return errNobody
	}
	if t.known == "" {
		t.known = d.Digest
	}
	if r.endpoint.resolve {
		if err := tryReferrers(ctx, r, d, trial); err != nil {
			return err
		}
	}
	if !r.pull {
		return nil
	}
	return tryRanges(ctx, r, d, trial)
}

func tryReferrers(ctx context.Context, r *registry, d ocispec.Descriptor, trial *Trial) error {
	_, err := r.askReferrers(ctx, d, "")
	if err != nil && !errors.Is(err, errNoAPI) {
		return err
	}
	trial.Referrers = answerOf(err == nil)
	return nil
}

// tryRanges asks for a byte of a layer, or of whatever the manifest lists
// first.
func tryRanges(ctx context.Context, r *registry, d ocispec.Descriptor, trial *Trial) error {
	for range 4 { // an image index within an image index …
		doc, err := r.document(ctx, d)
		if err == nil {
			err = verify(ocispec.Descriptor{Digest: d.Digest}, doc.body)
		}
		if err != nil {
			return err
		}
		var m struct{ Manifests, Layers []ocispec.Descriptor }
		if err := json.Unmarshal(doc.body, &m); err != nil {
			return err
		}
		switch {
		case len(m.Manifests) > 0:
			d = m.Manifests[0]
		case len(m.Layers) > 0:
			return tryByte(ctx, r, m.Layers[0], trial)
		default:
			return nil
		}
		if err := checkDigest(d.Digest); err != nil {
			return err
		}
	}
	return nil
}

func tryByte(ctx context.Context, r *registry, d ocispec.Descriptor, trial *Trial) error {
	if err := checkDigest(d.Digest); err != nil || d.Size < 2 {
		return err // a range of it would be all of it
	}
	b := r.remote(ctx, d)
	defer b.Close()
	body, err := b.open(ctx, d.Size-1, 1)
	if err != nil {
		return err
	}
	trial.Ranges = answerOf(!body.whole)
	body.Close()
	return nil
}
