package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/signature"
)

// A signature of an image index covers all manifests in it, one of a manifest
// only that; each covers all that the manifest names by digest. Signatures lie
// beside the image, in one of these places, and are looked for in this order:
//
//  1. where one was found before
//  2. Sigstore bundles whose subject is what they sign, as cosign writes them
//     from version 3 on, and payloads of "simple signing" with a subject
//  3. such payloads under a tag made of the digest, as older versions write them
//
// It doesn't matter where a signature was, nor whether it has been there before:
// it is verified each time.

// ErrUnsigned says that no signature by one of the keys was found of what is to
// be opened.
var ErrUnsigned = errors.New("no valid signature")

var errReferrer = errors.New("a signature of an image does not cover the Compose application that refers to it")

// Bounds on what is read for signatures of one document: who may push to the
// repository can put as many there as they like.
const (
	maxSigned    = 64 // manifests that may have signatures
	maxSignature = 64 // signatures in each
)

// The artifact types of manifests that have signatures, beside those of bundles:
// of simple signing, by its media type or as cosign calls it with a subject.
const cosignArtifact = "application/vnd.dev.cosign.artifact.sig.v1+json"

// vouched holds what is selected to the keys. With all platforms, or a Compose
// application and its images, only the index covers everything.
func (s *Selection) vouched(ctx context.Context) error {
	if s.o.Keys == nil {
		return nil
	}
	v := &verifier{r: s.r, keys: s.o.Keys}
	var err error
	if s.root.index != nil && !s.o.View.AllPlatforms && !isBundle(s.root) {
		s.m.Signed, err = v.either(ctx, s.root.desc, s.root.raw, s.m.Descriptor, s.m.Raw)
	} else {
		s.m.Signed, err = v.either(ctx, s.root.desc, s.root.raw, s.root.desc, s.root.raw)
	}
	return err
}

// holdSigned holds an image that is resolved to o.Keys, unless it was then.
func (r *resolver) holdSigned(ctx context.Context, m *Manifest, o Options) (err error) {
	if o.Keys == nil || m.Signed != "" {
		return nil
	}
	_, err = (&verifier{r: r, keys: o.Keys}).either(ctx, m.Root, m.RawRoot, m.Descriptor, m.Raw)
	return err
}

func (x *Description) holdSigned(ctx context.Context, r *resolver, keys *signature.Keys) (err error) {
	d, raw := x.Descriptor, x.Raw
	if raw == nil { // there is none for the platform
		d, raw = x.Root, x.RawRoot
	}
	x.Signed, err = (&verifier{r: r, keys: keys}).either(ctx, x.Root, x.RawRoot, d, raw)
	return err
}

// A verifier looks for signatures by some keys.
type verifier struct {
	r    *resolver
	keys *signature.Keys

	tried int   // signatures that do not count
	why   error // of one of those
}

// either is the digest of what is signed: the image index, or else the manifest
// that was chosen from it, which may be the same.
func (v *verifier) either(ctx context.Context, root ocispec.Descriptor, rawRoot []byte, d ocispec.Descriptor, raw []byte) (digest.Digest, error) {
	if ok, err := v.signed(ctx, root, rawRoot); ok || err != nil {
		return root.Digest, err
	}
	what := root.Digest.String()
	if d.Digest != root.Digest {
		if ok, err := v.signed(ctx, d, raw); ok || err != nil {
			return d.Digest, err
		}
		what += " or " + d.Digest.String()
	}
	if v.tried == 0 {
		return "", fmt.Errorf("%w: there is none of %s", ErrUnsigned, what)
	}
	return "", fmt.Errorf("%w of %s: %s, but %w", ErrUnsigned, what, counted(v.tried, "signature"), v.why)
}

// signed looks for a signature of the document at d, whose bytes are raw. An
// error says that nobody could be asked.
func (v *verifier) signed(ctx context.Context, d ocispec.Descriptor, raw []byte) (bool, error) {
	key := objectKey("signed", d.Digest)
	f := &finder{r: v.r}
	known, remembered := f.recall(key)
	if remembered {
		if ok, err := v.under(ctx, known, d, raw); ok || ctx.Err() != nil {
			return ok, err
		}
		v.tried, v.why = 0, nil // it comes again
	}
	for _, places := range []func(context.Context, ocispec.Descriptor) ([]ocispec.Descriptor, error){v.referrers, v.tagged} {
		list, err := places(ctx, d)
		if err != nil {
			return false, err
		}
		for _, at := range list[:min(len(list), maxSigned)] {
			ok, err := v.under(ctx, at, d, raw)
			if err != nil {
				return false, err
			}
			if ok {
				f.remember(key, at)
				return true, nil
			}
		}
		if len(list) > maxSigned {
			v.note(fmt.Errorf("there are more than %d manifests of them", maxSigned))
		}
	}
	return false, nil
}

// referrers are what may have signatures, of what has the document as its
// subject; the same in any order of the list.
func (v *verifier) referrers(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	list, err := v.r.src.Referrers(ctx, d, "")
	list = slices.DeleteFunc(list, func(d ocispec.Descriptor) bool {
		t := d.ArtifactType
		return t != "" && t != cosignArtifact && t != signature.PayloadType && !signature.IsBundle(t)
	})
	slices.SortFunc(list, func(a, b ocispec.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	return list, err
}

func (v *verifier) tagged(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	at, err := v.r.src.Cosign(ctx, d.Digest, fetch.CosignSignatures)
	if errors.Is(err, fetch.ErrNotFound) {
		return nil, nil
	}
	return []ocispec.Descriptor{at}, err
}

// under says whether one of the signatures in the manifest at d counts.
func (v *verifier) under(ctx context.Context, at, d ocispec.Descriptor, raw []byte) (bool, error) {
	doc, err := v.r.load(ctx, at)
	if err != nil {
		return false, v.unread(ctx, err)
	}
	if doc.manifest == nil {
		return false, nil
	}
	for _, l := range doc.manifest.Layers[:min(len(doc.manifest.Layers), maxSignature)] {
		sig, simple := l.Annotations[signature.PayloadNote]
		simple = simple && l.MediaType == signature.PayloadType
		if !simple && !signature.IsBundle(l.MediaType) {
			continue
		}
		if l.Size <= 0 || l.Size > fetch.MaxDocument {
			v.note(fmt.Errorf("a signature of %d bytes", l.Size))
			continue
		}
		b, err := v.r.blob(ctx, l)
		switch {
		case err != nil:
			if err = v.unread(ctx, err); err != nil {
				return false, err
			}
			continue
		case simple:
			err = v.keys.Payload(b, sig, d.Digest)
		default:
			err = v.keys.Bundle(b, d.Digest, raw)
		}
		if err == nil {
			return true, nil
		}
		v.note(err)
	}
	return false, nil
}

// unread passes on why something could not be read if it may be otherwise the
// next time; else it is a signature that doesn't count.
func (v *verifier) unread(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fetch.ErrUnauthorized), errors.Is(err, fetch.ErrUnreachable):
		return err
	}
	v.note(err)
	return nil
}

// note remembers a signature that doesn't count, and why: best of one that the
// key has made.
func (v *verifier) note(err error) {
	if v.tried++; v.why == nil || errors.Is(err, signature.ErrOther) {
		v.why = err
	}
}
