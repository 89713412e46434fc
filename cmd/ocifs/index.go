package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
)

func indexCommand() *cli.Command {
	return group(&cli.Command{
		Name:      "index",
		Usage:     "make, push, show and verify indexes of images",
		ArgsUsage: "COMMAND IMAGE",
		Description: `An index says what lies where in the layers of an image, so that they can be
read in pieces from the first time on. Reading a layer once makes one, in the
cache; pushed beside the image, it saves everybody else that reading.`,
		UsageText: `
$ ocifs index push ghcr.io/o/r:v2
$ ocifs index show ghcr.io/o/r:v2
$ ocifs index verify ghcr.io/o/r:v2`,
	},
		leaf(indexBuildCommand(), 1, 2),
		leaf(indexPushCommand(), 1, 1),
		leaf(indexShowCommand(), 1, 1),
		leaf(indexVerifyCommand(), 1, 1),
		leaf(indexRmCommand(), 1, 1),
	)
}

// group finishes a command that is there for the commands below it. Flags that
// every command has may stand before their names, too.
func group(c *cli.Command, leaves ...*cli.Command) *cli.Command {
	c.HideHelp, c.HideHelpCommand = true, true
	c.Flags, c.Subcommands = globalFlags(), leaves
	c.Action = func(*cli.Context) error {
		if err := printHelp(os.Stderr, nil, []*cli.Command{c}); err != nil {
			return err
		}
		return reported(exitUsage)
	}
	return c
}

// wholeSpec is imageSpecOf for commands that have to know the layers by having
// read them: nobody else's word is taken. With --index=off they are read again.
func wholeSpec(cc *cli.Context) (imageSpec, error) {
	s, err := imageSpecOf(cc, cc.Args().First())
	if s.Index != image.PolicyOff {
		s.Index = image.PolicyLocal
	}
	return s, err
}

// openManifest opens the place of an image and finds its manifest. No layer is
// read.
func openManifest(ctx context.Context, u *ui, s imageSpec) (*openedImage, *image.Manifest, error) {
	img, err := openSource(ctx, s, uiHooks(u))
	if err != nil {
		return nil, nil, err
	}
	m, err := image.Resolve(ctx, img.src, img.store, image.Options{Platform: s.Platform, Keys: s.keys(), Warn: uiHooks(u).warn})
	if err != nil {
		defer img.Close()
		return nil, nil, img.named(err)
	}
	return img, m, nil
}

// about finds the manifest that a command's first argument leads to, and runs
// the command's body on it. No layer is read.
func about(body func(ctx context.Context, u *ui, cc *cli.Context, img *openedImage, m *image.Manifest) error) cli.ActionFunc {
	return talk(func(ctx context.Context, u *ui, cc *cli.Context) error {
		s, err := imageSpecOf(cc, cc.Args().First())
		if err != nil {
			return err
		}
		img, m, err := openManifest(ctx, u, s)
		if err != nil {
			return err
		}
		defer img.Close()
		return body(ctx, u, cc, img, m)
	})
}

// A stopwatch says how long each layer was read.
type stopwatch struct {
	mu    sync.Mutex
	first map[string]time.Time // by digest
	last  map[string]time.Time
}

// on has h's steps timed.
func (w *stopwatch) on(h hooks) hooks {
	w.first, w.last = map[string]time.Time{}, map[string]time.Time{}
	tell := h.step
	h.step = func(s step) {
		w.mu.Lock()
		now := time.Now()
		if w.first[s.Digest].IsZero() {
			w.first[s.Digest] = now
		}
		w.last[s.Digest] = now
		w.mu.Unlock()
		if tell != nil {
			tell(s)
		}
	}
	return h
}

// took is how long a layer was read, from the first of its bytes on.
func (w *stopwatch) took(layer digest.Digest) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last[string(layer)].Sub(w.first[string(layer)])
}

// destination opens the place that ref names, to push to. A layout is made if
// it is missing.
func destination(ctx context.Context, u *ui, cc *cli.Context, ref string) (*fetch.Source, error) {
	ref, err := destinationRef(ref)
	if err != nil {
		return nil, err
	}
	reg, err := registrySpecOf(cc)
	if err != nil {
		return nil, err
	}
	return fetch.Create(ctx, ref, reg.options(uiHooks(u)))
}

// destinationRef checks, before any work, that ref can be pushed to.
func destinationRef(ref string) (string, error) {
	ref, err := absoluteRef(ref)
	if err != nil {
		return "", err
	}
	r, err := fetch.ParseReference(ref)
	if err != nil {
		return "", badReference("destination", err)
	}
	switch name := r.String(); {
	case isLocal(name) && !strings.HasPrefix(name, "oci:"):
		return "", usagef("%s: an archive cannot be written to", quote(name)).with("write to a layout, oci:DIR:TAG, or a registry")
	case isDigest(name[strings.LastIndexByte(name, '@')+1:]):
		return "", usagef("%s: a digest cannot be chosen", quote(name)).with("give a tag, or none")
	}
	return ref, nil
}

func isDigest(s string) bool { return digest.Digest(s).Validate() == nil }

// push pushes an upload, and shows on a terminal how far it is.
func (u *ui) push(ctx context.Context, dst *fetch.Source, up fetch.Upload) (ocispec.Descriptor, error) {
	var total, done int64
	for _, b := range up.Blobs {
		total += b.Size
	}
	up.Progress = func(n int64) {
		done += n
		u.progress.step(step{Layers: 1, Label: "pushing", Done: done, Total: total})
	}
	d, err := dst.Push(ctx, up)
	u.progress.stop()
	return d, err
}

// copied is a blob of src as content to be pushed.
func copied(ctx context.Context, src *fetch.Source, d ocispec.Descriptor) fetch.Content {
	return fetch.Content{Descriptor: d, Open: func() (io.ReadCloser, error) { return readBlob(ctx, src, d) }}
}

// readBlob reads a blob of src from its beginning.
func readBlob(ctx context.Context, src *fetch.Source, d ocispec.Descriptor) (io.ReadCloser, error) {
	b, err := src.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	return blobReader{b.Range(0, d.Size), b}, nil
}

// A blobReader closes the blob with its reader.
type blobReader struct {
	io.ReadCloser
	blob io.Closer
}

func (r blobReader) Close() error {
	err := r.ReadCloser.Close()
	if e := r.blob.Close(); err == nil {
		err = e
	}
	return err
}

// grouped is a number with its thousands apart: 41,211.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
