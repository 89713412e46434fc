package image

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/tree"
)

// A Pinned is an image that a cache.Pin keeps: all that its store has used to
// open it, and to read what was read. There is one for a name and what is shown
// of it; pinned anew, after the tag has moved, it is of what the tag means then.
type Pinned struct {
	Kept
	Root ocispec.Descriptor `json:"root"` // what the name meant
	Made time.Time          `json:"-"`

	items []cache.Item
}

// Pin has store keep what it has used by now, for m: it must be the one that m
// was opened from, and nothing else.
func (m *Image) Pin(store *cache.Store) error {
	root := m.manifest.Root
	if root.Digest == "" {
		root = m.manifest.Descriptor
	}
	p := Pinned{Kept: m.kept(), Root: ocispec.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size}}
	note, err := json.Marshal(p)
	if err != nil {
		return err
	}
	pin := cache.Pin{Name: p.Key(), Note: note, Made: time.Now().UTC(), Items: store.Used()}
	if old, ok := pinnedAs(store, p.Key()); ok && old.Digest == p.Digest { // perhaps of another part of it
		pin.Items = append(pin.Items, old.items...)
	}
	return store.Pin(pin)
}

// PinKey is the name of the cache.Pin that Pin makes.
func (m *Image) PinKey() string { return Pinned{Kept: m.kept()}.Key() }

// Key is the name of the cache.Pin.
func (p Pinned) Key() string {
	return fmt.Sprintf("image-%x", sha256.Sum256([]byte(p.Name+"\n"+p.What)))
}

// ReadPins lists the images that are pinned in store.
func ReadPins(store *cache.Store) ([]Pinned, error) {
	pins, err := store.Pins()
	var all []Pinned
	for _, pin := range pins {
		p := Pinned{Made: pin.Made, items: pin.Items}
		if json.Unmarshal(pin.Note, &p) == nil && p.Key() == pin.Name && p.Digest.Validate() == nil && p.Root.Digest.Validate() == nil {
			all = append(all, p)
		}
	}
	return all, err
}

func pinnedAs(store *cache.Store, key string) (Pinned, bool) {
	pins, _ := ReadPins(store)
	i := slices.IndexFunc(pins, func(p Pinned) bool { return p.Key() == key })
	if i < 0 {
		return Pinned{}, false
	}
	return pins[i], true
}

// resolve asks the source what its reference means. A tag whose registry can't be
// asked is what it was when it was pinned last, if it was: that it may have moved
// since is told.
func (r *resolver) resolve(ctx context.Context) (ocispec.Descriptor, error) {
	d, err := r.src.Resolve(ctx)
	if err == nil || ctx.Err() != nil || !errors.Is(err, fetch.ErrUnreachable) {
		return d, err
	}
	pins, _ := ReadPins(r.store)
	var last Pinned
	for _, p := range pins {
		if p.Name == r.src.Name() && !p.Made.Before(last.Made) {
			last = p
		}
	}
	if last.Root.Digest == "" {
		return d, err
	}
	r.warn(fmt.Sprintf("%v: it is taken for what it was when it was pinned, on %s: %s", err, last.Made.Format(time.DateOnly), last.Root.Digest))
	return last.Root, nil
}

// Lacking is how many bytes, of all that is to be decoded to read files, the
// cache does not have, once what was read by now is written.
func (m *Image) Lacking(files iter.Seq[tree.Node]) (n int64) {
	layers := make([]*layer, len(m.layers))
	for i, l := range m.layers {
		if layers[i] = l; l.raw.verified() != nil {
			layers[i] = l.raw.verified() // which is what later mounts read
		}
	}
	for i, wanted := range wantedOf(m.tree, layers, files) {
		if wanted == nil {
			continue
		}
		layers[i].space.Written()
		layers[i].space.Present(wanted.clear)
		for k := range layers[i].toc.Len() {
			if start, end := layers[i].toc.Bounds(k); wanted.has(k) {
				n += end - start
			}
		}
	}
	return n
}

// Keeps says whether the digest, in full or its first 12 hexadecimal digits, is
// the image's, or that of the image index it was chosen from.
func (p Pinned) Keeps(s string) bool {
	for _, d := range []digest.Digest{p.Digest, p.Root.Digest} {
		if s == d.String() || len(s) >= len("sha256:")+12 && len(d) >= len(s) && string(d[:len(s)]) == s {
			return true
		}
	}
	return false
}

// Has says whether the item is kept for the image.
func (p Pinned) Has(i cache.Item) bool { return slices.Contains(p.items, i) }
