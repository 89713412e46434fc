package main

import (
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// splitOptions splits what -o was given at its commas; "\," is a comma and
// "\\" a backslash.
func splitOptions(s string) []string {
	var opts []string
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (s[i+1] == ',' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case c == ',':
			opts = append(opts, b.String())
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	opts = append(opts, b.String())
	return slices.DeleteFunc(opts, func(o string) bool { return o == "" })
}

// ignoredOptions are generic options of mount(8) that need nothing done. All
// others either do something (mountFlags.set) or are refused.
var ignoredOptions = []string{
	// So it is anyway: nothing is ever written, be it the time of a read.
	"ro", "defaults", "default_permissions", "async", "sync", "dirsync", "silent",
	"atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime",
	"strictatime", "nostrictatime", "lazytime", "nolazytime",
	// For mount(8), mount -a and systemd: who mounts, and when. mount(8) puts
	// what they imply, as noexec by user, into options of their own.
	"auto", "noauto", "nofail", "_netdev", "user", "users", "nouser", "owner", "group",
}

// actingOptions are the options that mountFlags.set takes.
var actingOptions = []string{"suid", "nosuid", "dev", "nodev", "exec", "noexec", "allow_other", "rw"}

// A mountFlags is what -o says of the mount itself.
type mountFlags struct {
	Suid, Dev  bool
	NoExec     bool
	AllowOther bool
	Writable   bool // rw was asked for, which no image is
}

// optionsOf applies -o.
func optionsOf(cc *cli.Context, flags []cli.Flag) (mountFlags, error) {
	var opts []string
	for _, o := range cc.StringSlice("option") {
		opts = append(opts, splitOptions(o)...)
	}
	return setOptions(cc, flags, opts)
}

// setOptions applies options. A flag on the line or in the environment wins
// against the option of its name. Root's mounts are root file systems: their
// setuid programs and device nodes work unless root says otherwise.
func setOptions(cc *cli.Context, flags []cli.Flag, opts []string) (m mountFlags, err error) {
	m.Suid = os.Geteuid() == 0 && mayMount()
	m.Dev = m.Suid
	given := map[string]bool{}
	for _, f := range flags {
		given[f.Names()[0]] = cc.IsSet(f.Names()[0])
	}
	set := func(name, value string) error {
		if given[name] {
			return nil
		}
		return cc.Set(name, value)
	}
	if err := readOptions(opts, &m, flags, set); err != nil {
		return m, err
	}
	return m, m.check(mayMount())
}

// check refuses what can't be had without the right to mount: fusermount3
// leaves setuid bits and devices dead, whatever it is asked for.
func (f *mountFlags) check(mayMount bool) error {
	switch {
	case f.Suid && !mayMount:
		return usagef("-o suid: mounts of users, which fusermount3 makes, can't have it")
	case f.Dev && !mayMount:
		return usagef("-o dev: mounts of users, which fusermount3 makes, can't have it")
	}
	return nil
}

// readOptions reads the options of -o, in order: those of a mount into f;
// those that are flags of the command, with - or _ between words, into set,
// which is told the flag's name.
func readOptions(opts []string, f *mountFlags, flags []cli.Flag, set func(name, value string) error) error {
	for _, o := range opts {
		key, value, has := strings.Cut(o, "=")
		switch {
		case slices.Contains(ignoredOptions, key) && !has, strings.HasPrefix(key, "x-"),
			key == "user" || key == "comment":
		case !has && f.set(key):
		case slices.Contains(ignoredOptions, key), slices.Contains(actingOptions, key):
			return usagef("-o %s takes no value", key)
		case key == "remount" || key == "bind" || key == "rbind" || key == "move":
			return usagef("-o %s: an image cannot be mounted that way", key)
		default:
			if err := flagOption(key, value, has, flags, set); err != nil {
				return err
			}
		}
	}
	return nil
}

// set takes an option that is a matter of the mount.
func (f *mountFlags) set(key string) bool {
	switch key {
	case "suid", "nosuid":
		f.Suid = key == "suid"
	case "dev", "nodev":
		f.Dev = key == "dev"
	case "exec", "noexec":
		f.NoExec = key == "noexec"
	case "allow_other":
		f.AllowOther = true
	case "rw":
		f.Writable = true
	default:
		return false
	}
	return true
}

// flagOption takes an option that is a flag of the command.
func flagOption(key, value string, has bool, flags []cli.Flag, set func(name, value string) error) error {
	name := strings.ReplaceAll(key, "_", "-")
	f := findFlag(flags, name)
	if f == nil || len(name) < 2 || name == "option" {
		var known []string
		for _, f := range flags {
			known = append(known, f.Names()...)
		}
		known = append(known, ignoredOptions...)
		known = append(known, actingOptions...)
		p := usagef("-o: unknown option %q", key)
		if s := nearest(name, known); s != "" {
			return p.with("did you mean " + s + "?")
		}
		return p.with(`ocifs mount --help lists the options; in a value, a comma is written \,`)
	}
	switch {
	case !has && takesValue(f):
		return usagef("-o %s needs a value: %s=…", key, key)
	case !has:
		value = "true"
	}
	if err := set(f.Names()[0], value); err != nil {
		return usagef("-o %s: %q is no value for it", key, value)
	}
	return nil
}
