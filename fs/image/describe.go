package image

import (
	"context"
	"fmt"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
)

// A Description is what a reference leads to, be it an image that can be opened
// or not. It is verified, and immutable.
type Description struct {
	Name     string             // the reference, in full
	Root     ocispec.Descriptor // what the reference points at: an image index, a manifest, or something else
	RawRoot  []byte             // that, as it is
	Index    *ocispec.Index     // that, if it is an image index
	Manifest *ocispec.Manifest  // that, or the one in the index that was chosen; nil: it is none
	// Descriptor and Raw are those of Manifest, if there is one.
	Descriptor ocispec.Descriptor
	Raw        []byte
	// Signed is which of the two documents the keys have signed, of Options.Keys.
	Signed digest.Digest
}

// ReadRoot reads what src's reference points at, whatever it is, with its
// media type as far as anybody says it. Only Name, Root and RawRoot are set.
func ReadRoot(ctx context.Context, src *fetch.Source, store *cache.Store, o Options) (*Description, error) {
	r := &resolver{src: src, store: store, warn: o.warn}
	d, err := r.resolve(ctx)
	if err != nil {
		return nil, err
	}
	x := &Description{Name: src.Name(), Root: d}
	if x.RawRoot, err = r.read(ctx, d); err != nil {
		return nil, err
	}
	x.Root.Size = int64(len(x.RawRoot))
	if d.MediaType == "" {
		x.Root.MediaType = ownType(x.RawRoot)
	}
	return x, nil
}

// Describe is Resolve for who also wants to know what there is instead, if it
// isn't an image that can be opened: then the Manifest is nil, and the error
// says why, be it an ErrUnsigned. The Description is nil if nothing could be read at all.
func Describe(ctx context.Context, src *fetch.Source, store *cache.Store, o Options) (*Description, *Manifest, error) {
	spec := platforms.DefaultSpec()
	if o.Platform != "" {
		var err error
		if spec, err = ParsePlatform(o.Platform); err != nil {
			return nil, nil, fmt.Errorf("platform %q: %w", o.Platform, err)
		}
	}
	x, err := ReadRoot(ctx, src, store, o)
	if err != nil {
		return nil, nil, err
	}
	r := &resolver{src: src, store: store, warn: o.warn}
	m, err := x.follow(ctx, r, spec, o.Platform != "")
	if o.Keys != nil && ctx.Err() == nil {
		if uerr := x.holdSigned(ctx, r, o.Keys); uerr != nil {
			return x, nil, uerr
		}
	}
	return x, m, err
}

// follow goes on from the root, and notes where it came.
func (x *Description) follow(ctx context.Context, r *resolver, spec ocispec.Platform, explicit bool) (*Manifest, error) {
	doc, err := parse(x.Root, x.RawRoot)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.Root.Digest, err)
	}
	x.Root, x.Index = doc.desc, doc.index
	c := newChooser(r, spec)
	if x.Index != nil {
		if doc, err = c.choose(ctx, doc); err != nil {
			return nil, err
		}
	}
	x.Manifest, x.Descriptor, x.Raw = doc.manifest, doc.desc, doc.raw
	m, err := r.image(ctx, doc)
	if err != nil {
		return nil, err
	}
	if explicit && x.Index == nil && m.Config.OS != "" && !c.fits(m.Config.Platform) {
		return nil, &NoPlatformError{Want: FormatPlatform(spec), Have: []string{FormatPlatform(m.Config.Platform)}}
	}
	m.Name, m.Root, m.RawRoot = x.Name, x.Root, x.RawRoot
	if x.Index != nil {
		m.Platforms = x.Index.Manifests
	}
	return m, nil
}
