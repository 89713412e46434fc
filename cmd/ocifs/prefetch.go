package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ocifs.dev/ocifs/fs/tree"
)

// What --prefetch says.
const (
	prefetchAll   = "all"
	prefetchTrace = "trace=" // and the name of a file
)

// prefetchPiece is how much of a file is read ahead at once: so much that a
// request takes longer than its way, and no reader waits long behind it.
const prefetchPiece = 4 << 20

// prefetchOf checks --prefetch; a file's name becomes absolute.
func prefetchOf(what string) (string, error) {
	name, ok := strings.CutPrefix(what, prefetchTrace)
	switch {
	case what == "" || what == prefetchAll:
		return what, nil
	case !ok:
		return "", usagef("--prefetch is %s or %sFILE, not %q", prefetchAll, prefetchTrace, what)
	}
	if _, err := openTrace(name); err != nil {
		return "", err
	}
	name, err := filepath.Abs(name)
	return prefetchTrace + name, err
}

func openTrace(name string) ([]access, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--prefetch: %w", err)
	}
	defer f.Close()
	list, err := readTrace(f)
	if err != nil {
		return nil, usagef("--prefetch: %s: %w", quote(name), err).with("ocifs mount --record-trace FILE writes one")
	}
	return list, nil
}

// readAhead brings into the cache what --prefetch says, in the background, and
// one piece after the other, so that nearly all that may be fetched at once is
// left to who waits for it. stop, after the end of ctx, waits for it to end.
func (i *openedImage) readAhead(ctx context.Context, what string, log *slog.Logger) (stop func(), err error) {
	var list []access
	if name, ok := strings.CutPrefix(what, prefetchTrace); ok {
		if list, err = openTrace(name); err != nil {
			return nil, err
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if what == "" {
			return
		}
		start, n, err := time.Now(), int64(0), error(nil)
		if what == prefetchAll {
			err = i.readAll(ctx, &n)
		} else {
			err = i.replay(ctx, list, &n)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			log.Warn("prefetching ended", "bytes", n, "err", err)
		default:
			log.Info("prefetched", "bytes", n, "took", duration(time.Since(start)))
		}
	}()
	return func() { <-done }, nil
}

// readAll reads all files ahead, layer by layer.
func (i *openedImage) readAll(ctx context.Context, read *int64) error {
	t := i.Tree()
	for layer := range i.Layers() {
		if err := i.Prefetch(ctx, filesOf(t, layer)); err != nil {
			return err
		}
	}
	for _, n := range t.All(tree.Root) {
		if isRegular(t, n) {
			*read += t.Data(n).Stored()
		}
	}
	return nil
}

// replay reads ahead what a trace tells, in its order. What the image has not
// got, as another version of it may not, is passed over.
func (i *openedImage) replay(ctx context.Context, list []access, read *int64) error {
	t := i.Tree()
	buf := make([]byte, prefetchPiece)
	for _, a := range list {
		n, err := t.Walk(a.Path, false)
		if err != nil || !isRegular(t, n) {
			continue
		}
		size := t.Attr(n).Size
		from, to := a.Off/tracePart*tracePart, size
		if a.Off >= size {
			continue
		}
		if a.Len < size-a.Off { // of a part that was read, more will be
			to = min(size, (a.Off+a.Len+tracePart-1)/tracePart*tracePart)
		}
		for ; from < to; from += prefetchPiece {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			piece := buf[:min(prefetchPiece, to-from)]
			got, err := i.ReadOnly(n, piece, from)
			if got < len(piece) {
				return fmt.Errorf("%s: %w", quote(a.Path), err)
			}
			*read += int64(got)
		}
	}
	return nil
}
