package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func completeCommand() *cli.Command {
	return &cli.Command{
		Name:      "complete",
		Hidden:    true,
		Usage:     "tell a shell what could stand at the end of a line; only its completion asks",
		ArgsUsage: "WORD…",
		Action:    talk(complete),
	}
}

// complete prints what the last word could be, which may be empty: a line for
// each candidate, a tab and what it is behind it if there is more to say; and
// at the end ":files" or ":dirs" where these could stand there, too.
func complete(_ context.Context, u *ui, cc *cli.Context) error {
	c := completer{app: newApp(), images: func() []string { return knownImages(cc) }, mounts: func() []string { return mountpoints(cc) }}
	c.complete(cc.Args().Slice())
	for _, l := range c.found {
		fmt.Fprintln(u.out, l)
	}
	return nil
}

// A completer finds candidates.
type completer struct {
	app    *cli.App
	images func() []string
	mounts func() []string

	word  string // to be completed
	found []string
}

func (c *completer) add(word, what string) {
	if !strings.HasPrefix(word, c.word) || !plain(word) {
		return
	}
	if what != "" {
		word += "\t" + what
	}
	c.found = append(c.found, word)
}

// complete reads the words before the last, as far as they can be understood.
func (c *completer) complete(words []string) {
	if len(words) == 0 {
		return
	}
	done, word := words[:len(words)-1], words[len(words)-1]
	c.word = word
	l := &line{}
	if n := len(done); n > 0 && !slices.Contains(done, "--") {
		l.read(c.app, done[:n-1])
		if f := l.awaits(c.app, done[n-1]); f != nil && !l.full() {
			c.value(f, "")
			return
		}
		l = &line{}
	}
	l.read(c.app, done)
	name, _, isValue := strings.Cut(word, "=")
	switch {
	case l.full():
		c.found = append(c.found, ":files")
	case isValue && strings.HasPrefix(name, "--") && !slices.Contains(done, "--"):
		if f := l.flag(c.app, name[2:]); f != nil && takesValue(f) {
			c.value(f, name+"=")
		}
	case strings.HasPrefix(word, "-") && !slices.Contains(done, "--"):
		c.flags(l)
	case len(l.path) == 0:
		c.commands(c.app.Commands)
	case len(l.path[len(l.path)-1].Subcommands) > 0:
		c.commands(l.path[len(l.path)-1].Subcommands)
	default:
		c.argument(l)
	}
}

// awaits is the flag whose value the word after w is; nil if w is none such.
func (l *line) awaits(app *cli.App, w string) cli.Flag {
	name := strings.TrimPrefix(w, "--")
	if name == w && len(w) >= 2 && w[0] == '-' {
		name = w[len(w)-1:] // the last of -abc; if it has one, a value ends there
	}
	if name == w {
		return nil
	}
	f := l.flag(app, name)
	if _, optional := f.(optionalFlag); f == nil || optional || !takesValue(f) {
		return nil
	}
	return f
}

func (c *completer) commands(list []*cli.Command) {
	for _, s := range visible(list) {
		c.add(s.Name, s.Usage)
	}
}

func (c *completer) flags(l *line) {
	flags := c.app.Flags
	if n := len(l.path); n > 0 {
		flags = l.path[n-1].Flags
	}
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		for _, n := range f.Names() {
			if ok && len(n) > 1 {
				_, usage := flag.UnquoteUsage(&flag.Flag{Usage: d.GetUsage()})
				c.add("--"+n, usage)
			}
		}
	}
	c.add("--help", "tell all there is to know")
}

// value completes the value of a flag, which stands behind prefix.
func (c *completer) value(f cli.Flag, prefix string) {
	usage := f.(cli.DocGenerationFlag).GetUsage()
	name, _ := flag.UnquoteUsage(&flag.Flag{Usage: usage})
	switch name {
	case "FILE":
		c.found = append(c.found, ":files")
	case "DIR":
		c.found = append(c.found, ":dirs")
	case "OS/ARCH":
		for _, p := range []string{"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/riscv64", "linux/s390x"} {
			c.add(prefix+p, "")
		}
	default:
		for _, v := range listedValues(usage) {
			c.add(prefix+v, "")
		}
	}
}

// listedValues are the values that the usage of a flag lists, behind a colon:
// "do it as `WHICH` says: this, that (because)".
func listedValues(usage string) (values []string) {
	_, list, _ := strings.Cut(usage[strings.LastIndex(usage, "`")+1:], ": ")
	for { // without what is in parentheses
		before, rest, ok := strings.Cut(list, " (")
		_, after, closed := strings.Cut(rest, ")")
		if !ok || !closed {
			break
		}
		list = before + after
	}
	for v := range strings.SplitSeq(list, ", ") {
		if strings.ContainsAny(v, " ;") {
			break
		}
		values = append(values, v)
	}
	if len(values) < 2 {
		return nil
	}
	return values
}

// argument completes the next argument of the command, by its name in the
// command's usage; the last one may be repeated.
func (c *completer) argument(l *line) {
	names := strings.Fields(l.path[len(l.path)-1].ArgsUsage)
	n := len(l.args)
	if n >= len(names) {
		n = len(names) - 1
		if n < 0 || !strings.Contains(names[n], "…") {
			return
		}
	}
	if names[n] == "COMMAND" || names[n] == "[COMMAND…]" {
		c.commands(c.app.Commands)
		return
	}
	name := strings.Trim(names[n], "[]….")
	switch {
	case name == "SHELL":
		for _, s := range shells {
			c.add(s, "")
		}
	case name == "MOUNTPOINT" && n > 0, name == "DIR":
		c.found = append(c.found, ":dirs")
	case strings.HasPrefix(name, "MOUNTPOINT"):
		for _, m := range c.mounts() {
			c.add(m, "")
		}
	case name == "IMAGE" || name == "OTHER":
		for _, i := range c.images() {
			c.image(i)
		}
		c.found = append(c.found, ":files")
	case name == "PATH": // in the image
	default:
		c.found = append(c.found, ":files")
	}
}

// image adds an image by its name in full or, if it was begun so, as Docker
// shortens it.
func (c *completer) image(name string) {
	for _, prefix := range []string{"", "docker.io/", "docker.io/library/"} {
		if short, ok := strings.CutPrefix(name, prefix); ok && strings.HasPrefix(short, c.word) {
			c.add(short, "")
			return
		}
	}
}

// knownImages are the images that were opened before, and those mounted.
func knownImages(cc *cli.Context) (names []string) {
	if dir, err := cacheDir(cc); err == nil {
		names = recent(dir)
	}
	if dir, err := stateDirOf(cc); err == nil {
		records, _ := dir.records()
		for _, r := range records {
			names = append(names, r.Ref)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// mountpoints are where images are mounted.
func mountpoints(cc *cli.Context) (paths []string) {
	dir, err := stateDirOf(cc)
	if err != nil {
		return nil
	}
	records, _ := dir.records()
	for _, r := range records {
		paths = append(paths, r.Mountpoint)
		if r.Bundle != "" {
			paths = append(paths, r.Bundle)
		}
	}
	return paths
}
