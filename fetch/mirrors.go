package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// mirrored is a repository that has mirrors. They are asked in order, and the
// repository itself, the last of the list, when none of them could help:
// whatever is wrong with a mirror, it is no reason to fail.
//
// What comes is verified as if there were no mirrors. What a tag points at and
// what refers to a manifest cannot be verified, so only those are asked that
// the configuration lets resolve. Pushes go to the repository itself, unless it
// lets a mirror be pushed to.
type mirrored struct {
	list []*standby
	file string // that says so
	tell teller
}

// A standby is one of several registries that have, or may have, the same.
type standby struct {
	*registry
	down atomic.Int64 // when it could not be reached; Unix ns
}

// downFor is how long a mirror is left alone that could not be reached, or
// had nothing but errors to say.
const downFor = 30 * time.Second

func (s *standby) isDown() bool {
	t := s.down.Load()
	return t != 0 && time.Since(time.Unix(0, t)) < downFor
}

// forMirrors is the patience with a registry that can be done without: one
// more try, soon. maxMirrorWait is also the longest Retry-After to be obeyed.
func (r Retry) forMirrors() Retry {
	const maxMirrorWait = time.Second
	r = r.withDefaults()
	r.Attempts, r.MaxWait = min(r.Attempts, 2), min(r.MaxWait, maxMirrorWait)
	return r
}

// mirrorDial bounds how long a mirror that does not answer keeps us, unless
// its configuration says so.
const mirrorDial = 5 * time.Second

// newMirrored makes a place of a plan's endpoints, of which there are several,
// or one that may not be asked for everything.
func newMirrored(p plan, o Options, m *meter) (*mirrored, error) {
	list := &mirrored{file: p.file, tell: teller{o.warn, o.debug}}
	for _, e := range p.endpoints {
		o := o
		if e.mirror {
			o.Retry = o.Retry.forMirrors()
			if e.dialTimeout == 0 {
				e.dialTimeout = min(mirrorDial, o.Retry.Stall)
			}
		}
		r, err := newRegistry(e, o, m)
		if err != nil {
			list.Close()
			return nil, fmt.Errorf("%s: %w", e.host, err)
		}
		list.list = append(list.list, &standby{registry: r})
	}
	return list, nil
}

func (m *mirrored) Close() error {
	for _, s := range m.list {
		s.Close()
	}
	return nil
}

// home is the repository itself.
func (m *mirrored) home() *registry { return m.list[len(m.list)-1].registry }

// order lists those that may do something, without those that are down; the
// last one stays, whatever its state.
func (m *mirrored) order(may func(*endpoint) bool) (list []*standby) {
	var last *standby
	for _, s := range m.list {
		if !may(&s.endpoint) {
			continue
		}
		if last = s; !s.isDown() {
			list = append(list, s)
		}
	}
	if last != nil && (len(list) == 0 || list[len(list)-1] != last) {
		list = append(list, last)
	}
	return list
}

func mayPull(e *endpoint) bool    { return e.pull }
func mayResolve(e *endpoint) bool { return e.resolve }

// ask has f ask one after the other until one succeeds. If none does, the
// error is the last one's, who knows best.
func (m *mirrored) ask(ctx context.Context, what string, may func(*endpoint) bool, f func(*registry) error) error {
	list := m.order(may)
	if len(list) == 0 {
		return fmt.Errorf("%w: %s lets no server be asked for %s", ErrUnsupported, m.file, what)
	}
	var before []string
	for i, s := range list {
		err := f(s.registry)
		if err == nil {
			m.tell.got(what, s)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		if i == len(list)-1 {
			if len(before) > 0 {
				err = fmt.Errorf("%w (and before: %s)", err, strings.Join(before, "; "))
			}
			return err
		}
		before = append(before, fmt.Sprintf("%s: %v", s.host, err))
		m.tell.failed(what, s, list[i+1], err)
	}
	return nil
}

// A teller tells which of several servers gave what.
type teller struct{ warn, debug func(string) }

func (t teller) got(what string, s *standby) {
	s.down.Store(0)
	t.debug(fmt.Sprintf("%s: from %s", what, s.host))
}

// failed tells that next is asked in place of s. That somebody does not have
// something is nothing to be told loudly; that he is down is, once in a while.
func (t teller) failed(what string, s, next *standby, err error) {
	text := fmt.Sprintf("%s: not from %s, so from %s: %v", what, s.host, next.host, err)
	var lie *DigestError
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrUnauthorized):
		t.debug(text)
	case errors.As(err, &lie):
		t.warn(text)
	default:
		if s.down.Swap(time.Now().UnixNano()) == 0 {
			t.warn(text)
		} else {
			t.debug(text)
		}
	}
}

func (m *mirrored) resolve(ctx context.Context) (d ocispec.Descriptor, doc document, err error) {
	if ref := m.home().ref; ref.digest != "" {
		return ocispec.Descriptor{Digest: ref.digest}, document{}, nil
	}
	err = m.ask(ctx, "tag "+m.home().ref.tag, mayResolve, func(r *registry) (err error) {
		d, doc, err = r.resolve(ctx)
		return err
	})
	return d, doc, err
}

func (m *mirrored) document(ctx context.Context, d ocispec.Descriptor) (doc document, err error) {
	err = m.ask(ctx, string(d.Digest), mayPull, func(r *registry) (err error) {
		if doc, err = r.document(ctx, d); err == nil {
			err = verify(d, doc.body)
		}
		return err
	})
	return doc, err
}

// errNone: a mirror knows of no referrers, which it may not have copied.
var errNone = fmt.Errorf("%w: no referrers", ErrNotFound)

func (m *mirrored) referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) (list []ocispec.Descriptor, err error) {
	err = m.ask(ctx, "referrers", mayResolve, func(r *registry) (err error) {
		list, err = r.referrers(ctx, subject, artifactType)
		if err == nil && len(list) == 0 && r != m.home() {
			return errNone
		}
		return err
	})
	if errors.Is(err, errNone) {
		return nil, nil // the repository itself may not be asked
	}
	return list, err
}

func (m *mirrored) neighbour(ctx context.Context, tag string) (d ocispec.Descriptor, err error) {
	err = m.ask(ctx, "tag "+tag, mayResolve, func(r *registry) (err error) {
		d, err = r.neighbour(ctx, tag)
		return err
	})
	return d, err
}

// tags are the repository's own: mirrors may have copied but a few.
func (m *mirrored) tags(ctx context.Context, limit int, warn func(string)) ([]string, error) {
	return m.home().tags(ctx, limit, warn)
}

// pushed is who is pushed to: one and the same, always.
func (m *mirrored) pushed() (*registry, error) {
	for _, s := range m.list {
		if s.push {
			return s.registry, nil
		}
	}
	return nil, fmt.Errorf("%w: %s lets no server be pushed to", ErrUnsupported, m.file)
}

func (m *mirrored) putBlob(ctx context.Context, p *payload) error {
	r, err := m.pushed()
	if err != nil {
		return err
	}
	return r.putBlob(ctx, p)
}

func (m *mirrored) putManifest(ctx context.Context, d *manifest) error {
	r, err := m.pushed()
	if err != nil {
		return err
	}
	return r.putManifest(ctx, d)
}

func (m *mirrored) deleteManifest(ctx context.Context, d ocispec.Descriptor) error {
	r, err := m.pushed()
	if err != nil {
		return err
	}
	return r.deleteManifest(ctx, d)
}
