package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	_ "crypto/sha512" // crypto.SHA384
)

// MaxKeys bounds a file of public keys, in bytes: some hundred of the largest.
const MaxKeys = 100 << 10

// minRSA is the shortest modulus that is taken, in bits.
const minRSA = 2048

// ErrNoKey says that a file has no public key that can be used.
var ErrNoKey = errors.New("no public key")

// Keys are public keys. What any one of them has signed is signed. They are
// immutable; nil has none, and verifies nothing.
type Keys struct{ list []crypto.PublicKey }

// ParseKeys reads public keys in PEM, as "cosign public-key" and "openssl pkey
// -pubout" write them: ECDSA on P-256 or P-384, RSA of at least 2048 bits, and
// Ed25519. One that can't be used is an error, also beside others that can. An
// ErrNoKey says why there is none.
func ParseKeys(file []byte) (*Keys, error) {
	if len(file) > MaxKeys {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrNoKey, MaxKeys)
	}
	k := new(Keys)
	for {
		var block *pem.Block
		if block, file = pem.Decode(file); block == nil {
			break
		}
		key, err := parseKey(block)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoKey, err)
		}
		k.list = append(k.list, key)
	}
	if len(k.list) == 0 {
		return nil, fmt.Errorf("%w: nothing in PEM", ErrNoKey)
	}
	return k, nil
}

func parseKey(block *pem.Block) (crypto.PublicKey, error) {
	switch {
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("a private key, which should be shown to nobody")
	case block.Type == "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		return key, usable(key)
	case block.Type != "PUBLIC KEY":
		return nil, fmt.Errorf("%.40q instead", block.Type)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key, usable(key)
}

// usable says what is wrong with a key.
func usable(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return fmt.Errorf("an ECDSA key on %s: P-256 and P-384 can be used", key.Params().Name)
		}
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < minRSA {
			return fmt.Errorf("an RSA key of %d bits: too short", n)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("a key of kind %T: ECDSA, RSA and Ed25519 can be used", key)
	}
	return nil
}

// String names the keys by their fingerprints: SHA-256 of their PKIX form, as
// "openssl pkey -pubin -outform DER | sha256sum" prints it, cut to 16 digits.
func (k *Keys) String() string {
	var names []string
	for _, key := range k.list {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil { // it came from there
			continue
		}
		sum := sha256.Sum256(der)
		names = append(names, hex.EncodeToString(sum[:8]))
	}
	return strings.Join(names, ", ")
}

// signed says whether sig is a signature of message by one of the keys. No
// document says which hash was used. Signers take SHA-256, or with P-384 the
// hash that goes with it, and no message can be made that fits one of both.
func (k *Keys) signed(message, sig []byte) bool {
	if k == nil {
		return false
	}
	for _, key := range k.list {
		switch key := key.(type) {
		case ed25519.PublicKey:
			if ed25519.Verify(key, message, sig) {
				return true
			}
		case *rsa.PublicKey:
			if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum(crypto.SHA256, message), sig) == nil {
				return true
			}
		case *ecdsa.PublicKey:
			if ecdsa.VerifyASN1(key, sum(crypto.SHA256, message), sig) ||
				key.Curve == elliptic.P384() && ecdsa.VerifyASN1(key, sum(crypto.SHA384, message), sig) {
				return true
			}
		}
	}
	return false
}

func sum(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}
