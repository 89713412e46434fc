package signature

import "testing"

// FuzzBundle holds that no bundle that a key has not signed is one.
func FuzzBundle(f *testing.F) {
	all := signers()
	s, k := all["P-256"], all["RSA"].keys(f)
	f.Add(bundleOf(f, s, statementType, statementOf(of, statementV1, predicateSign)))
	f.Add([]byte(`{"messageSignature":{"signature":"AA=="}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k.Bundle(b, of, manifest) == nil {
			t.Error("verified")
		}
		meant(statementType, b, of) // what a key has signed may still be anything
	})
}

// FuzzKeys reads keys, and uses what was read.
func FuzzKeys(f *testing.F) {
	for _, s := range signers() {
		f.Add(s.pem(f), []byte("sig"))
	}
	f.Fuzz(func(t *testing.T, file, sig []byte) {
		k, err := ParseKeys(file)
		if err != nil {
			return
		}
		_ = k.String()
		k.signed(manifest, sig) // by odd keys anything may be
	})
}
