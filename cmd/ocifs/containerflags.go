package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/bundle"
)

// containerFlags say what a container is like: those of docker run and podman
// run that are about what runs, and where.
func containerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "entrypoint", Usage: "run `PROGRAM` with the arguments, instead of the image's entrypoint; \"\" for none"},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `KEY=VALUE` in the environment, or KEY as it is here"},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "run as `USER`[:GROUP] of the image, by name or number"},
		&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "run in `DIR` of the image"},
		&cli.StringFlag{Name: "hostname", Usage: "call the container `NAME`, not as this machine is called"},
		&cli.StringSliceFlag{Name: "volume", Aliases: []string{"v"}, Usage: "show a file or directory of this machine in the container: `SOURCE:TARGET`[:ro]"},
		&cli.StringSliceFlag{Name: "tmpfs", Usage: "mount memory on `DIR`[:OPTIONS] of the container, as in /tmp:size=64m,mode=1777"},
		&cli.StringFlag{Name: "network", Value: bundle.NetworkHost, Usage: "use the network `WHICH`: host (this machine's, all of it), none (a loopback interface)"},
	}
}

// containerOptionsOf reads the flags; args are the words behind the image.
func containerOptionsOf(cc *cli.Context, args []string) (o bundle.Options, err error) {
	o.Args, o.User, o.Cwd, o.Hostname, o.Network = args, cc.String("user"), cc.String("workdir"), cc.String("hostname"), cc.String("network")
	if cc.IsSet("entrypoint") {
		words := []string{cc.String("entrypoint")}
		words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
		o.Entrypoint = &words
	}
	if o.Network != bundle.NetworkHost && o.Network != bundle.NetworkNone {
		return o, usagef("--network is host or none, not %q", o.Network).with("ocifs sets up no networks: make a bundle, and let its config.json name one (ip netns add)")
	}
	if strings.ContainsFunc(o.Hostname, func(r rune) bool { return r <= ' ' || r == '/' || r > '~' }) || len(o.Hostname) > 64 {
		return o, usagef("--hostname %q: not a host's name", o.Hostname)
	}
	if o.Cwd != "" && !filepath.IsAbs(o.Cwd) {
		return o, usagef("--workdir %q: not an absolute path", o.Cwd)
	}
	for _, e := range cc.StringSlice("env") {
		if e == "" || e[0] == '=' {
			return o, usagef("--env %q: a variable without a name", e).with("as in -e KEY=VALUE")
		}
		if kv, ok := environmentOf(e); ok {
			o.Env = append(o.Env, kv)
		}
	}
	for _, v := range cc.StringSlice("volume") {
		m, err := volumeOf(v)
		if err != nil {
			return o, err
		}
		o.Mounts = append(o.Mounts, m)
	}
	for _, v := range cc.StringSlice("tmpfs") {
		m, err := tmpfsOf(v)
		if err != nil {
			return o, err
		}
		o.Mounts = append(o.Mounts, m)
	}
	return o, checkText(o)
}

// environmentOf is what -e sets: KEY=VALUE, or of KEY alone what it is here, if
// it is anything.
func environmentOf(e string) (string, bool) {
	if strings.Contains(e, "=") {
		return e, true
	}
	v, ok := os.LookupEnv(e)
	return e + "=" + v, ok
}

// volumeOf is what -v mounts.
func volumeOf(v string) (m specs.Mount, err error) {
	source, rest, ok := strings.Cut(v, ":")
	target, option, _ := strings.Cut(rest, ":")
	how := usagef("--volume %q: not SOURCE:TARGET or SOURCE:TARGET:ro", v)
	switch {
	case !ok || source == "":
		return m, how
	case !strings.ContainsAny(source, "/.~"):
		return m, how.with("volumes have no names here: a directory is written with a slash, as in ./" + source)
	}
	if m.Destination, err = targetOf("--volume", target); err != nil {
		return m, err
	}
	if m.Source, err = filepath.Abs(source); err != nil {
		return m, err
	}
	if _, err := os.Stat(m.Source); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return m, notFoundf("--volume: %s does not exist", quote(m.Source)).with("make it: mkdir -p " + quote(m.Source))
		}
		return m, fmt.Errorf("--volume: %w", err)
	}
	m.Type, m.Options = "bind", []string{"rbind"}
	switch option {
	case "", "rw":
	case "ro":
		m.Options = append(m.Options, "ro")
	default:
		return m, usagef("--volume %q: %q is neither ro nor rw", v, option)
	}
	return m, nil
}

// tmpfsOf is what --tmpfs mounts.
func tmpfsOf(v string) (m specs.Mount, err error) {
	target, options, _ := strings.Cut(v, ":")
	m = specs.Mount{Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev"}}
	m.Options = append(m.Options, splitOptions(options)...)
	m.Destination, err = targetOf("--tmpfs", target)
	return m, err
}

// targetOf is a mountpoint in a container.
func targetOf(flag, target string) (string, error) {
	if !filepath.IsAbs(target) || filepath.Clean(target) == "/" {
		return "", usagef("%s: %q is not an absolute path below / of the container", flag, target)
	}
	return filepath.Clean(target), nil
}

// checkText refuses what config.json, which is JSON, could not hold.
func checkText(o bundle.Options) error {
	words := slices.Concat(o.Args, o.Env, []string{o.User, o.Cwd})
	if o.Entrypoint != nil {
		words = append(words, *o.Entrypoint...)
	}
	for _, m := range o.Mounts {
		words = append(words, m.Source, m.Destination)
	}
	for _, w := range words {
		if !utf8.ValidString(w) {
			return usagef("%s is not UTF-8, and cannot be written to config.json", quote(w))
		}
	}
	return nil
}

// An optionalFlag is a flag whose value may be left out: --writable, or
// --writable=DIR.
type optionalFlag struct {
	*cli.StringFlag
	bare string // its value then
}

// writableFlag says where what is written goes.
func writableFlag(usage string) cli.Flag {
	return optionalFlag{&cli.StringFlag{Name: "writable", Usage: usage}, inMemory}
}

// inMemory is the value of --writable for who gives none.
const inMemory = "memory"

// upperOf is where what is written goes: "" is memory. A directory is made, if
// the one it is to lie in is there.
func upperOf(cc *cli.Context) (upper string, err error) {
	if upper = cc.String("writable"); upper == "" || upper == inMemory {
		return "", nil
	}
	if upper, err = filepath.Abs(upper); err != nil {
		return "", err
	}
	if err := os.Mkdir(upper, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("--writable: %w", err)
	}
	if fi, err := os.Stat(upper); err != nil || !fi.IsDir() {
		return "", usagef("--writable: %s is not a directory", quote(upper))
	}
	return upper, nil
}
