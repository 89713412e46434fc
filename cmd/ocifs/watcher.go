package main

import (
	"context"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs"
)

// A watcher sees what a mount's process does, for those who ask at its socket:
// each request to a registry, how long reads take, and the latest error that was
// logged. It is safe for concurrent use.
type watcher struct {
	started  time.Time
	requests *histogram // until the answer's body has come
	reads    *histogram // of the kernel

	mu      sync.Mutex // guards what follows
	answers map[string]int64
	last    loggedError
}

// A loggedError is an error that was logged.
type loggedError struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

func newWatcher() *watcher {
	const ms, us = time.Millisecond, time.Microsecond
	return &watcher{
		started:  time.Now(),
		requests: newHistogram(5*ms, 10*ms, 25*ms, 50*ms, 100*ms, 250*ms, 500*ms, time.Second, 2500*ms, 5*time.Second, 10*time.Second, 30*time.Second),
		reads:    newHistogram(50*us, 100*us, 250*us, 500*us, ms, 5*ms, 25*ms, 100*ms, 500*ms, 2500*ms, 10*time.Second, time.Minute),
		answers:  map[string]int64{},
	}
}

// sent takes in a request to a registry.
func (w *watcher) sent(r fetch.Request) {
	w.requests.add(r.Took)
	code := "none"
	if r.Status != 0 {
		code = strconv.Itoa(r.Status)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[code]++
}

// codes are how often each status came, "none" where no answer did.
func (w *watcher) codes() map[string]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.answers)
}

// lastError is the latest error that was logged; nil if none was.
func (w *watcher) lastError() *loggedError {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last.Text == "" {
		return nil
	}
	e := w.last
	return &e
}

// hear is a log that w notes errors of.
func (w *watcher) hear(log *slog.Logger) *slog.Logger {
	return slog.New(&overhead{log.Handler(), w})
}

// overhead passes records on, and errors to the watcher, too.
type overhead struct {
	slog.Handler
	w *watcher
}

// Enabled implements slog.Handler: errors are noted whatever is logged.
func (o *overhead) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelError || o.Handler.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (o *overhead) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		text := r.Message
		r.Attrs(func(a slog.Attr) bool {
			if a.Key != "stack" {
				text += ", " + a.Key + " " + a.Value.String()
			}
			return true
		})
		o.w.mu.Lock()
		o.w.last = loggedError{r.Time.UTC(), clip(printable(text), 1000)}
		o.w.mu.Unlock()
	}
	if !o.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return o.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (o *overhead) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &overhead{o.Handler.WithAttrs(attrs), o.w}
}

// WithGroup implements slog.Handler.
func (o *overhead) WithGroup(name string) slog.Handler {
	return &overhead{o.Handler.WithGroup(name), o.w}
}

// vitals are those of a mount that is served.
func (w *watcher) vitals(img *openedImage, srv *fs.Server) vitals {
	did, asked, kept := img.fetched(), srv.Stats(), img.store.Tally()
	v := vitals{
		Requests: did.Requests, Fetched: did.Bytes, Retries: did.Retries,
		Read: int64(asked.ReadBytes), FailedReads: int64(asked.FailedReads), Ops: asked.Requests, Errors: asked.Errors,
		Cache: cacheVitals{
			Hit: kept.HitBytes, Miss: kept.MissBytes, Evicted: kept.Evicted, Unkept: kept.Unkept, Damaged: kept.Damaged,
		},
		FailedFetches: kept.Failed, Mismatches: img.Mismatches(), LastError: w.lastError(),
	}
	for _, x := range []struct {
		what string
		err  error
	}{
		{"the latest fetch failed", img.store.Unfilled()},
		{"what is fetched can't be kept in the cache", img.store.Trouble()},
		{"reads of a layer fail", img.Verdict()},
		{"reads of a layer are slow", img.Astray()},
	} {
		if x.err != nil {
			v.Trouble = append(v.Trouble, clip(printable(x.what+": "+x.err.Error()), 1000))
		}
	}
	return v
}
