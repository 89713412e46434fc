package main

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/bundle"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// tests are what find wants of a file: all of them.
type tests struct {
	tree *tree.Tree
	all  []func(p string, n tree.Node, a tree.Attr) bool
}

func (t *tests) pass(p string, n tree.Node) bool {
	a := t.tree.Attr(n)
	for _, test := range t.all {
		if !test(p, n, a) {
			return false
		}
	}
	return true
}

// testsOf reads find's flags.
func testsOf(cc *cli.Context, img *openedImage) (*tests, error) {
	t := &tests{tree: img.Tree()}
	for _, parse := range []func(*cli.Context, *openedImage) error{t.names, t.types, t.sizes, t.perms, t.owners, t.times, t.xattrs, t.layers} {
		if err := parse(cc, img); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *tests) add(test func(p string, n tree.Node, a tree.Attr) bool) { t.all = append(t.all, test) }

func (t *tests) names(cc *cli.Context, _ *openedImage) error {
	for _, by := range []struct {
		flag string
		of   func(p string) string
	}{
		{"name", path.Base},
		{"iname", func(p string) string { return strings.ToLower(path.Base(p)) }},
		{"path", func(p string) string { return p }},
	} {
		var globs []glob
		for _, s := range cc.StringSlice(by.flag) {
			if by.flag == "iname" {
				s = strings.ToLower(s)
			}
			g, err := parseGlob(s)
			if err != nil {
				return usagef("find: --%s %q: %w", by.flag, s, err)
			}
			globs = append(globs, g)
		}
		if globs != nil {
			t.add(func(p string, _ tree.Node, _ tree.Attr) bool {
				return slices.ContainsFunc(globs, func(g glob) bool { return g.fits(by.of(p)) })
			})
		}
	}
	return nil
}

// A glob is a pattern as fnmatch(3) has them, a slash and a dot being nothing
// special.
type glob string

func parseGlob(s string) (glob, error) {
	s = strings.ReplaceAll(s, "[!", "[^")
	_, err := path.Match(s, "")
	return glob(strings.ReplaceAll(s, "/", "\x00")), err
}

// fits relies on paths having no zero bytes: they stand in for slashes, which
// path.Match would stop at.
func (g glob) fits(s string) bool {
	ok, _ := path.Match(string(g), strings.ReplaceAll(s, "/", "\x00"))
	return ok
}

func (t *tests) types(cc *cli.Context, _ *openedImage) error {
	list := cc.String("type")
	if list == "" {
		return nil
	}
	letters := map[string]uint32{
		"f": index.ModeRegular, "d": index.ModeDir, "l": index.ModeSymlink,
		"c": index.ModeChar, "b": index.ModeBlock, "p": index.ModeFIFO,
	}
	var types []uint32
	for l := range strings.SplitSeq(list, ",") {
		if letters[l] == 0 {
			return usagef("find: --type is f, d, l, c, b or p, or several with commas between, not %q", list)
		}
		types = append(types, letters[l])
	}
	t.add(func(_ string, _ tree.Node, a tree.Attr) bool { return slices.Contains(types, a.Mode&index.ModeType) })
	return nil
}

func (t *tests) sizes(cc *cli.Context, _ *openedImage) error {
	s := cc.String("size")
	if s == "" {
		return nil
	}
	sign, number := signed(s, "+-")
	size, err := units.RAMInBytes(number)
	if err != nil || size < 0 {
		return usagef("find: --size %q: not a size", s).with("as in 0, +10M or -4K")
	}
	t.add(func(_ string, _ tree.Node, a tree.Attr) bool {
		switch {
		case a.Mode&index.ModeType != index.ModeRegular:
			return false
		case sign == '+':
			return a.Size > size
		case sign == '-':
			return a.Size < size
		}
		return a.Size == size
	})
	return nil
}

// signed cuts one of signs off the front of s; 0 if there is none.
func signed(s, signs string) (byte, string) {
	if s != "" && strings.IndexByte(signs, s[0]) >= 0 {
		return s[0], s[1:]
	}
	return 0, s
}

func (t *tests) perms(cc *cli.Context, _ *openedImage) error {
	s := cc.String("perm")
	if s == "" {
		return nil
	}
	sign, number := signed(s, "-/")
	v, err := strconv.ParseUint(number, 8, 32)
	if err != nil || v > index.ModePerm {
		return usagef("find: --perm %q: not an octal mode", s).with("as in 0644, -4000 or /6000")
	}
	mode := uint32(v)
	t.add(func(_ string, _ tree.Node, a tree.Attr) bool {
		switch sign {
		case '-':
			return a.Mode&mode == mode
		case '/':
			return a.Mode&mode != 0 || mode == 0
		}
		return a.Mode&index.ModePerm == mode
	})
	return nil
}

func (t *tests) owners(cc *cli.Context, img *openedImage) error {
	uid, gid := func(a tree.Attr) uint32 { return a.UID }, func(a tree.Attr) uint32 { return a.GID }
	for _, by := range []struct {
		flag string
		of   func(a tree.Attr) uint32
		id   func(img *image.Image, s string) (uint32, error)
	}{
		{"uid", uid, number("user")},
		{"gid", gid, number("group")},
		{"user", uid, bundle.UserID},
		{"group", gid, bundle.GroupID},
	} {
		if !cc.IsSet(by.flag) {
			continue
		}
		id, err := by.id(img.Image, cc.String(by.flag))
		if errors.Is(err, bundle.ErrNoUser) {
			return notFoundf("find: --%s: %w", by.flag, err).with("--uid and --gid take any number")
		}
		if err != nil {
			return usagef("find: --%s: %w", by.flag, err)
		}
		t.add(func(_ string, _ tree.Node, a tree.Attr) bool { return by.of(a) == id })
	}
	return nil
}

// number reads an id where no name is looked up; named is the flag that does.
func number(named string) func(*image.Image, string) (uint32, error) {
	return func(_ *image.Image, s string) (uint32, error) {
		id, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return 0, hint(fmt.Errorf("%q is not a number", s), "--"+named+" takes a name, too")
		}
		return uint32(id), nil
	}
}

func (t *tests) times(cc *cli.Context, _ *openedImage) error {
	s := cc.String("newer")
	if s == "" {
		return nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(form, s, time.Local); err == nil {
			t.add(func(_ string, _ tree.Node, a tree.Attr) bool { return modTime(a).After(at) })
			return nil
		}
	}
	return usagef("find: --newer %q: not a time", s).with("as in 2026-01-31 or 2026-01-31T12:00:00Z")
}

func (t *tests) xattrs(cc *cli.Context, _ *openedImage) error {
	s := cc.String("xattr")
	if s == "" {
		return nil
	}
	g, err := parseGlob(s)
	if err != nil {
		return usagef("find: --xattr %q: %w", s, err)
	}
	t.add(func(_ string, n tree.Node, _ tree.Attr) bool {
		return slices.ContainsFunc(t.tree.Xattrs(n), func(x index.Xattr) bool { return g.fits(x.Name) })
	})
	return nil
}

func (t *tests) layers(cc *cli.Context, img *openedImage) error {
	s := cc.String("layer")
	if s == "" {
		return nil
	}
	i, err := img.layer(s)
	if err != nil {
		return err
	}
	t.add(func(_ string, _ tree.Node, a tree.Attr) bool { return a.Layer == i })
	return nil
}

// layer is the layer, from 0 on, that a user names by its number, from 1 on, or
// by its digest or the beginning of that.
func (i *openedImage) layer(s string) (int, error) {
	layers := i.Layers()
	if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= len(layers) {
		return n - 1, nil
	}
	hex := strings.TrimPrefix(s, "sha256:")
	for n, d := range layers {
		if len(hex) >= 4 && strings.HasPrefix(d.Descriptor.Digest.Encoded(), hex) {
			return n, nil
		}
	}
	return 0, notFoundf("--layer %q: the image has layers 1 to %d", s, len(layers)).with("ocifs layers lists them")
}
