// Package signature checks signatures of manifests: bytes in, verdict out.
//
// A signature is made by somebody's key over a small document that names a
// manifest by its digest. Whoever has the public key, and trusts it, so knows
// that the manifest is meant, and with it all that hangs from it. There are two
// forms of such a document, both cosign's:
//
//   - A payload of "simple signing", with the signature beside it in an
//     annotation (cosign's SIGNATURE_SPEC.md): Keys.Payload.
//   - A Sigstore bundle, one JSON document (protobuf-specs, bundle v0.1 to
//     v0.3), which has either a DSSE envelope around an in-toto statement, or a
//     signature of the manifest's own bytes: Keys.Bundle.
//
// Only keys are believed: certificates, transparency logs and timestamps, which
// these documents may have, too, are not looked at, and neither is the key that
// a document says it was signed by.
//
// Where signatures are found is not this package's matter, nor is it a secret:
// a signature holds wherever it comes from.
package signature
