package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
)

func cachePinCommand() *cli.Command {
	return &cli.Command{
		Name:      "pin",
		Usage:     "bring all of images into the cache, and keep them there",
		ArgsUsage: "IMAGE…",
		Description: `Does what cache warm does, and keeps all of it: neither --cache-size nor cache
prune takes any of it away, until cache unpin. What is pinned is what the name means
now, by its digest; pinned again, after the tag has moved, it is what it means then.

A pinned image is mounted, and looked into, without a network. By a digest nobody is
asked anything; by a tag whose registry can't be reached, what was pinned is taken for
it, with a warning. --platform, --all-platforms and --subpath choose what of it: each
platform is a pin of its own. cache du tells what is pinned.`,
		UsageText: `
$ ocifs cache pin docker.io/library/python:3.13
$ ocifs cache pin --platform linux/arm64 alpine debian:12`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: talk(cachePin),
	}
}

func cachePin(ctx context.Context, u *ui, cc *cli.Context) error {
	var failed error
	list := []warmed{}
	for _, ref := range cc.Args().Slice() {
		w, err := pin(ctx, u, cc, ref)
		if err != nil {
			u.fail(ctx, &failed, err)
			continue
		}
		if list = append(list, w); !cc.Bool("json") {
			w.print(u, "pinned")
		}
	}
	if cc.Bool("json") {
		if err := u.json(struct {
			Schema string   `json:"schema"`
			Images []warmed `json:"images"`
		}{"ocifs.dev/cache-pin/v1", list}); err != nil {
			return err
		}
	}
	return failed
}

// pin pins one image, or leaves it as it was.
func pin(ctx context.Context, u *ui, cc *cli.Context, ref string) (w warmed, err error) {
	s, err := imageSpecOf(cc, ref)
	if err != nil {
		return w, err
	}
	img, err := openImage(ctx, s, uiHooks(u))
	if err != nil {
		return w, err
	}
	defer img.Close()
	// From now on nothing of it goes, while the rest comes.
	restore, err := img.pinned(img.store)
	if err != nil {
		return w, err
	}
	if w, err = warm(ctx, u, img); err == nil {
		err = img.Settle()
	}
	if lacking := img.Lacking(allOf(img.Tree())); err == nil && lacking > 0 {
		err = hint(fmt.Errorf("%s: %s of it could not be kept in the cache", img.Name(), bytesOf(lacking)),
			"it must have room: on its disk, and below --cache-size, with all that is pinned")
	}
	if err == nil {
		_, err = img.pinned(img.store)
	}
	if err != nil {
		restore()
	}
	return w, err
}

// pinned pins what the image has used by now. restore undoes that.
func (i *openedImage) pinned(store *cache.Store) (restore func(), err error) {
	pins, err := store.Pins()
	if err == nil {
		err = i.Pin(store)
	}
	key := i.PinKey()
	return func() {
		store.Unpin(key)
		for _, p := range pins {
			if p.Name == key {
				store.Pin(p)
			}
		}
	}, err
}

func cacheUnpinCommand() *cli.Command {
	return &cli.Command{
		Name:      "unpin",
		Usage:     "let go what cache pin keeps",
		ArgsUsage: "IMAGE…",
		Description: `Lets cache prune and --cache-size take images away again that were pinned; nothing
is removed by that. IMAGE is a name as cache pin was given it, or as cache du shows it,
or a digest; all platforms that are pinned of it are meant. No registry is asked.`,
		UsageText: `
$ ocifs cache unpin docker.io/library/python:3.13
$ ocifs cache du --json | jq -r '.images[] | select(.pinned) | .digest' | xargs ocifs cache unpin`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: talk(cacheUnpin),
	}
}

// An unpinned image, for JSON.
type unpinned struct {
	Image  string `json:"image"`
	Digest string `json:"digest"`
	What   string `json:"what"`
}

func cacheUnpin(ctx context.Context, u *ui, cc *cli.Context) error {
	c, err := openCatalogue(cc)
	if err != nil {
		return err
	}
	defer c.close()
	var failed error
	list := []unpinned{}
	for _, ref := range cc.Args().Slice() {
		gone, err := c.unpin(ctx, cc, ref)
		u.fail(ctx, &failed, err)
		for _, p := range gone {
			if list = append(list, unpinned{p.Name, p.Digest.String(), p.What}); !cc.Bool("json") {
				fmt.Fprintf(u.out, "unpinned %s (%s)\n", pinned(p.Name, p.Digest.String()), quote(p.What))
			}
		}
	}
	if cc.Bool("json") {
		if err := u.json(struct {
			Schema string     `json:"schema"`
			Images []unpinned `json:"images"`
		}{"ocifs.dev/cache-unpin/v1", list}); err != nil {
			return err
		}
	}
	return failed
}

// unpin lets go the pins that ref names.
func (c *catalogue) unpin(ctx context.Context, cc *cli.Context, ref string) (gone []image.Pinned, err error) {
	name, err := nameOf(ctx, cc, ref)
	if err != nil {
		return nil, err
	}
	for _, p := range c.pins {
		if p.Name != name && !p.Keeps(ref) && pinned(p.Name, p.Digest.String()) != ref {
			continue
		}
		if err := c.store.Unpin(p.Key()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return gone, err
		}
		gone = append(gone, p)
	}
	c.pins = slices.DeleteFunc(c.pins, func(p image.Pinned) bool {
		return slices.ContainsFunc(gone, func(g image.Pinned) bool { return g.Key() == p.Key() })
	})
	if gone == nil {
		return nil, notFoundf("%s: not pinned", quote(ref)).with("ocifs cache du shows what is")
	}
	return gone, nil
}

// nameOf is a reference in full, without asking any registry; a digest stays as
// it is.
func nameOf(ctx context.Context, cc *cli.Context, ref string) (string, error) {
	full, err := absoluteRef(ref)
	if err != nil {
		return "", err
	}
	r, err := fetch.ParseReference(full)
	if err != nil {
		return ref, nil // then it may be a digest
	}
	s, err := registrySpecOf(cc)
	if err != nil {
		return "", err
	}
	src, err := fetch.Open(ctx, full, s.options(silent()))
	if err != nil {
		return r.String(), nil // a layout that is gone, perhaps
	}
	defer src.Close()
	return src.Name(), nil
}

// silent hooks tell nobody.
func silent() hooks {
	return hooks{warn: func(string) {}, log: slog.New(slog.DiscardHandler)}
}
