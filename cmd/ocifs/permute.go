package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// urfave/cli v2 reads flags only before the first argument, takes later ones
// for arguments without a word, knows a flag before the command and the same
// flag after it as two, and guesses at the rest. So it never sees what the
// user typed: a line is read here, by the rules of getopt_long, and handed on
// in the one order cli cannot misread: the command, its flags as
// --name=value, "--", and the arguments.

// A line is a command line that has been understood.
type line struct {
	path  []*cli.Command // the command, its group before it; empty if none is named
	flags []string       // --name=value, in the order given
	args  []string
	help  bool // help is wanted, whatever else was said
	lost  bool // no command has the name that one was called by
	tail  int  // how many words at the end are arguments, whatever they look like
}

// readLine reads the words after the program's name. With help asked for, a
// mistake elsewhere on the line is no error, but for a command that there isn't.
func readLine(app *cli.App, words []string) (*line, error) {
	l := &line{}
	err := l.read(app, words)
	words = words[:len(words)-l.tail]
	if asksHelp(words) && !l.owns("h") || slices.Contains(before(words, "--"), "--help") {
		l.help = true
	}
	if l.help && !l.lost {
		return l, nil
	}
	return l, err
}

// words is the line as cli reads it right.
func (l *line) words(app string) []string {
	w := []string{app}
	for _, c := range l.path {
		w = append(w, c.Name)
	}
	w = append(w, l.flags...)
	return append(append(w, "--"), l.args...)
}

func (l *line) read(app *cli.App, words []string) error {
	for len(words) > 0 {
		w := words[0]
		var err error
		switch {
		case l.full():
			l.args, l.tail = append(l.args, words...), len(words)
			return nil
		case w == "--":
			return l.rest(app, words[1:])
		case w == "--help" || w == "-h" && !l.owns("h"):
			l.help, words = true, words[1:]
		case len(l.path) == 0 && (w == "--version" || w == "-V"):
			err, words = l.word(app, "version"), words[1:]
		case strings.HasPrefix(w, "--"):
			words, err = l.long(app, words)
		case len(w) > 1 && w[0] == '-':
			words, err = l.short(app, words)
		case len(l.path) == 0 && w == "help":
			l.help, words = true, words[1:]
		default:
			err, words = l.word(app, w), words[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// full reports whether what follows is the command line of another program,
// which may begin with dashes: the arguments of a command that takes one, behind
// its own.
func (l *line) full() bool {
	n := len(l.path)
	if n == 0 {
		return false
	}
	own, ok := strings.CutSuffix(l.path[n-1].ArgsUsage, programArgs)
	return ok && len(l.args) >= len(strings.Fields(own))
}

// programArgs is how the usage of such a command ends.
const programArgs = "[ARG…]"

// rest takes what stands behind "--": no flags.
func (l *line) rest(app *cli.App, words []string) error {
	for _, w := range words {
		if err := l.word(app, w); err != nil {
			return err
		}
	}
	return nil
}

// word takes a word that is no flag: the command, then the arguments.
func (l *line) word(app *cli.App, w string) error {
	commands := app.Commands
	if n := len(l.path); n > 0 {
		if commands = l.path[n-1].Subcommands; len(commands) == 0 {
			l.args = append(l.args, w)
			return nil
		}
	}
	i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(w) })
	if i < 0 {
		l.lost = true
		return unknownCommand(l.name(), w, commands)
	}
	l.path = append(l.path, commands[i])
	return nil
}

// long takes --name, --name=value or --name value.
func (l *line) long(app *cli.App, words []string) ([]string, error) {
	name, value, has := strings.Cut(words[0][2:], "=")
	f := l.flag(app, name)
	if f == nil || len(name) < 2 {
		return nil, l.unknownFlag(app, "--"+name)
	}
	words = words[1:]
	if o, ok := f.(optionalFlag); ok {
		if !has {
			value = o.bare
		}
	} else if !takesValue(f) {
		if !has {
			value = "true"
		}
		if _, err := strconv.ParseBool(value); err != nil {
			return nil, usagef("--%s is true or false, not %q", name, value)
		}
	} else if !has {
		var err error
		if value, words, err = next("--"+name, words); err != nil {
			return nil, err
		}
	}
	l.set(f, value)
	return words, nil
}

// short takes -a, -abc for -a -b -c, and -ovalue or -o value.
func (l *line) short(app *cli.App, words []string) ([]string, error) {
	w, words := words[0], words[1:]
	for i := 1; i < len(w); i++ {
		f := l.flag(app, w[i:i+1])
		if f == nil {
			if i > 1 && l.flag(app, w[1:]) == nil {
				return nil, l.unknownFlag(app, "-"+w[i:i+1])
			}
			return nil, l.unknownFlag(app, w)
		}
		if !takesValue(f) {
			l.set(f, "true")
			continue
		}
		value := strings.TrimPrefix(w[i+1:], "=")
		if i+1 == len(w) {
			var err error
			if value, words, err = next("-"+w[i:i+1], words); err != nil {
				return nil, err
			}
		}
		l.set(f, value)
		break
	}
	return words, nil
}

// next takes the word after a flag as its value, unless it is plainly the
// next flag.
func next(flag string, words []string) (string, []string, error) {
	if len(words) == 0 {
		return "", nil, usagef("%s needs a value", flag)
	}
	if v := words[0]; strings.HasPrefix(v, "--") {
		p := usagef("%s needs a value, and %q looks like the next flag", flag, v)
		return "", nil, p.with("write " + flag + "=" + v + " if you mean it")
	}
	return words[0], words[1:], nil
}

func (l *line) set(f cli.Flag, value string) {
	l.flags = append(l.flags, "--"+f.Names()[0]+"="+value)
}

// flag finds a flag of the command by any of its names; before a command is
// named, a flag that every command has.
func (l *line) flag(app *cli.App, name string) cli.Flag {
	flags := app.Flags
	if n := len(l.path); n > 0 {
		flags = l.path[n-1].Flags
	}
	return findFlag(flags, name)
}

// owns reports whether the command named has a flag of that name.
func (l *line) owns(name string) bool {
	n := len(l.path)
	return n > 0 && findFlag(l.path[n-1].Flags, name) != nil
}

// name is the command as the user would type it.
func (l *line) name() string {
	n := "ocifs"
	for _, c := range l.path {
		n += " " + c.Name
	}
	return n
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

func asksHelp(words []string) bool { return slices.Contains(before(words, "--"), "-h") }

// before is words up to the first stop, or all of them.
func before(words []string, stop string) []string {
	if i := slices.Index(words, stop); i >= 0 {
		return words[:i]
	}
	return words
}
