package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Called mount.ocifs, mount.fuse.ocifs or mount.fuse3.ocifs, in /sbin, this
// program is a helper of mount(8), which runs it for "mount -t ocifs IMAGE
// DIR", for a line of fstab(5), and for a mount unit of systemd. mount.fuse3,
// which containerd runs for a mount of type fuse3.ocifs, calls it by no such
// name: it runs "ocifs IMAGE DIR -o OPTIONS".
//
// A helper has an environment that is empty or nearly so, always goes to the
// background, prints nothing but errors unless asked to, and has exit codes of
// its own. What it does beyond that is "ocifs mount".

// The exit codes of mount(8).
const (
	helperUsage     = 1 // wrong usage
	helperInterrupt = 8
	helperFailure   = 32
)

// A helperLine is a helper's command line.
type helperLine struct {
	args    []string // the image and the mountpoint
	options []string // of all -o, in order

	fake, sloppy, verbose, help, version bool
}

// helperWords are the words of a helper's line, where argv is one. The third
// form is taken for one only if it can't be a mistyped command.
func helperWords(app *cli.App, argv []string) (words []string, ok bool) {
	switch filepath.Base(argv[0]) {
	case "mount.ocifs", "mount.fuse.ocifs", "mount.fuse3.ocifs":
		return argv[1:], true
	}
	if len(argv) < 5 || argv[3] != "-o" || !filepath.IsAbs(argv[2]) || strings.HasPrefix(argv[1], "-") {
		return nil, false
	}
	known := slices.ContainsFunc(app.Commands, func(c *cli.Command) bool { return c.HasName(argv[1]) })
	return argv[1:], !known && argv[1] != "help"
}

// helperSynopsis is how mount(8) calls a helper.
const helperSynopsis = "mount.ocifs IMAGE MOUNTPOINT [-fnsv] [-o OPTIONS] [-t TYPE]"

// readHelper reads a helper's line: flags and arguments in any order.
func readHelper(words []string) (h helperLine, err error) {
	for len(words) > 0 {
		w := words[0]
		words = words[1:]
		switch {
		case w == "--":
			h.args, words = append(h.args, words...), nil
		case w == "--help" || w == "--version":
			h.help, h.version = h.help || w == "--help", h.version || w == "--version"
		case len(w) > 1 && w[0] == '-':
			if words, err = h.short(w[1:], words); err != nil {
				return h, err
			}
		default:
			h.args = append(h.args, w)
		}
	}
	return h, nil
}

// short reads the flags behind one dash; a value may be the next word.
func (h *helperLine) short(flags string, words []string) ([]string, error) {
	for i, c := range flags {
		switch c {
		case 'f':
			h.fake = true
		case 's':
			h.sloppy = true
		case 'v':
			h.verbose = true
		case 'n', 'r', 'w': // no mtab; read-only, as all images are, whoever asks for more
		case 'h':
			h.help = true
		case 'V':
			h.version = true
		case 'o', 't', 'N':
			value := flags[i+1:]
			if value == "" {
				if len(words) == 0 {
					return nil, usagef("-%c needs a value", c).with("usage: " + helperSynopsis)
				}
				value, words = words[0], words[1:]
			}
			switch c {
			case 'o':
				h.options = append(h.options, splitOptions(value)...)
			case 'N':
				return nil, usagef("-N %s: it is mounted only in the mount namespace of who asks", quote(value)).with("enter the other first: nsenter --mount=" + quote(value) + " mount …")
			}
			return words, nil
		default:
			return nil, usagef("unknown flag -%c", c).with("usage: " + helperSynopsis)
		}
	}
	return words, nil
}

// helper mounts as mount(8) wants it done.
func helper(ctx context.Context, app *cli.App, words []string) error {
	h, err := readHelper(words)
	switch {
	case h.help:
		_, err := fmt.Printf("mount.ocifs - mount an image, for mount(8)\n\nusage: %s\n\nman mount.ocifs and ocifs mount --help tell more.\n", helperSynopsis)
		return err
	case h.version:
		_, err := fmt.Println("mount.ocifs " + buildInfo().Version)
		return err
	case err != nil:
		return err
	case len(h.args) != 2:
		return usagef("an image and a mountpoint are wanted, not %s", count(len(h.args), "argument")).with("usage: " + helperSynopsis)
	}
	if err := h.prepare(); err != nil {
		return err
	}
	c := withKey(withView(mountCommand()))
	c.Action = func(cc *cli.Context) error { return h.mount(cc, c.Flags) }
	l := line{path: []*cli.Command{leaf(c, 2, 2)}, args: h.args}
	app.Commands = l.path
	return app.RunContext(ctx, l.words(app.Name))
}

// prepare takes the options that only a helper has: it drops those that
// mount(8) adds or has dealt with, and puts env.NAME=VALUE into the
// environment, which is otherwise empty.
func (h *helperLine) prepare() error {
	var rest []string
	for _, o := range h.options {
		key, value, has := strings.Cut(o, "=")
		name, isEnv := strings.CutPrefix(key, "env.")
		switch {
		case key == "rw" && !has, strings.HasPrefix(key, "X-"):
		case isEnv && has && name != "":
			if err := os.Setenv(name, value); err != nil {
				return usagef("-o %s: %w", key, err)
			}
		case isEnv:
			return usagef("-o %s: an environment variable is set by env.NAME=VALUE", key)
		case key == "remount":
			return mountf("-o remount: what is mounted can't be changed").with("unmount it, and mount it anew")
		case isForeground(key):
			return usagef("-o %s: mount(8) has it only without output, and in the background", key).with("use ocifs mount, or log-file=FILE,log-level=debug")
		default:
			rest = append(rest, o)
		}
	}
	h.options = rest
	return nil
}

// isForeground reports whether a flag of ocifs mount is one that a helper can't
// have.
func isForeground(name string) bool {
	return name == "foreground" || name == "debug" || name == "json"
}

// mount is the action of "ocifs mount" when a helper does it.
func (h *helperLine) mount(cc *cli.Context, flags []cli.Flag) error {
	if h.sloppy {
		h.options = slices.DeleteFunc(h.options, func(o string) bool {
			return readOptions([]string{o}, new(mountFlags), flags, func(string, string) error { return nil }) != nil
		})
	}
	f, err := setOptions(cc, flags, h.options)
	if err != nil {
		return err
	}
	return talk(func(ctx context.Context, u *ui, cc *cli.Context) error {
		spec, err := mountSpecOf(u, cc, f)
		if err != nil || h.fake {
			return err
		}
		return canonicalised(h.args[0], background(ctx, u, spec, func(r record) error {
			if !h.verbose {
				return nil
			}
			return u.mounted(r, false)
		}))
	})(cc)
}

// canonicalised adds a hint to the failure to mount a path that holds no
// image: mount(8) makes a path of every name that something in the working
// directory has.
func canonicalised(source string, err error) error {
	if err == nil || !filepath.IsAbs(source) {
		return err
	}
	fi, statErr := os.Stat(source)
	if statErr != nil {
		return err
	}
	if fi.IsDir() {
		for _, name := range []string{"index.json", "oci-layout"} {
			if _, err := os.Stat(filepath.Join(source, name)); err == nil {
				return err
			}
		}
	} else if code := exitCode(context.Background(), err); code != exitUnsupported && code != exitNotFound {
		return err
	}
	return hint(err, fmt.Sprintf("mount(8) makes a path of a name that a file in the working directory has; an image in a registry is %s, or any name with its registry",
		quote("docker://"+filepath.Base(source))))
}

// helperCode is the exit code of mount(8) for one of ours.
func helperCode(code int) int {
	switch {
	case code == exitOK:
		return 0
	case code == exitUsage:
		return helperUsage
	case code > exitSignal:
		return helperInterrupt
	}
	return helperFailure
}
