package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A Selection is what is to be shown of a reference: the layers and blobs that
// it takes, each once, and what becomes of them.
type Selection struct {
	r    *resolver
	o    Options
	root *document
	m    *Manifest // of what is shown, or of the first of several
	what string    // see What; "": as m tells

	layers []selected
	number map[string]int // of those
	parts  []part
	texts  [][]byte // contents that are in no blob
}

// A selected layer is one that has to be opened.
type selected struct {
	desc   ocispec.Descriptor
	diffID digest.Digest // "" if nobody has promised one
	format index.Format  // as its media type says
	of     *Manifest     // the image that it is of; nil of an artifact's blob
	from   *resolver     // who reads it
}

func newSelection(src *fetch.Source, store *cache.Store, o Options) *Selection {
	return &Selection{r: &resolver{src: src, store: store, warn: o.warn}, o: o, number: map[string]int{}}
}

// Layers are the descriptors of what Open opens, as Options.Progress and
// Image.Layers number them.
func (s *Selection) Layers() []ocispec.Descriptor {
	var list []ocispec.Descriptor
	for _, l := range s.layers {
		list = append(list, l.desc)
	}
	return list
}

// Manifest is that of the image or artifact that is shown, or a stand-in for
// the image index if there are several.
func (s *Selection) Manifest() *Manifest { return s.m }

// What says in a word or two what is shown: the platform of an image,
// "artifact", "compose application", "3 platforms".
func (s *Selection) What() string {
	switch {
	case s.what != "":
		return s.what
	case s.m.ArtifactType != "":
		return "artifact"
	}
	return FormatPlatform(s.m.Config.Platform)
}

// take notes that the layer is needed, and returns its number.
func (s *Selection) take(l selected) (int, error) {
	key := fmt.Sprint(l.desc.Digest, l.diffID, l.format == index.Raw)
	if n, ok := s.number[key]; ok {
		return n, nil
	}
	if len(s.layers)+len(s.texts) >= math.MaxUint16 {
		return 0, fmt.Errorf("%w: more than %d layers", index.ErrLimit, math.MaxUint16)
	}
	if l.from == nil {
		l.from = s.r
	}
	s.number[key] = len(s.layers)
	s.layers = append(s.layers, l)
	return len(s.layers) - 1, nil
}

// image selects a root file system.
func (s *Selection) image(m *Manifest, at string) error {
	var formats []index.Format
	for i, d := range m.Layers() {
		format, err := LayerFormat(d)
		if err != nil {
			return fmt.Errorf("layer %d %s: %w", i+1, d.Digest, err)
		}
		formats = append(formats, format)
	}
	p := part{at: at, layers: []int{}, of: m}
	for i, d := range m.Layers() {
		n, err := s.take(selected{d, m.Config.RootFS.DiffIDs[i], formats[i], m, m.from})
		if err != nil {
			return err
		}
		p.layers = append(p.layers, n)
	}
	s.parts = append(s.parts, p)
	return nil
}

// Open opens what was selected: layers that are not in store yet are read,
// whole and once, several side by side. o is what Select was given, but perhaps
// for Progress. ctx bounds everything the image does until it is closed. The
// image uses the source and the store as long as it is open.
func (s *Selection) Open(ctx context.Context, o Options) (*Image, error) {
	o, whole := o.warningOnce(), map[int]bool{}
	for {
		img, err := s.open(ctx, o, whole)
		var unfit *unfitError
		if !errors.As(err, &unfit) || whole[unfit.layer] || ctx.Err() != nil {
			return img, err
		}
		o.warn(fmt.Sprintf("layer %d %s: its table of contents can't be used: %v", unfit.layer+1, s.layers[unfit.layer].desc.Digest, unfit.err))
		whole[unfit.layer] = true
	}
}

// open opens what was selected, by others' tables of contents but for the layers
// in whole, which are read.
func (s *Selection) open(ctx context.Context, o Options, whole map[int]bool) (_ *Image, err error) {
	ctx, cancel := context.WithCancel(ctx)
	img := &Image{manifest: s.m, what: s.What(), cancel: cancel}
	defer func() {
		if err != nil {
			img.Close()
		}
	}()
	if err := s.openLayers(ctx, img, o, whole); err != nil {
		return nil, err
	}
	for _, l := range img.layers {
		img.contents = append(img.contents, l)
	}
	for _, text := range s.texts {
		img.contents = append(img.contents, bytes.NewReader(text))
	}
	if img.tree, err = s.grow(img, o); err != nil {
		return nil, fmt.Errorf("%s: %w", s.m.Descriptor.Digest, err)
	}
	img.keep(s.r.store)
	return img, nil
}

// An unfitError says that a layer can't be part of a tree as somebody else's table
// of contents has it: reading the layer itself may show something better.
type unfitError struct {
	layer int
	err   error
}

func (e *unfitError) Error() string { return e.err.Error() }
func (e *unfitError) Unwrap() error { return e.err }

// unfit is err, where it is the fault of a layer's table that isn't from here.
// numbers are those of the layers that err counts.
func (m *Image) unfit(err error, numbers []int) error {
	var e *tree.Error
	if !errors.As(err, &e) {
		return err
	}
	n := numbers[e.Layer]
	switch m.layers[n].origin {
	case OriginRead, OriginCache, OriginRange:
		return err
	}
	return &unfitError{n, err}
}

func (s *Selection) openLayers(ctx context.Context, img *Image, o Options, whole map[int]bool) error {
	slots := make(chan struct{}, sideBySide)
	type origin struct {
		of   *Manifest
		from *resolver
	}
	planners, room := map[origin]*planner{}, newRoom(o)
	for i, l := range s.layers {
		blob, err := l.from.src.Blob(ctx, l.desc)
		if err != nil {
			return err
		}
		img.layers = append(img.layers, &layer{
			n: i, desc: l.desc, diffID: l.diffID, format: l.format,
			life: ctx, whole: whole[i], blob: blob, slots: slots, ahead: new(ahead), report: o.warn, wrong: new(atomic.Int64),
		})
		if is := (origin{l.of, l.from}); planners[is] == nil {
			p := &planner{src: l.from.src, store: s.r.store, o: o, life: ctx, room: room}
			if l.of != nil {
				p.prepare(l.of, o.Findings != nil)
			}
			planners[is] = p
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(building)
	for i, l := range img.layers {
		g.Go(func() error { return l.open(gctx, planners[origin{s.layers[i].of, s.layers[i].from}]) })
	}
	return g.Wait()
}

// sameLayers says whether parts show nothing but one image's layers, in order.
func sameLayers(parts []part) bool {
	return len(parts) == 1 && parts[0].at == "" && parts[0].name == "" && !parts[0].tar &&
		slices.Equal(parts[0].layers, numbers(len(parts[0].layers)))
}

// counted is "1 platform", "3 platforms".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
