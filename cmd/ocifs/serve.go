package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs"
)

// hooks are how a mount tells what it does, in whichever process it runs.
type hooks struct {
	step func(step)   // of a layer that is being indexed; nil: nobody looks
	warn func(string) // of something the user should know
	log  *slog.Logger
	// sent is told of each request to a registry; nil: nobody wants to know.
	sent func(fetch.Request)
	// logTo has the log go on in a file, once the mount is recorded; nil: it stays
	// where it is.
	logTo func(file string) error
}

// serve mounts an image and serves it until it is unmounted. When the mount
// is live it calls live, and if that fails takes it down again. The end of
// ctx, before that, ends the work; after it, it unmounts.
func serve(ctx context.Context, s mountSpec, h hooks, live func(record) error) error {
	// Reads are bound to a context of their own: those of a mount that is
	// detached but still in use must work after a signal.
	mctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	w := newWatcher()
	h.log, h.sent = w.hear(h.log), w.sent
	defer tellOnQuit(h.log)()
	opening := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	img, err := openImage(mctx, s.Image, h)
	if err != nil {
		return err
	}
	defer img.Close()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, endings()...)
	defer signal.Stop(signals)
	if !opening() {
		return context.Cause(ctx)
	}
	if n, size := img.Unverified(); n > 0 {
		h.warn(fmt.Sprintf("%s (%s) can be verified only once all of it was read, and is served as it comes till then; --verify=full reads it first",
			plural(n, "file", "files"), bytesOf(size)))
	}
	files := fs.Source(img)
	if s.Trace != "" {
		rec, err := recordTrace(img, s.Trace, h.log)
		if err != nil {
			return err
		}
		defer rec.Close()
		files = rec
	}
	wait, err := img.readAhead(mctx, s.Prefetch, h.log)
	if err != nil {
		return err
	}
	defer func() { cancel(nil); wait() }()
	srv, r, err := s.show(img, files, h, w)
	if srv == nil {
		return err
	}
	if err == nil {
		r.Log = s.logOf(h)
		err = s.StateDir.write(&r)
	}
	if err == nil && h.logTo != nil {
		if lerr := h.logTo(r.Log); lerr != nil {
			h.log.Warn("nothing is logged from now on", "err", lerr)
		}
	}
	if err == nil {
		defer s.StateDir.remove(r.ID)
		now := func() vitals { return w.vitals(img, srv) }
		stop, terr := s.StateDir.tellVitals(r.ID, w, now)
		if terr != nil {
			h.log.Warn("nobody can ask how the mount is", "err", terr)
		} else {
			defer stop()
		}
		err = live(r)
	}
	if err != nil {
		uncover(s.Mountpoint, true)
		takeDown(srv)
		s.Bundle.undo()
		return err
	}
	settleMemory()
	h.log.Info("mounted", "image", r.Ref, "digest", r.Digest, "mountpoint", r.Mountpoint, "lazy", r.lazy(), "face", r.Face)
	err = untilUnmounted(ctx, srv, s.Mountpoint, h, signals)
	v := w.vitals(img, srv)
	h.log.Info("unmounted", "mountpoint", r.Mountpoint, "up", duration(time.Since(r.Started)), "requests", v.Requests,
		"fetched", v.Fetched, "read", v.Read, "failed_reads", v.FailedReads)
	return err
}

// show mounts the image, whose files come from there, and writes the bundle that it is the root of. An
// error with a server is one of the record.
func (s mountSpec) show(img *openedImage, files fs.Source, h hooks, w *watcher) (srv *fs.Server, r record, err error) {
	o := fs.Options{
		Source: img.Name(), AllowOther: s.Flags.AllowOther,
		Suid: s.Flags.Suid, Dev: s.Flags.Dev, NoExec: s.Flags.NoExec, Logger: h.log, ReadTook: w.took,
	}
	var shown face
	overlay := false
	if s.Bundle != nil {
		o.Squash = s.Bundle.mapped()
		overlay, err = s.Bundle.write(img)
	}
	if err == nil {
		srv, shown, err = s.mountFace(img, files, o)
	}
	if err != nil {
		s.Bundle.undo()
		return nil, r, err
	}
	r, err = recordOf(img, srv, s)
	r.face, r.Overlay = shown, overlay
	return srv, r, err
}

// tellOnQuit has SIGQUIT write to the log what all goroutines are doing, until
// stop is called, instead of ending the process, which would leave a dead mount.
func tellOnQuit(log *slog.Logger) (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGQUIT)
	go func() {
		defer close(done)
		for range signals {
			stacks := make([]byte, 1<<20) // what is more is cut
			stacks = stacks[:runtime.Stack(stacks, true)]
			for stack := range strings.SplitSeq(string(stacks), "\n\n") {
				log.Error("a goroutine, as SIGQUIT asks", "stack", stack)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

// takeDown unmounts what nobody has been told of yet.
func takeDown(srv *fs.Server) {
	if srv.Unmount() == nil || srv.UnmountLazy() == nil {
		srv.Wait()
	}
}

// untilUnmounted waits until somebody unmounts, or unmounts itself when ctx
// ends. A mount in use is detached then, and served until the kernel lets go
// of it, and one that can't be unmounted is served on: it would be dead. A
// second signal ends that at once, which is an error.
func untilUnmounted(ctx context.Context, srv *fs.Server, mountpoint string, h hooks, signals <-chan os.Signal) error {
	done := srv.Done()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	uncover(mountpoint, false) // if it is in use, so is what it covers
	err := srv.Unmount()
	if errors.Is(err, fs.ErrBusy) && srv.UnmountLazy() == nil {
		err = nil
		h.warn(fmt.Sprintf("%s is in use: it is detached, and served until its last user is gone; a second signal ends it at once", quote(mountpoint)))
	}
	if err != nil {
		h.warn(fmt.Sprintf("%v; it is served until it is unmounted; a second signal ends that at once", err))
	}
	for range 2 { // the first is the one that ended ctx
		select {
		case <-done:
			return nil
		case <-signals:
		}
	}
	return mountf("%s was in use when its process was told to end", quote(mountpoint))
}

// recordOf is what the state directory will say of the mount.
func recordOf(img *openedImage, srv *fs.Server, s mountSpec) (record, error) {
	start, err := startOf(os.Getpid())
	if err != nil {
		return record{}, err
	}
	r := record{
		Schema: recordSchema, Mountpoint: s.Mountpoint, Device: srv.Device(),
		Ref: img.Name(), Digest: img.Manifest().Descriptor.Digest.String(), Platform: img.platform(), Signed: img.Manifest().Signed.String(),
		PID: os.Getpid(), PIDStart: start, Started: time.Now().UTC().Truncate(time.Second),
		CacheDir: s.Image.CacheDir, Layers: img.layers(),
	}
	if s.Bundle != nil {
		r.Bundle = s.Bundle.Dir
	}
	for _, l := range r.Layers {
		r.Size += l.Size
	}
	return r, nil
}
