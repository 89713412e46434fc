package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

// A claim is the digest of a layer of which nobody but the archive that the
// layer lies in says that it is the layer's. That it was found true is
// remembered of the file as it is now, and of the place in it.
type claim struct {
	memory Memory // nil: it is remembered as long as the archive is open
	key    string // what memory calls it; "" if nothing
	proved atomic.Bool
}

// claim is that the bytes of m have the digest d.
func (a *archive) claim(m member, d digest.Digest) *claim {
	c := &claim{memory: a.memory}
	if a.id != "" {
		sum := sha256.Sum256(fmt.Appendln(nil, a.id, m.Off, m.Size, d))
		c.key = "proved-sha256-" + hex.EncodeToString(sum[:])
	}
	return c
}

// isProved says whether the claim was found true before.
func (c *claim) isProved() bool {
	if !c.proved.Load() && c.memory != nil && c.key != "" {
		_, err := c.memory.Get(c.key)
		c.proved.Store(err == nil)
	}
	return c.proved.Load()
}

// prove notes that the claim was found true. That this cannot be kept costs time
// when the archive is opened again.
func (c *claim) prove() {
	if !c.proved.Swap(true) && c.memory != nil && c.key != "" {
		c.memory.Put(c.key, []byte{1})
	}
}

// Prove is for who would take a blob's content from elsewhere because that has
// its digest. Where nothing but the file that the blob lies in says that this is
// the blob's digest, as of a layer of a Docker archive, the blob is read and
// held to it, unless that was done before, as Options.Memory knows; a
// *DigestError says that it has another one. In all other places the digest
// hangs from the manifest's, and there is nothing to do.
func (b *Blob) Prove(ctx context.Context) error {
	l, ok := b.m.(*local)
	if !ok || l.claim == nil || l.claim.isProved() {
		return nil
	}
	r := b.Range(0, b.size)
	defer r.Close()
	sum := b.digest.Algorithm().Digester()
	if _, err := io.Copy(sum.Hash(), &bounded{ctx, r}); err != nil {
		return err
	}
	if got := sum.Digest(); got != b.digest {
		return b.explain(fmt.Errorf("%s: %w", b.digest, &DigestError{Want: b.digest, Got: got, WantSize: b.size, GotSize: b.size}))
	}
	l.claim.prove()
	return nil
}

// Proved notes that the blob was read whole, and has its digest.
func (b *Blob) Proved() {
	if l, ok := b.m.(*local); ok && l.claim != nil {
		l.claim.prove()
	}
}
