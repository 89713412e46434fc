package image

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/cache"
)

// A Kept says which image has been opened through a cache, and what in there is
// its. It is a note for people: nothing of it is believed when an image is
// opened, and without it nothing is lost but names.
type Kept struct {
	Name   string        `json:"name"`   // the reference, in full
	Digest digest.Digest `json:"digest"` // of the manifest, or of the image index if all of it is shown
	What   string        `json:"what"`   // see Image.What
	Layers []KeptLayer   `json:"layers"`
}

// A KeptLayer is a layer of such an image.
type KeptLayer struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`  // as stored in the registry
	Space  string        `json:"space"` // the key of what is decoded of it
}

const (
	keptPrefix = "image-" // of the key of a Kept
	maxKept    = 1 << 20  // bytes; some thousand layers
)

// keep notes that the image was opened. An error would tell of a cache that
// can't be written to, of which others tell.
func (m *Image) keep(store *cache.Store) {
	k := m.kept()
	b, err := json.Marshal(k)
	if err == nil && len(b) <= maxKept {
		store.Put(fmt.Sprintf("%s%x", keptPrefix, sha256.Sum256([]byte(k.Name+"\n"+k.Digest.String()+"\n"+k.What))), b)
	}
}

func (m *Image) kept() Kept {
	k := Kept{Name: m.manifest.Name, Digest: m.manifest.Descriptor.Digest, What: m.what}
	for _, l := range m.layers {
		k.Layers = append(k.Layers, KeptLayer{l.desc.Digest, l.desc.Size, l.key})
	}
	return k
}

// ReadKept reads the note that the entry of a cache is; false if it is none.
func ReadKept(store *cache.Store, e cache.Entry) (k Kept, ok bool) {
	if e.Kind != cache.KindObject || !strings.HasPrefix(e.Key, keptPrefix) || e.Bytes > 2*maxKept {
		return k, false
	}
	b, err := store.Peek(e.Key)
	return k, err == nil && len(b) <= maxKept && json.Unmarshal(b, &k) == nil && k.Digest.Validate() == nil
}

// Layer is the digest of the blob that an entry is of, as far as its key tells;
// "" if it is of none.
func Layer(e cache.Entry) digest.Digest {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		for _, kind := range []string{"space-", "raw-", "unread-", "toc-", "raw-toc-", "doc-", "blob-"} {
			if hex, ok := strings.CutPrefix(e.Key, kind+algorithm.String()+"-"); ok {
				if d := digest.NewDigestFromEncoded(algorithm, hex); d.Validate() == nil {
					return d
				}
			}
		}
	}
	return ""
}
