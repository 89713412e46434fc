package image

import (
	"context"
	"errors"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
)

// Forget removes from store what reading m's layers has left there, what they
// bring themselves, and which index in src's repository was taken, so that they
// are read or asked anew, and returns of
// how many layers there was anything. The error is a cache.ErrInUse if the
// image, or another one with the same layers, is open somewhere.
func Forget(m *Manifest, src *fetch.Source, store *cache.Store) (layers int, err error) {
	errs := []error{forgetIndex(m, src, store)}
	for i, d := range m.Layers() {
		l := &layer{desc: d, diffID: m.Config.RootFS.DiffIDs[i]}
		known := []cache.Entry{{Kind: cache.KindSpace, Key: objectKey("space", d.Digest)}, {Kind: cache.KindObject, Key: objectKey("toc", d.Digest)}}
		for _, o := range []Origin{OriginLayer, OriginTOCImage} {
			known = append(known, cache.Entry{Kind: cache.KindSpace, Key: "space-" + l.vouched(o)}, cache.Entry{Kind: cache.KindObject, Key: "toc-" + l.vouched(o)})
		}
		found := false
		for _, x := range known {
			switch err := store.Remove(x.Kind, x.Key); {
			case err == nil:
				found = true
			case !errors.Is(err, fs.ErrNotExist):
				errs = append(errs, err)
			}
		}
		if found {
			layers++
		}
	}
	return layers, errors.Join(errs...)
}

// forgetIndex forgets which index in src's repository was taken for m.
func forgetIndex(m *Manifest, src *fetch.Source, store *cache.Store) error {
	err := store.Remove(cache.KindObject, takenKey(m, src))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Retract deletes the ocifs indexes of m from src's repository, all but keep,
// with the memory of them in store, and returns which there were.
func Retract(ctx context.Context, m *Manifest, src *fetch.Source, store *cache.Store, keep digest.Digest) ([]ocispec.Descriptor, error) {
	list, err := src.Referrers(ctx, m.Descriptor, IndexType)
	if err != nil {
		return nil, err
	}
	var gone []ocispec.Descriptor
	for _, d := range list {
		if d.Digest == keep {
			continue
		}
		b, err := src.Document(ctx, d)
		if errors.Is(err, fetch.ErrNotFound) {
			continue
		}
		if err == nil {
			err = fetch.VerifySubject(b, m.Descriptor)
		}
		if err == nil {
			err = src.Delete(ctx, d)
		}
		if err != nil {
			return gone, err
		}
		gone = append(gone, d)
	}
	return gone, forgetIndex(m, src, store)
}
