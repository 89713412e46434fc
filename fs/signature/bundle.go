package signature

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// IsBundle says whether a media type is that of a Sigstore bundle: versions
// before 0.3 have it as a parameter.
func IsBundle(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.dev.sigstore.bundle")
}

// What an envelope holds, and what the statement in it says, to be a signature
// of an image. A statement of another kind, be it signed by the same key, says
// something about the image: that it was scanned, and is full of holes, say.
const (
	statementType = "application/vnd.in-toto+json"
	predicateSign = "https://sigstore.dev/cosign/sign/v1"
)

// A bundle is what there is of a Sigstore bundle to verify it by a key. Byte
// slices are base64 in JSON.
type bundle struct {
	MessageSignature *struct {
		Signature []byte
	}
	Envelope *struct {
		Payload     []byte
		PayloadType string
		Signatures  []struct{ Sig []byte }
	} `json:"dsseEnvelope"`
}

// maxSignatures bounds those of an envelope; a bundle has one.
const maxSignatures = 16

// Bundle returns nil if the bundle has a signature by one of the keys of the
// manifest of that digest, whose bytes are raw. Errors are as those of Payload.
func (k *Keys) Bundle(file []byte, of digest.Digest, raw []byte) error {
	var b bundle
	if err := json.Unmarshal(file, &b); err != nil {
		return fmt.Errorf("the bundle: %w", err)
	}
	switch e := b.Envelope; {
	case e != nil && b.MessageSignature != nil:
		return errors.New("the bundle: both an envelope and a signature")
	case b.MessageSignature != nil:
		if !k.signed(raw, b.MessageSignature.Signature) {
			return ErrKey
		}
		return nil
	case e == nil:
		return errors.New("the bundle: no signature")
	case len(e.Signatures) > maxSignatures:
		return fmt.Errorf("the bundle: %d signatures", len(e.Signatures))
	default:
		message := envelope(e.PayloadType, e.Payload)
		for _, s := range e.Signatures {
			if k.signed(message, s.Sig) {
				return meant(e.PayloadType, e.Payload, of)
			}
		}
		return ErrKey
	}
}

// envelope is what is signed of a DSSE envelope (secure-systems-lab/dsse,
// protocol.md): the payload, and what it is.
func envelope(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

// meant says whether a payload that is signed says that the manifest is.
func meant(payloadType string, payload []byte, of digest.Digest) error {
	if payloadType != statementType {
		return fmt.Errorf("%w: of type %.80q", ErrOther, payloadType)
	}
	var s struct {
		Type          string `json:"_type"`
		PredicateType string
		Subject       []struct{ Digest map[string]string }
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return fmt.Errorf("the statement: %w", err)
	}
	switch {
	case !strings.HasPrefix(s.Type, "https://in-toto.io/Statement/v"):
		return fmt.Errorf("%w: of type %.80q", ErrOther, s.Type)
	case s.PredicateType != predicateSign:
		return fmt.Errorf("%w: a statement %.80q about it", ErrOther, s.PredicateType)
	}
	for _, x := range s.Subject {
		if x.Digest[of.Algorithm().String()] == of.Encoded() {
			return nil
		}
	}
	return fmt.Errorf("%w: of another manifest", ErrOther)
}
