package image

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/index"
)

// A planner decides how each layer's table of contents is come by: the first
// of these that the policy allows and that there is.
//
//  1. What reading the whole layer once has left in the cache.
//  2. What the layer brings, or its TOC image, and the manifest vouches for.
//  3. What somebody has indexed: a SOCI index that the manifest names, or an
//     ocifs index in the image's repository.
//  4. Reading the whole layer, now.
//
// Tables from elsewhere are kept in the cache, too, each under a name that
// says all that it was believed for; so are the chunks that were read by it,
// apart from those of others: nothing that a wrong table shows can reach a
// mount that doesn't use it.
type planner struct {
	src   *fetch.Source
	store *cache.Store
	o     Options
	found *finder
	tocs  *tocImages
	life  context.Context // the image's, for what is read after the planning
	room  *room           // the selection's
}

// prepare has p ready for the layers of m. With fresh, what lies beside the
// image is asked for, whatever is remembered.
func (p *planner) prepare(m *Manifest, fresh bool) {
	r := &resolver{p.src, p.store, p.o.warn}
	p.found = &finder{r: r, m: m, o: p.o, fresh: fresh}
	p.tocs = &tocImages{r: r}
}

func (l *layer) plan(ctx context.Context, p *planner) error {
	switch {
	case l.format == index.Raw:
		return l.planRaw(ctx, p)
	case p.found == nil: // what an artifact has packed up: nobody indexes that
		return l.planTar(ctx, p)
	case p.o.Findings != nil:
		return l.judged(ctx, p)
	}
	for _, way := range []struct {
		needs Policy
		try   func(context.Context, *planner) (bool, error)
	}{
		{PolicyLocal, l.remembered},
		{PolicyTrusted, l.brought},
		{PolicyTrusted, l.indexed},
	} {
		if !p.o.takes(way.needs) || l.whole && way.needs != PolicyLocal {
			break
		}
		if ok, err := way.try(ctx, p); ok || err != nil {
			return err
		}
	}
	return l.build(ctx, p)
}

// remembered takes the layer's TOC from the cache. It was made from a blob
// that had the digest; that the image promises the same diffID, and that its layer
// is such a blob where only its own word is there for that, is checked here.
func (l *layer) remembered(ctx context.Context, p *planner) (bool, error) {
	toc, err := p.load(l.tocKey())
	if toc == nil || err != nil || toc.Digest() != l.desc.Digest {
		return false, err
	}
	if l.diffID != "" && toc.DiffID() != l.diffID {
		return false, &index.DigestError{What: "diffID", Want: string(l.diffID), Got: string(toc.DiffID())}
	}
	if l.desc.Size != toc.BlobSize() {
		return false, &index.DigestError{What: "layer size", Want: fmt.Sprint(l.desc.Size), Got: fmt.Sprint(toc.BlobSize())}
	}
	if err := l.blob.Prove(ctx); err != nil {
		if wrong := (*fetch.DigestError)(nil); errors.As(err, &wrong) {
			err = &index.DigestError{What: "layer", Want: string(wrong.Want), Got: string(wrong.Got)}
		}
		return false, err
	}
	l.toc, l.origin, l.key = toc, OriginCache, l.spaceKey()
	return true, nil
}

// tocKey and spaceKey name what reading the whole layer leaves in the cache.
func (l *layer) tocKey() string {
	if l.format == index.Raw {
		return objectKey("raw-toc", l.desc.Digest)
	}
	return objectKey("toc", l.desc.Digest)
}

func (l *layer) spaceKey() string {
	if l.format == index.Raw {
		return objectKey("raw", l.desc.Digest)
	}
	return objectKey("space", l.desc.Digest)
}

// load is the TOC under key, or nil: absent, damaged, or of another version.
func (p *planner) load(key string) (*index.TOC, error) {
	b, err := p.store.Get(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	toc, err := index.Parse(b, p.o.Limits)
	if err != nil {
		return nil, nil
	}
	return toc, nil
}

// brought takes the TOC that the layer brings, or that lies in a TOC image. One
// that breaks its promises is passed over with a warning: the layer itself may
// still be what it should.
func (l *layer) brought(ctx context.Context, p *planner) (bool, error) {
	var toc *index.TOC
	var err error
	origin := OriginLayer
	for _, origin = range []Origin{OriginTOCImage, OriginLayer} {
		if toc, err = p.load("toc-" + l.vouched(origin)); toc != nil || err != nil {
			break
		}
	}
	if err != nil {
		return false, err
	}
	if toc == nil {
		toc, origin, err = l.bring(ctx, p, false)
		switch {
		case errors.Is(err, index.ErrExternal):
			l.warn(p, fmt.Sprintf("its table of contents can't be used: %v", err))
			return false, nil
		case errors.Is(err, index.ErrNoIndex):
			if (index.Hints{Annotations: l.desc.Annotations}).TOCDigest() != "" { // the manifest speaks of one
				l.warn(p, fmt.Sprintf("its table of contents is not used: %v", err))
			}
			return false, nil
		}
		var unread *fetch.Error
		if ctx.Err() != nil || errors.As(err, &unread) {
			return false, err
		}
		if err != nil {
			l.warn(p, fmt.Sprintf("its table of contents can't be used: %v", err))
			return false, nil
		}
		l.keep(p, "toc-"+l.vouched(origin), toc)
	}
	l.toc, l.origin, l.key = toc, origin, "space-"+l.vouched(origin)
	return true, nil
}

// vouched is believed for a table that the manifest vouches for.
func (l *layer) vouched(o Origin) string { return l.believed(string(o), l.desc.Annotations) }

// believed names what the layer is taken for on somebody's word: a hash of the
// layer's digest and of all that the word depends on.
func (l *layer) believed(whose string, word any) string {
	b, err := json.Marshal([]any{whose, l.desc.Digest, l.diffID, word})
	if err != nil {
		b = fmt.Append(nil, whose, l.desc.Digest, l.diffID, word)
	}
	return fmt.Sprintf("%s-%x", whose, sha256.Sum256(b))
}

// held warns of a media type that isn't the layer's, at each opening: all that
// read it go by its first bytes, and not all that are told of it will.
func (l *layer) held(p *planner) {
	found := l.toc.Format()
	switch found {
	case index.EStargz:
		found = index.Gzip
	case index.ZstdChunked:
		found = index.Zstd
	case index.SOCI: // tar or gzip
		return
	}
	if found != l.format && l.format != 0 {
		l.warn(p, fmt.Sprintf("the media type says %s, but the layer is %s", l.format, found))
	}
}

func (l *layer) keep(p *planner, key string, toc *index.TOC) {
	if err := p.store.Put(key, toc.Append(nil)); err != nil { // the mount is as good without
		l.warn(p, err.Error())
	}
}

func (l *layer) warn(p *planner, msg string) {
	p.o.warn(fmt.Sprintf("layer %d %s: %s", l.n+1, l.desc.Digest, msg))
}
