package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
)

// A word is what an index says of one layer: where its table of contents lies,
// and, for an ocifs index, its windows file.
type word struct {
	origin         Origin
	index          ocispec.Descriptor // the index that says so
	named          bool               // the manifest names that index
	table, windows ocispec.Descriptor
}

// said notes whose words these are.
func said(index ocispec.Descriptor, named bool, words map[digest.Digest]word) map[digest.Digest]word {
	for layer, w := range words {
		w.index, w.named = index, named
		words[layer] = w
	}
	return words
}

// A finder looks for indexes of an image's layers, when the first layer asks:
// those that the manifest names, and those that name the manifest.
type finder struct {
	r     *resolver
	m     *Manifest
	o     Options
	fresh bool // ask, whatever is remembered

	finding sync.Once              // of the first that there is, for word
	words   map[digest.Digest]word // by layer
	listing sync.Once              // of all that there are, for all
	every   []map[digest.Digest]word
	errs    []error
}

// word is what the index says of a layer, if there is an index and it does.
func (f *finder) word(ctx context.Context, layer digest.Digest) (word, bool) {
	f.finding.Do(func() { f.words = f.find(ctx) })
	w, ok := f.words[layer]
	return w, ok && w.table.Digest != ""
}

// A place is where there may be an index. look returns nil if there is none.
type place struct {
	needs  Policy
	origin Origin
	look   func(context.Context) (map[digest.Digest]word, error)
}

// places are those that the policy lets one look in, in their order.
func (f *finder) places() []place {
	all := []place{
		{PolicyTrusted, OriginPushed, f.named},
		{PolicyTrusted, OriginSOCI, f.namedSOCI},
		{PolicyRepository, OriginPushed, f.referrer},
		{PolicyRepository, OriginSOCI, f.referrerSOCI},
	}
	return slices.DeleteFunc(all, func(p place) bool { return !f.o.takes(p.needs) })
}

// find tries each place in turn, until ctx has ended. An index is never needed,
// so what goes wrong is a warning.
func (f *finder) find(ctx context.Context) map[digest.Digest]word {
	for _, p := range f.places() {
		words, err := p.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			f.r.warn(fmt.Sprintf("an index can't be used: %v", err))
		}
		if words != nil && err == nil {
			return words
		}
	}
	return nil
}

// named is the ocifs index that the manifest names.
func (f *finder) named(ctx context.Context) (map[digest.Digest]word, error) {
	d := digest.Digest(f.m.annotations[IndexNote])
	if d == "" {
		return nil, nil
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d}
	b, err := f.r.read(ctx, desc)
	if err != nil {
		return nil, err
	}
	desc.Size = int64(len(b))
	words, err := parseIndex(b)
	return said(desc, true, words), err
}

// namedSOCI is the SOCI index, of version 2, that the manifest names.
func (f *finder) namedSOCI(ctx context.Context) (map[digest.Digest]word, error) {
	d := digest.Digest(f.m.annotations[index.SOCIIndexDigest])
	if d == "" {
		return nil, nil
	}
	return f.soci(ctx, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d}, true)
}

func (f *finder) soci(ctx context.Context, d ocispec.Descriptor, named bool) (map[digest.Digest]word, error) {
	b, err := f.r.read(ctx, d)
	if err != nil {
		return nil, err
	}
	x, err := index.ParseSOCIIndex(b)
	if err != nil {
		return nil, err
	}
	words := map[digest.Digest]word{}
	for _, z := range x.Ztocs {
		words[z.Layer] = word{origin: OriginSOCI, table: z.Descriptor()}
	}
	d.Size = int64(len(b))
	return said(d, named, words), nil
}

// takenKey names, in the cache, which pushed index was taken for m. Who pushed it
// may write to the repository that src reads, and is believed there alone: the
// same image elsewhere has its own.
func takenKey(m *Manifest, src *fetch.Source) string {
	return objectKey("index", digest.FromString(src.Home()+"\n"+m.Descriptor.Digest.String()))
}

// referrer is the ocifs index that names the manifest as its subject. Which
// one was taken is remembered, so that the next mount need not ask again,
// unless that one can't be read any more.
func (f *finder) referrer(ctx context.Context) (map[digest.Digest]word, error) {
	key := takenKey(f.m, f.r.src)
	if d, ok := f.recall(key); ok && !f.fresh {
		if words, err := f.pushed(ctx, d); err == nil {
			return words, nil
		}
	}
	list, err := f.referrers(ctx, IndexType)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		words, err := f.pushed(ctx, d)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			f.r.warn(fmt.Sprintf("index %s: %v", d.Digest, err))
			continue
		}
		f.remember(key, d)
		return words, nil
	}
	return nil, nil
}

// referrers lists the indexes that name the manifest, by digest: registries list
// them in any order, and everybody is to take the same one.
func (f *finder) referrers(ctx context.Context, kind string) ([]ocispec.Descriptor, error) {
	list, err := f.r.src.Referrers(ctx, f.m.Descriptor, kind)
	slices.SortFunc(list, func(a, b ocispec.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	return list, err
}

// pushed reads the ocifs index at d, which must have the manifest as its
// subject.
func (f *finder) pushed(ctx context.Context, d ocispec.Descriptor) (map[digest.Digest]word, error) {
	b, err := f.r.read(ctx, d)
	if err != nil {
		return nil, err
	}
	if err := fetch.VerifySubject(b, f.m.Descriptor); err != nil {
		return nil, err
	}
	words, err := parseIndex(b)
	return said(d, false, words), err
}

func (f *finder) recall(key string) (d ocispec.Descriptor, ok bool) {
	b, err := f.r.store.Get(key)
	return d, err == nil && json.Unmarshal(b, &d) == nil
}

func (f *finder) remember(key string, d ocispec.Descriptor) {
	b, err := json.Marshal(d)
	if err == nil {
		err = f.r.store.Put(key, b)
	}
	if err != nil {
		f.r.warn(err.Error())
	}
}

// referrerSOCI is a SOCI index of version 1, for those who ask for it: nothing
// says who has pushed it, and which one of several is meant.
func (f *finder) referrerSOCI(ctx context.Context) (map[digest.Digest]word, error) {
	if !f.o.SOCIv1 || f.o.Keys != nil {
		return nil, nil
	}
	list, err := f.referrers(ctx, index.SOCITypeV1)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return f.soci(ctx, list[0], false)
}

// indexed takes the TOC that an index has of the layer.
func (l *layer) indexed(ctx context.Context, p *planner) (bool, error) {
	w, ok := l.word(ctx, p)
	if !ok {
		return false, nil
	}
	b, err := p.found.r.blob(ctx, w.table)
	if err == nil {
		err = l.take(p, w, b)
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err != nil {
		l.warn(p, fmt.Sprintf("its index can't be used: %v", err))
		return false, nil
	}
	l.origin, l.key = w.origin, l.spaceOf(w)
	if w.origin == OriginPushed {
		l.astray = &astray{store: p.store, index: w.index.Digest}
	}
	return true, nil
}

// word is what the index says of the layer, unless it was found wrong before.
func (l *layer) word(ctx context.Context, p *planner) (word, bool) {
	w, ok := p.found.word(ctx, l.desc.Digest)
	if !ok {
		return w, false
	}
	if _, err := p.store.Get(wrongKey(l.spaceOf(w))); err == nil {
		l.warn(p, fmt.Sprintf("its index (%s) was found wrong before, and is not used", w.origin))
		return w, false
	}
	return w, true
}

// spaceOf names the layer's space in the cache if it goes by w.
func (l *layer) spaceOf(w word) string {
	return "space-" + l.believed(string(w.origin), w.table.Digest)
}

func (l *layer) take(p *planner, w word, b []byte) (err error) {
	if w.origin == OriginSOCI {
		l.toc, err = index.OpenSOCI(b, l.desc.Size, index.Hints{Digest: l.desc.Digest, DiffID: l.diffID, Limits: p.o.Limits})
		if err == nil {
			l.windows = bytesAt(l.toc.Windows())
		}
		return err
	}
	toc, err := table(b, p.o.Limits)
	if err != nil {
		return err
	}
	if toc.Digest() != l.desc.Digest || toc.DiffID() != l.diffID || toc.BlobSize() != l.desc.Size || toc.WindowsSize() != w.windows.Size {
		return errors.New("it is another layer's")
	}
	l.toc, l.windows = toc, nil
	if w.windows.Size == 0 {
		return nil
	}
	pages, err := p.windows(w.windows)
	if err == nil { // or a nil of a type would be taken for one
		l.windows = pages
	}
	return err
}

// blob is the small blob at d, verified; from the cache if it was read before.
func (r *resolver) blob(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	key := objectKey("blob", d.Digest)
	b, err := r.store.Get(key)
	if err == nil && d.Digest.Algorithm().FromBytes(b) == d.Digest {
		return b, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if b, err = r.whole(ctx, d); err != nil {
		return nil, err
	}
	if err := r.store.Put(key, b); err != nil {
		r.warn(err.Error())
	}
	return b, nil
}

// whole reads the blob at d, and verifies it. Memory grows with what comes, not
// with what is claimed.
func (r *resolver) whole(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	if d.Size > maxTable {
		return nil, fmt.Errorf("%w: a table of contents of %d bytes", index.ErrLimit, d.Size)
	}
	var b bytes.Buffer
	err := r.stream(ctx, d, &b)
	return b.Bytes(), err
}

// stream reads the blob at d into w, and verifies it: with an error, nothing of
// what w has may be believed.
func (r *resolver) stream(ctx context.Context, d ocispec.Descriptor, w io.Writer) error {
	blob, err := r.src.Blob(ctx, d)
	if err != nil {
		return err
	}
	defer blob.Close()
	rc := blob.Whole()
	defer rc.Close()
	sum := d.Digest.Algorithm().Digester()
	if _, err := io.Copy(io.MultiWriter(w, sum.Hash()), rc); err != nil {
		return err
	}
	if got := sum.Digest(); got != d.Digest {
		return &fetch.DigestError{Want: d.Digest, Got: got}
	}
	return nil
}
