package signature

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// What a signature is stored as, by media type and annotation.
const (
	// PayloadType is the media type of a payload; a descriptor with it has the
	// signature as its annotation PayloadNote, in base64.
	PayloadType = "application/vnd.dev.cosign.simplesigning.v1+json"
	PayloadNote = "dev.cosignproject.cosign/signature"
)

// payloadKind is what cosign's payloads say they are.
const payloadKind = "cosign container image signature"

// Errors of signatures; others say what is malformed.
var (
	// ErrKey says that none of the keys has signed it.
	ErrKey = errors.New("not signed by the key")
	// ErrOther says that it is signed by one of the keys, but means another
	// manifest, or something else than that this one is meant.
	ErrOther = errors.New("it is a signature of something else")
)

// Payload returns nil if sig, in base64, is a signature by one of the keys of
// payload, and payload names the manifest of that digest. Other errors than
// ErrKey and ErrOther say what is malformed.
func (k *Keys) Payload(payload []byte, sig string, of digest.Digest) error {
	raw, err := base64.StdEncoding.DecodeString(sig)
	if err != nil {
		return fmt.Errorf("the signature: %w", err)
	}
	if !k.signed(payload, raw) {
		return ErrKey
	}
	var p struct {
		Critical struct {
			Type  string
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			}
		}
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return fmt.Errorf("the payload: %w", err)
	}
	switch {
	case p.Critical.Type != payloadKind:
		return fmt.Errorf("%w: of type %.80q", ErrOther, p.Critical.Type)
	case p.Critical.Image.Digest != of.String():
		return fmt.Errorf("%w: of %.80q", ErrOther, p.Critical.Image.Digest)
	}
	return nil
}
