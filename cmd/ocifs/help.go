package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// In help, the fields of a cli.Command mean: Usage, what it does in a line;
// ArgsUsage, its arguments; Description, what there is to know; UsageText,
// examples, each a command as typed.

// printHelp writes the help of the command at path, or of ocifs.
func printHelp(w io.Writer, app *cli.App, path []*cli.Command) error {
	var b strings.Builder
	if len(path) == 0 {
		overview(&b, app)
	} else {
		commandHelp(&b, path)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func overview(b *strings.Builder, app *cli.App) {
	fmt.Fprintf(b, "ocifs - %s\n\nusage: ocifs COMMAND [flags] [arguments]\n\n", app.Usage)
	fmt.Fprintf(b, "examples:\n%s\ncommands:\n", indent(`
$ ocifs mount docker.io/library/python:3.13 /mnt/py
$ ocifs ls -l docker.io/library/alpine /etc
$ ocifs umount /mnt/py
`))
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, c := range visible(app.Commands) {
		fmt.Fprintf(t, "  %s\t%s\n", strings.Join(c.Names(), ", "), c.Usage)
	}
	t.Flush()
	b.WriteString("\nocifs COMMAND --help tells more, with examples and all flags.\n")
	fmt.Fprintf(b, "\nimages:\n%s\nexit codes:\n%s", references, exitTable)
}

// references is what --help says of how to name an image.
const references = `  alpine, ghcr.io/o/r:tag, localhost:5000/r@sha256:…   in a registry
  oci:DIR, oci:DIR:TAG, oci:DIR@sha256:…               in an OCI image layout
  oci-archive:FILE, oci-archive:FILE:TAG               in one that is a tar archive
  docker-archive:FILE, docker-archive:FILE:NAME:TAG    in what docker save writes
  /PATH, ./PATH, ./PATH:TAG, FILE.tar                  in whichever of these it is
`

func commandHelp(b *strings.Builder, path []*cli.Command) {
	c := path[len(path)-1]
	fmt.Fprintf(b, "%s - %s\n\nusage: %s\n", commandName(path), c.Usage, synopsis(path))
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "also: ocifs %s\n", strings.Join(c.Aliases, ", ocifs "))
	}
	if c.Description != "" {
		fmt.Fprintf(b, "\n%s\n", strings.TrimSpace(c.Description))
	}
	if c.UsageText != "" {
		fmt.Fprintf(b, "\nexamples:\n%s", indent(c.UsageText))
	}
	if len(c.Subcommands) > 0 {
		b.WriteString("\ncommands:\n")
		for _, s := range visible(c.Subcommands) {
			fmt.Fprintf(b, "  %-10s %s\n", s.Name, s.Usage)
		}
	}
	flagHelp(b, c.Flags, "", "flags")
	if takesImage(c) {
		flagHelp(b, c.Flags, categoryImage, "flags for images")
		flagHelp(b, c.Flags, categoryRegistry, "flags for registries")
	}
	flagHelp(b, c.Flags, categoryGlobal, "flags of every command")
	where := "anywhere on the line; what follows -- is no flag"
	if own, ok := strings.CutSuffix(c.ArgsUsage, programArgs); ok {
		names := strings.Fields(own)
		where = "before " + names[len(names)-1] + "; all that follows it is the program's"
	}
	foot := "Flags may stand " + where + ". Each can be given in the environment, too: --state-dir as OCIFS_STATE_DIR" +
		" (but not what says which mounts to unmount, what to write where, or what a container is like). " + precedence
	fmt.Fprintf(b, "\n%s\n", strings.Join(wrap(foot, helpWidth), "\n"))
	fmt.Fprintf(b, "\nexit codes:\n%s", exitTable)
}

// Columns of help: where the words about a flag begin, and where lines end.
const (
	helpColumn = 28
	helpWidth  = 80
)

// flagHelp lists the flags of a category.
func flagHelp(b *strings.Builder, flags []cli.Flag, category, title string) {
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if c, isC := f.(cli.CategorizableFlag); !ok || !isC || c.GetCategory() != category {
			continue
		}
		if title != "" {
			fmt.Fprintf(b, "\n%s:\n", title)
			title = ""
		}
		value, usage := flag.UnquoteUsage(&flag.Flag{Usage: d.GetUsage()})
		if !d.TakesValue() {
			value = ""
		}
		name := strings.TrimSpace(spelled(f.Names()) + " " + value)
		if _, ok := f.(optionalFlag); ok {
			name = fmt.Sprintf("%s[=%s]", strings.TrimSpace(spelled(f.Names())), value)
		}
		lines := wrap(usage+defaultOf(f), helpWidth-helpColumn)
		fmt.Fprintf(b, "  %-*s", helpColumn-2, name)
		if utf8.RuneCountInString(name) > helpColumn-4 {
			fmt.Fprintf(b, "\n%*s", helpColumn, "")
		}
		fmt.Fprintln(b, strings.Join(lines, "\n"+strings.Repeat(" ", helpColumn)))
	}
}

// wrap breaks text into lines of at most width columns, where words allow.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(w) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + w)
	}
	return append(lines, line)
}

// spelled is the names of a flag, the short one first.
func spelled(names []string) string {
	long, short := "", "    "
	for _, n := range names {
		switch {
		case len(n) == 1:
			short = "-" + n + ", "
		case long == "":
			long = "--" + n
		}
	}
	if long == "" {
		return strings.TrimSuffix(short, ", ")
	}
	return short + long
}

// defaultOf is the default of a flag, where one is worth telling. The
// environment may hold secrets, so what it says is never shown.
func defaultOf(f cli.Flag) string {
	switch f := f.(type) {
	case *cli.StringFlag:
		if f.Value != "" {
			return fmt.Sprintf(" (%s)", f.Value)
		}
	case *cli.IntFlag:
		if f.Value != 0 {
			return fmt.Sprintf(" (%d)", f.Value)
		}
	case *cli.BoolFlag:
		if f.Value {
			return " (true)"
		}
	}
	return ""
}

// synopsis is the one line that says how a command is called.
func synopsis(path []*cli.Command) string {
	c := path[len(path)-1]
	return strings.TrimSpace(commandName(path) + " [flags] " + c.ArgsUsage)
}

func commandName(path []*cli.Command) string {
	n := "ocifs"
	for _, c := range path {
		n += " " + c.Name
	}
	return n
}

// indent sets text two columns in.
func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}
