package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// searched is what a short name means that may be in any of several
// registries: the first that has it. One that cannot be asked, or tells us
// nothing without a login, ends the search, or an image of somebody else's could
// take the place of the one that is meant.
type searched struct {
	list []candidate

	mu     sync.Mutex // guards chosen
	chosen *candidate // nil: not found yet
}

type candidate struct {
	ref Reference
	place
}

func (s *searched) Close() error {
	for _, c := range s.list {
		c.Close()
	}
	return nil
}

// full is the reference in full: as long as nothing was found, the first that it
// may be.
func (s *searched) full() Reference {
	if c := s.found(); c != nil {
		return c.ref
	}
	return s.list[0].ref
}

func (s *searched) found() *candidate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chosen
}

// search has f ask one after the other, unless it is known who has it.
func (s *searched) search(ctx context.Context, f func(place) error) error {
	if c := s.found(); c != nil {
		return f(c.place)
	}
	var all error
	for i := range s.list {
		c := &s.list[i]
		err := f(c.place)
		if err == nil {
			s.mu.Lock()
			s.chosen = c
			s.mu.Unlock()
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		if !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("%s, where it may be: %w", c.ref.domain, err)
		}
		if all == nil {
			all = fmt.Errorf("%s: %w", c.ref.domain, err)
		} else {
			all = fmt.Errorf("%w; %s: %w", all, c.ref.domain, err)
		}
	}
	return all
}

// choose finds out who has it, if that is not known.
func (s *searched) choose(ctx context.Context) (place, error) {
	if c := s.found(); c != nil {
		return c.place, nil
	}
	err := s.search(ctx, func(p place) error {
		d, _, err := p.resolve(ctx)
		if err != nil || s.list[0].ref.digest == "" {
			return err
		}
		doc, err := p.document(ctx, d)
		if err != nil {
			return err
		}
		return verify(d, doc.body)
	})
	if err != nil {
		return nil, err
	}
	return s.found().place, nil
}

func (s *searched) resolve(ctx context.Context) (d ocispec.Descriptor, doc document, err error) {
	if digest := s.list[0].ref.digest; digest != "" {
		return ocispec.Descriptor{Digest: digest}, document{}, nil
	}
	err = s.search(ctx, func(p place) (err error) {
		d, doc, err = p.resolve(ctx)
		return err
	})
	return d, doc, err
}

func (s *searched) document(ctx context.Context, d ocispec.Descriptor) (doc document, err error) {
	err = s.search(ctx, func(p place) (err error) {
		if doc, err = p.document(ctx, d); err == nil {
			err = verify(d, doc.body)
		}
		return err
	})
	return doc, err
}

func (s *searched) blob(ctx context.Context, d ocispec.Descriptor) (medium, error) {
	p, err := s.choose(ctx)
	if err != nil {
		return nil, err
	}
	return p.blob(ctx, d)
}

func (s *searched) referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	p, err := s.choose(ctx)
	if err != nil {
		return nil, err
	}
	return p.(referring).referrers(ctx, subject, artifactType)
}

func (s *searched) neighbour(ctx context.Context, tag string) (ocispec.Descriptor, error) {
	p, err := s.choose(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return p.(neighbourly).neighbour(ctx, tag)
}

func (s *searched) tags(ctx context.Context, limit int, warn func(string)) (tags []string, err error) {
	err = s.search(ctx, func(p place) (err error) {
		tags, err = p.(tagLister).tags(ctx, limit, warn)
		return err
	})
	return tags, err
}

// errWhichRegistry: a push must not depend on who has what already.
var errWhichRegistry = fmt.Errorf("%w: a short name that may be in several registries; name the one to push to", ErrShortName)

// push is where what has been found is pushed to.
func (s *searched) push() (writable, error) {
	if c := s.found(); c != nil {
		return c.place.(writable), nil
	}
	return nil, errWhichRegistry
}

func (s *searched) putBlob(ctx context.Context, p *payload) error {
	w, err := s.push()
	if err != nil {
		return err
	}
	return w.putBlob(ctx, p)
}

func (s *searched) putManifest(ctx context.Context, m *manifest) error {
	w, err := s.push()
	if err != nil {
		return err
	}
	return w.putManifest(ctx, m)
}

func (s *searched) deleteManifest(ctx context.Context, d ocispec.Descriptor) error {
	w, err := s.push()
	if err != nil {
		return err
	}
	return w.deleteManifest(ctx, d)
}
