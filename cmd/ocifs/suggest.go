package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// unknownCommand refuses a command, with the one that was probably meant.
func unknownCommand(parent, name string, commands []*cli.Command) error {
	p := usagef("unknown command %q", name)
	var names []string
	for _, c := range commands {
		if !c.Hidden {
			names = append(names, c.Names()...)
		}
	}
	if s := nearest(name, names); s != "" {
		return p.with(fmt.Sprintf("did you mean %s %s?", parent, s))
	}
	if parent == "ocifs" && strings.ContainsAny(name, ":/.") {
		return p.with("to mount an image: ocifs mount " + name + " MOUNTPOINT")
	}
	return p.with(parent + " --help lists the commands")
}

// unknownFlag refuses a flag: misspelled, misplaced or simply not there.
func (l *line) unknownFlag(app *cli.App, flag string) error {
	p := usagef("unknown flag %s", flag)
	if len(l.path) > 0 {
		p = usagef("%s has no flag %s", l.name(), flag)
	}
	name := strings.TrimLeft(flag, "-")
	if f := l.flag(app, name); f != nil {
		return p.with(fmt.Sprintf("did you mean %s?", dashed(name)))
	}
	flags := app.Flags
	if n := len(l.path); n > 0 {
		flags = l.path[n-1].Flags
	}
	if owners := ownersOf(app.Commands, name); len(owners) > 0 {
		if len(l.path) == 0 {
			return p.with(fmt.Sprintf("the flags of a command follow its name: ocifs %s %s", owners[0], dashed(name)))
		}
		return p.with(fmt.Sprintf("%s is a flag of ocifs %s", dashed(name), strings.Join(owners, ", ")))
	}
	var names []string
	for _, f := range flags {
		names = append(names, f.Names()...)
	}
	if s := nearest(name, names); s != "" {
		return p.with(fmt.Sprintf("did you mean %s?", dashed(s)))
	}
	return p.with(l.name() + " --help lists the flags")
}

// ownersOf names the commands that have the flag.
func ownersOf(commands []*cli.Command, name string) []string {
	var owners []string
	for _, c := range commands {
		if !c.Hidden && findFlag(c.Flags, name) != nil {
			owners = append(owners, c.Name)
		}
		for _, o := range ownersOf(c.Subcommands, name) {
			owners = append(owners, c.Name+" "+o)
		}
	}
	return owners
}

// dashed is a flag's name as it is typed.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// nearest is the name that word was probably meant to be: one it begins, or
// one a few typing errors away; "" if there is none such.
func nearest(word string, names []string) string {
	if len(word) < 2 {
		return ""
	}
	best, least := "", (len(word)+1)/3
	for _, n := range names {
		if len(n) < 2 {
			continue
		}
		if strings.HasPrefix(n, word) {
			return n
		}
		if d := distance(word, n); d <= least && (best == "" || d < least) {
			best, least = n, d
		}
	}
	return best
}

// distance counts the typing errors between a and b: letters added, missing,
// wrong or swapped (Damerau and Levenshtein, restricted).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range len(b) {
		rows[0][j+1] = j + 1
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			d := min(rows[i-1][j], rows[i][j-1]) + 1
			wrong := 1
			if a[i-1] == b[j-1] {
				wrong = 0
			}
			d = min(d, rows[i-1][j-1]+wrong)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}

// visible are the commands that help lists.
func visible(commands []*cli.Command) []*cli.Command {
	return slices.DeleteFunc(slices.Clone(commands), func(c *cli.Command) bool { return c.Hidden })
}
