package fetch

import (
	"context"
	"net/url"
	"sync"
)

// whereabouts remembers where a registry has sent us for a blob, so that the
// registry is asked once and not for every range. While one reader asks, the
// others wait for what it learns, unless the registry is known to serve blobs
// itself.
type whereabouts struct {
	mu     sync.Mutex    // guards the fields below
	url    *url.URL      // nil: the registry has to be asked
	asking chan struct{} // closed when who asks has learnt it; nil: nobody asks
}

// An errand is how one request is to find the blob: at url, or, if that is
// nil, by asking the registry. Who asks calls found for each address it is
// sent to, and done at the end.
type errand struct {
	w     *whereabouts
	url   *url.URL
	moved *url.URL      // the last address found
	mine  chan struct{} // others wait for it; nil: they do not
}

func (w *whereabouts) take(ctx context.Context, h *habits) (*errand, error) {
	for {
		w.mu.Lock()
		e := &errand{w: w, url: w.url}
		asking := w.asking
		if e.url == nil && asking == nil && !h.direct.Load() {
			e.mine = make(chan struct{})
			w.asking = e.mine
		}
		w.mu.Unlock()
		if e.url != nil || e.mine != nil || h.direct.Load() {
			return e, nil
		}
		select {
		case <-asking:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// found notes an address. The first one lets the others go ahead; if that
// redirects in turn, the last one is kept.
func (e *errand) found(u *url.URL) {
	e.moved = u
	e.w.mu.Lock()
	e.w.url = u
	e.w.mu.Unlock()
	e.done()
}

// done lets go on who waits.
func (e *errand) done() {
	if e.mine == nil {
		return
	}
	e.w.mu.Lock()
	e.w.asking = nil
	e.w.mu.Unlock()
	close(e.mine)
	e.mine = nil
}

// forget drops an address, unless another has been found meanwhile.
func (w *whereabouts) forget(u *url.URL) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.url == u {
		w.url = nil
	}
}
