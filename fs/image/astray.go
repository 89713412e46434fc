package image

import (
	"fmt"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/cache"
)

// astray knows whether the points of a pushed index have led to wrong bytes,
// though the layer, decoded from its beginning, has the right ones. Nothing wrong
// was served; but to try them costs more than there being none, so they aren't
// tried again: not for this layer while it is open, and not by a later mount.
type astray struct {
	store *cache.Store  // for the verdict
	index digest.Digest // whose points they are
	err   atomic.Pointer[error]
}

// known is what the points led to; nil as long as they lead where they should.
// A nil astray knows of nothing.
func (a *astray) known() error {
	if a == nil {
		return nil
	}
	if err := a.err.Load(); err != nil {
		return *err
	}
	return nil
}

// strayed notes that the points of l's index have led to err, and warns of it
// the first time.
func (l *layer) strayed(err error) {
	if l.astray == nil {
		return
	}
	err = fmt.Errorf("layer %d %s: the points or windows of index %s are wrong, and it is not used again: %w", l.n+1, l.desc.Digest, l.astray.index, err)
	if l.astray.err.CompareAndSwap(nil, &err) {
		l.remember(l.astray.store, wrongKey(l.key))
		l.report(err.Error())
	}
}

// Astray is what is known of a pushed index whose points or windows are wrong:
// what it is about reads well, but slowly. nil if nothing is.
func (m *Image) Astray() error {
	for _, l := range m.layers {
		if err := l.astray.known(); err != nil {
			return err
		}
	}
	return nil
}
