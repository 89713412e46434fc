package main

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/diff"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/tree"
)

func diffCommand() *cli.Command {
	return &cli.Command{
		Name:      "diff",
		Usage:     "tell in which files two images differ",
		ArgsUsage: "IMAGE OTHER [PATH]",
		Description: `Lists the files that are not the same in both images, or below PATH, each with
what became of it from IMAGE to OTHER:

  A  added    D  deleted    T  of another type
  M  modified, and in what: mode, owner, mtime, size, content, target (of a
     link), device, xattr, links (how many names it has)

and, as C, the settings that differ in the images' configurations. OTHER may be
a directory of this machine, which is no image layout.

Layers that both have, metadata and digests decide first; only files of equal
size for which they can't are read. Where layers have tables of contents, no
layer is read whole. eStargz rounds times: compare such images with others with
--ignore mtime, or with --index=local.

--layer, --subpath, --all-platforms and --compose choose what is compared: the same
of both images. Settings are compared of whole images only.

With --exit-code the exit code is 0 if there is no difference and 1 if there is
one, as with diff; what else would be 1 is 2 then.`,
		UsageText: `
$ ocifs diff python:3.13.0 python:3.13.1
$ ocifs diff --ignore mtime,owner oci:app:v1 oci:app:v2 /usr/lib
$ ocifs diff --all-platforms app:v1 app:v2
$ ocifs diff alpine /srv/chroot                # what has been changed there
$ ocifs diff --json a b | jq -r '.changes[] | select(.status == "added") | .path'`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "ignore", Usage: "pass over differences of `WHAT`, as in mtime,owner; config, too"},
			&cli.BoolFlag{Name: "exit-code", Usage: "end with exit code 1 if there are differences"},
			jsonFlag(),
		},
		Action: troubleIs2(talk(diffImages)),
	}
}

// troubleIs2 makes failures tell from differences where --exit-code is given.
func troubleIs2(action cli.ActionFunc) cli.ActionFunc {
	return func(cc *cli.Context) error {
		err := action(cc)
		if err != nil && cc.Bool("exit-code") && !errors.Is(err, errDiffer) && exitCode(cc.Context, err) == exitFailure {
			return &problem{err: err, code: exitUsage}
		}
		return err
	}
}

// errDiffer ends a diff with --exit-code that has found something.
var errDiffer error = reported(exitFailure)

// A differ compares two images, or an image with a directory.
type differ struct {
	u        *ui
	json     bool
	ignore   diff.Aspect
	noConfig bool
	a, b     diffSide
}

// A diffSide is one of the two.
type diffSide struct {
	diff.Source
	name     string
	img      *openedImage // nil: a directory
	manifest *image.Manifest
}

func diffImages(ctx context.Context, u *ui, cc *cli.Context) error {
	d := &differ{u: u, json: cc.Bool("json")}
	if err := d.ignored(cc.String("ignore")); err != nil {
		return err
	}
	defer d.close()
	if err := d.open(ctx, cc); err != nil {
		return err
	}
	p := "/"
	if cc.NArg() > 2 {
		p = path.Clean(rooted(cc.Args().Get(2)))
	}
	changes, err := d.changes(ctx, cc.Args().Get(2))
	if err != nil {
		return err
	}
	var config []string
	if p == "/" && !d.noConfig && d.a.manifest != nil && d.b.manifest != nil && wholeImage(d.a.img.spec.View) {
		config = configChanges(d.a.manifest.Config, d.b.manifest.Config)
	}
	if d.json {
		err = d.document(p, changes, config)
	} else {
		err = d.lines(p, changes, config)
	}
	if err == nil && cc.Bool("exit-code") && len(changes)+len(config) > 0 {
		return errDiffer
	}
	return err
}

// ignored reads --ignore.
func (d *differ) ignored(list string) (err error) {
	if list == "" {
		return nil
	}
	words := strings.Split(list, ",")
	rest := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "config" })
	if d.noConfig = len(rest) < len(words); len(rest) == 0 {
		return nil
	}
	if d.ignore, err = diff.ParseAspects(strings.Join(rest, ",")); err != nil {
		return usagef("diff: --ignore: %w", err)
	}
	return nil
}

// open opens both sides. Images with the same layers have the same files: then
// no layer is opened.
func (d *differ) open(ctx context.Context, cc *cli.Context) error {
	if first := cc.Args().First(); isPlainDir(first) {
		return usagef("diff: %s is a directory, and no image", quote(first)).with("a directory comes second: ocifs diff IMAGE " + quote(first))
	}
	s, err := imageSpecOf(cc, cc.Args().First())
	if err != nil {
		return err
	}
	o := s
	if dir := cc.Args().Get(1); isPlainDir(dir) {
		d.b.name = dir
	} else if o, err = imageSpecOf(cc, dir); err != nil {
		return err
	}
	if err := d.a.choose(ctx, d.u, s); err != nil {
		return err
	}
	if d.b.name == "" {
		if err := d.b.choose(ctx, d.u, o); err != nil {
			if name := cc.Args().Get(1); isPlainDir("./" + name) {
				err = hint(err, "for the directory of that name: ./"+quote(name))
			}
			return err
		}
		if wholeImage(s.View) && sameLayers(d.a.manifest, d.b.manifest) && cc.NArg() < 3 {
			return nil
		}
	} else if d.b.Source, err = diff.ReadDir(ctx, d.b.name); err != nil {
		return err
	}
	if err := d.a.open(ctx, d.u); err != nil || d.b.img == nil {
		return err
	}
	return d.b.open(ctx, d.u)
}

// wholeImage says whether a view is an image's root file system, all of it.
func wholeImage(v image.View) bool {
	v.UserXattrs = false // a matter of layers shown alone
	return v == image.View{}
}

// isPlainDir says whether a reference is a directory that is no layout.
func isPlainDir(ref string) bool {
	fi, err := os.Stat(ref)
	if err != nil || !fi.IsDir() || !strings.ContainsAny(ref, "/.") {
		return false
	}
	for _, name := range []string{ocispec.ImageLayoutFile, ocispec.ImageIndexFile} {
		if _, err := os.Lstat(filepath.Join(ref, name)); err == nil {
			return false
		}
	}
	return true
}

func (s *diffSide) choose(ctx context.Context, u *ui, spec imageSpec) (err error) {
	if s.img, err = openSource(ctx, spec, uiHooks(u)); err != nil {
		return err
	}
	s.name = s.img.Name()
	if err := s.img.choose(ctx, uiHooks(u)); err != nil {
		return err
	}
	s.manifest = s.img.chosen.Manifest()
	return nil
}

func (s *diffSide) open(ctx context.Context, u *ui) error {
	if err := s.img.openChosen(ctx, uiHooks(u)); err != nil {
		return err
	}
	u.progress.stop()
	s.Source = s.img
	return nil
}

// sameLayers says whether two images are made of the same layers.
func sameLayers(a, b *image.Manifest) bool {
	return a.ArtifactType == "" && b.ArtifactType == "" && slices.EqualFunc(a.Layers(), b.Layers(), func(x, y ocispec.Descriptor) bool { return x.Digest == y.Digest }) &&
		slices.Equal(a.Config.RootFS.DiffIDs, b.Config.RootFS.DiffIDs)
}

func (d *differ) close() {
	for _, s := range []diffSide{d.a, d.b} {
		if s.img != nil {
			s.img.Close()
		}
	}
}

// changes compares the sides at a path. One that only one side has is added or
// deleted with all below it.
func (d *differ) changes(ctx context.Context, p string) ([]diff.Change, error) {
	if d.a.Source == nil {
		return nil, nil
	}
	m, errA := d.a.img.find(p, false)
	n, errB := d.b.Tree().Walk(p, false)
	lone := func(t *tree.Tree, n tree.Node, c diff.Change) (list []diff.Change) {
		for c.Path, n = range t.All(n) {
			c.Old, c.New = n, n
			list = append(list, c)
		}
		return list
	}
	switch {
	case errA != nil && errB != nil:
		return nil, errA
	case errA != nil:
		return lone(d.b.Tree(), n, diff.Change{Status: diff.Added}), nil
	case errB != nil:
		return lone(d.a.Tree(), m, diff.Change{Status: diff.Deleted}), nil
	}
	o := diff.Options{Ignore: d.ignore}
	if d.b.img != nil {
		o.Same = func(a, b tree.Node) (bool, bool) { return d.a.img.Same(a, d.b.img.Image, b) }
	}
	return diff.Trees(ctx, d.a, d.b, m, n, o)
}
