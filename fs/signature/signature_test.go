package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// A signer is a key, and a hash to sign with; 0 is none, for Ed25519.
type signer struct {
	crypto.Signer
	hash crypto.Hash
}

func (s signer) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	if s.hash != 0 {
		message = sum(s.hash, message)
	}
	sig, err := s.Sign(rand.Reader, message, s.hash)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func (s signer) pem(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func (s signer) keys(t testing.TB) *Keys {
	t.Helper()
	k, err := ParseKeys(s.pem(t))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// signers are one of each kind.
func signers() map[string]signer {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	return map[string]signer{
		"P-256":           {must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), crypto.SHA256},
		"P-384":           {p384, crypto.SHA384},
		"P-384 + SHA-256": {p384, crypto.SHA256},
		"RSA":             {must(rsa.GenerateKey(rand.Reader, 2048)), crypto.SHA256},
		"Ed25519":         {must(ed, err), 0},
	}
}

var (
	manifest = []byte(`{"schemaVersion":2}`)
	of       = digest.FromBytes(manifest)
)

func payloadOf(d digest.Digest, kind string) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"r"},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, d, kind)
}

func statementOf(d digest.Digest, kind, predicate string) []byte {
	return fmt.Appendf(nil, `{"_type":%q,"predicateType":%q,"subject":[{"digest":{"sha256":"00"}},{"digest":{"sha256":%q}}],"predicate":{}}`, kind, predicate, d.Encoded())
}

const statementV1 = "https://in-toto.io/Statement/v1"

// bundleOf is a bundle with an envelope, as cosign writes it.
func bundleOf(t testing.TB, s signer, kind string, payload []byte) []byte {
	return must(json.Marshal(map[string]any{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{"publicKey": map[string]string{"hint": "x"}},
		"dsseEnvelope": map[string]any{
			"payload": payload, "payloadType": kind,
			"signatures": []any{map[string]any{"sig": s.sign(t, envelope(kind, payload)), "keyid": ""}},
		},
	}))
}

// TestKinds verifies each form of signature by each kind of key.
func TestKinds(t *testing.T) {
	for name, s := range signers() {
		t.Run(name, func(t *testing.T) {
			k := s.keys(t)
			p := payloadOf(of, payloadKind)
			if err := k.Payload(p, base64.StdEncoding.EncodeToString(s.sign(t, p)), of); err != nil {
				t.Errorf("payload: %v", err)
			}
			if err := k.Bundle(bundleOf(t, s, statementType, statementOf(of, statementV1, predicateSign)), of, manifest); err != nil {
				t.Errorf("envelope: %v", err)
			}
			message := fmt.Appendf(nil, `{"messageSignature":{"signature":%q}}`, base64.StdEncoding.EncodeToString(s.sign(t, manifest)))
			if err := k.Bundle(message, of, manifest); err != nil {
				t.Errorf("message: %v", err)
			}
			if err := k.Bundle(message, of, append(manifest, '\n')); !errors.Is(err, ErrKey) {
				t.Errorf("another message: %v", err)
			}
		})
	}
}

// TestRefuse has signatures that must not count, and what is said of them.
func TestRefuse(t *testing.T) {
	all := signers()
	s, other := all["P-256"], all["P-384"]
	k := s.keys(t)
	sign := func(s signer, b []byte) string { return base64.StdEncoding.EncodeToString(s.sign(t, b)) }
	good, elsewhere := payloadOf(of, payloadKind), payloadOf(digest.FromString("x"), payloadKind)
	for _, c := range []struct {
		name string
		err  error
		want error
		text string
	}{
		{"another key", k.Payload(good, sign(other, good), of), ErrKey, ""},
		{"no keys", (*Keys)(nil).Payload(good, sign(s, good), of), ErrKey, ""},
		{"another manifest", k.Payload(elsewhere, sign(s, elsewhere), of), ErrOther, "sha256:2d711642"},
		{"changed afterwards", k.Payload(good, sign(s, elsewhere), of), ErrKey, ""},
		{"another kind", k.Payload(payloadOf(of, "x"), sign(s, payloadOf(of, "x")), of), ErrOther, `"x"`},
		{"no base64", k.Payload(good, "!", of), nil, "illegal base64"},
		{"empty", k.Payload(good, "", of), ErrKey, ""},
		{"no JSON", k.Payload([]byte("x"), sign(s, []byte("x")), of), nil, "the payload: invalid"},
		{"bundle by another key", k.Bundle(bundleOf(t, other, statementType, statementOf(of, statementV1, predicateSign)), of, manifest), ErrKey, ""},
		{"bundle of another manifest", k.Bundle(bundleOf(t, s, statementType, statementOf(digest.FromString("x"), statementV1, predicateSign)), of, manifest), ErrOther, "another manifest"},
		{"a scan that is signed", k.Bundle(bundleOf(t, s, statementType, statementOf(of, statementV1, "https://cosign.sigstore.dev/attestation/vuln/v1")), of, manifest), ErrOther, "vuln"},
		{"no statement", k.Bundle(bundleOf(t, s, statementType, statementOf(of, "x", predicateSign)), of, manifest), ErrOther, `"x"`},
		{"another payload", k.Bundle(bundleOf(t, s, "text/plain", statementOf(of, statementV1, predicateSign)), of, manifest), ErrOther, "text/plain"},
		{"no signature", k.Bundle([]byte(`{}`), of, manifest), nil, "no signature"},
		{"no signatures", k.Bundle([]byte(`{"dsseEnvelope":{"payload":"","signatures":[]}}`), of, manifest), ErrKey, ""},
		{"two in one", k.Bundle([]byte(`{"dsseEnvelope":{},"messageSignature":{}}`), of, manifest), nil, "both"},
		{"many", k.Bundle([]byte(`{"dsseEnvelope":{"signatures":[`+strings.Repeat("{},", 16)+`{}]}}`), of, manifest), nil, "17 signatures"},
		{"no bundle", k.Bundle([]byte("x"), of, manifest), nil, "the bundle: invalid"},
	} {
		if c.err == nil || c.want != nil && !errors.Is(c.err, c.want) || !strings.Contains(c.err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, c.err)
		}
	}
}

// TestKeyFiles reads files of keys.
func TestKeyFiles(t *testing.T) {
	all := signers()
	two := append(all["RSA"].pem(t), all["Ed25519"].pem(t)...)
	k, err := ParseKeys(two)
	if err != nil || len(k.list) != 2 || len(k.String()) != 16+2+16 {
		t.Errorf("two keys: %v, %v", k, err)
	}
	p := payloadOf(of, payloadKind)
	if err := k.Payload(p, base64.StdEncoding.EncodeToString(all["Ed25519"].sign(t, p)), of); err != nil {
		t.Errorf("by the second: %v", err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	pkix := func(key any) string { return block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key))) }
	old := must(rsa.GenerateKey(rand.Reader, 2048))
	if _, err := ParseKeys([]byte(block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&old.PublicKey)))); err != nil {
		t.Errorf("PKCS #1: %v", err)
	}
	for text, file := range map[string]string{
		"nothing in PEM": "hello", "private key": block("EC PRIVATE KEY", nil), "CERTIFICATE": block("CERTIFICATE", nil),
		"P-521":     pkix(&must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)).PublicKey),
		"more than": strings.Repeat("x", MaxKeys+1), "asn1": block("PUBLIC KEY", []byte("x")),
		"private": string(two) + block("ENCRYPTED SIGSTORE PRIVATE KEY", nil),
	} {
		if _, err := ParseKeys([]byte(file)); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
