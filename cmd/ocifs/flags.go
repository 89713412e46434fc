package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
)

// Categories of flags, as help shows them. A command's own flags have none.
const (
	categoryImage    = "image" // of commands that open one; the others only tolerate them
	categoryRegistry = "registry"
	categoryGlobal   = "everywhere"
)

// many is as many arguments as there are.
const many = 1 << 30

// leaf finishes a command: the flags every command has, the environment
// variable of each flag, and the number of its arguments. It turns off what
// cli would do on its own: a help subcommand, usage on stdout.
func leaf(c *cli.Command, least, most int) *cli.Command {
	c.HideHelp, c.HideHelpCommand = true, true
	c.Flags = append(c.Flags, globalFlags()...)
	for _, f := range c.Flags {
		fromEnv(f)
	}
	c.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return usagef("%s", plainUsage(err)) }
	action := c.Action
	c.Action = func(cc *cli.Context) error {
		if err := checkArgs(cc, c, least, most); err != nil {
			return err
		}
		return action(cc)
	}
	return c
}

// checkArgs refuses too few arguments and too many.
func checkArgs(cc *cli.Context, c *cli.Command, least, most int) error {
	path := pathOf(cc)
	how := "usage: " + synopsis(path)
	name := strings.TrimPrefix(commandName(path), "ocifs ")
	switch n := cc.NArg(); {
	case n < least:
		names := strings.Fields(c.ArgsUsage)
		return usagef("%s: %s is missing", name, strings.Trim(names[n], "[].…")).with(how)
	case n > most:
		return usagef("%s: unexpected argument %q", name, cc.Args().Get(most)).with(how)
	}
	for _, a := range cc.Args().Slice()[:min(least, cc.NArg())] {
		if a == "" {
			return usagef("%s: an argument is empty", name).with(how)
		}
	}
	return nil
}

// pathOf is the command that is being run, its group before it.
func pathOf(cc *cli.Context) (path []*cli.Command) {
	for _, x := range cc.Lineage() {
		if x.Command != nil && x.Command.Name != "" && x.Command.Name != cc.App.Name {
			path = append(path, x.Command)
		}
	}
	slices.Reverse(path)
	return path
}

// plainUsage puts an error of package flag, which knows one dash only, in the
// words a user knows.
func plainUsage(err error) string {
	s := strings.Replace(err.Error(), " for flag -", " for --", 1)
	s = strings.TrimSuffix(s, ": parse error")
	s, _, _ = strings.Cut(s, ": strconv.")
	return strings.Replace(s, " for flag ", " for --", 1)
}

// noEnv names the flags that no environment variable sets: in an environment
// they would change what another command does, or undo a mount.
var noEnv = map[string]bool{
	"all": true, "lazy": true, "format": true, "level": true, "out": true, "to": true, "local": true, "dry-run": true, "dir": true,
	"all-platforms": true, "all-images": true, "compose": true, "subpath": true, "artifact-type": true, "depth": true, "table": true,
	"repair": true, "older-than": true, "keep-size": true, "watch": true, "record-trace": true, "prefetch": true,
	// of those that look inside
	"name": true, "iname": true, "path": true, "type": true, "size": true, "perm": true, "uid": true, "gid": true, "group": true,
	"newer": true, "xattr": true, "layer": true, "max-depth": true, "print0": true, "summarize": true, "by-layer": true,
	"archive": true, "force": true, "output": true, "ignore": true, "exit-code": true, "limit": true, "full": true, "no-trunc": true,
	// of those that make containers
	"entrypoint": true, "env": true, "user": true, "workdir": true, "hostname": true, "volume": true, "tmpfs": true,
	"writable": true, "read-only": true, "tty": true, "interactive": true, "rm": true,
}

// fromEnv gives a flag its environment variable: --cache-dir is
// OCIFS_CACHE_DIR.
func fromEnv(f cli.Flag) {
	name := f.Names()[0]
	if noEnv[name] {
		return
	}
	env := []string{"OCIFS_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
	switch f := f.(type) {
	case *cli.BoolFlag:
		f.EnvVars = env
	case *cli.StringFlag:
		f.EnvVars = env
	case *cli.StringSliceFlag:
		f.EnvVars = env
	case *cli.IntFlag:
		f.EnvVars = env
	default:
		panic(fmt.Sprintf("ocifs: internal error: no environment for a %T", f))
	}
}

// globalFlags are the flags every command has.
func globalFlags() []cli.Flag {
	return append(registryFlags(),
		&cli.StringFlag{Name: "platform", Category: categoryImage, Usage: "choose the image for `OS/ARCH`[/VARIANT], not for this machine"},
		&cli.StringFlag{Name: "cache-dir", Category: categoryImage, Usage: "keep decoded layers and indexes below `DIR` (of root /var/cache/ocifs, else $XDG_CACHE_HOME/ocifs or ~/.cache/ocifs)"},
		&cli.StringFlag{Name: "cache-size", Category: categoryImage, Usage: "keep the cache below `SIZE`, as in 20GiB, by dropping what was unused longest; without it, nothing is dropped"},
		&cli.StringFlag{Name: "index", Value: string(image.PolicyRepository), Category: categoryImage, Usage: "trust `WHOSE` word on what lies where in a layer: off (nobody's: read it whole), local (what that left in the cache), trusted (and what the manifest vouches for), repository (and what was pushed beside the image)"},
		&cli.BoolFlag{Name: "soci-v1", Category: categoryImage, Usage: "take SOCI indexes of version 1, too"},
		&cli.StringFlag{Name: "state-dir", Category: categoryGlobal, Usage: "record live mounts below `DIR` (of root /run/ocifs, else $XDG_RUNTIME_DIR/ocifs or $TMPDIR/ocifs-UID)"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: categoryGlobal, Usage: "print results and errors only"},
		&cli.BoolFlag{Name: "no-progress", Category: categoryGlobal, Usage: "show no progress, also on a terminal"},
		&cli.StringFlag{Name: "color", Value: "auto", Category: categoryGlobal, Usage: "use colour `WHEN`: auto, always, never"},
		&cli.StringFlag{Name: "log-level", Value: "warn", Category: categoryGlobal, Usage: "log from `LEVEL` on: debug, info, warn, error"},
		&cli.StringFlag{Name: "log-format", Value: "text", Category: categoryGlobal, Usage: "log as `FORMAT`: text, json"},
	)
}

// cacheSize is the bound on the cache, in bytes; 0 is none.
func cacheSize(cc *cli.Context) (int64, error) {
	size := cc.String("cache-size")
	if size == "" {
		return 0, nil
	}
	n, err := units.RAMInBytes(size)
	if err != nil || n <= 0 {
		return 0, usagef("--cache-size %q: not a size", size).with("as in 500MiB or 20GiB")
	}
	if n < minCacheSize {
		return 0, usagef("--cache-size %q: %s hold nothing", size, bytesOf(n)).with("as in 500MiB or 20GiB")
	}
	return n, nil
}

// minCacheSize is a block of most file systems: less holds not even a small file.
const minCacheSize = 4 << 10

// cacheDir is where decoded layers are kept: --cache-dir, or what is usual
// for root and for users.
func cacheDir(cc *cli.Context) (string, error) {
	if dir := cc.String("cache-dir"); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 {
		return "/var/cache/ocifs", nil
	}
	dir, err := os.UserCacheDir() // $XDG_CACHE_HOME or ~/.cache
	if home := homeDir(); err != nil && home != "" {
		dir, err = filepath.Join(home, ".cache"), nil
	}
	if err != nil {
		return "", hint(fmt.Errorf("cache directory: %w", err), "say where with --cache-dir")
	}
	return filepath.Join(dir, "ocifs"), nil
}
