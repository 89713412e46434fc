package main

import (
	"bytes"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// A roff is a text in the language of man(7), as far as pages of ours need it.
type roff struct{ b bytes.Buffer }

// line writes a request or macro with its arguments.
func (r *roff) line(macro string, args ...string) {
	r.b.WriteString(macro)
	for _, a := range args {
		fmt.Fprintf(&r.b, ` "%s"`, strings.ReplaceAll(roffed(a), `"`, `\(dq`))
	}
	r.b.WriteByte('\n')
}

func (r *roff) section(title string) { r.line(".SH", title) }

// text writes text to be filled.
func (r *roff) text(s string) {
	for _, l := range wrap(roffed(s), helpWidth-2) { // set may add two
		r.set(l)
	}
}

// paragraph begins one, where none has begun by itself.
func (r *roff) paragraph() {
	lines := strings.Split(strings.TrimSpace(r.b.String()), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, ".SH") {
		r.line(".PP")
	}
}

// set writes a line that is in roff's form, and no request.
func (r *roff) set(l string) {
	if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
		l = `\&` + l
	}
	r.b.WriteString(l + "\n")
}

// prose writes paragraphs, which empty lines part; what is indented stays as
// it is.
func (r *roff) prose(s string) {
	for p := range strings.SplitSeq(strings.Trim(s, "\n"), "\n\n") {
		lines := strings.Split(p, "\n")
		n := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "  ") })
		if n < 0 {
			n = len(lines)
		}
		if n > 0 {
			r.paragraph()
			r.text(strings.Join(lines[:n], " "))
		}
		if n < len(lines) {
			r.verbatim(strings.Join(lines[n:], "\n"))
		}
	}
}

// verbatim writes lines as they are.
func (r *roff) verbatim(s string) {
	r.paragraph()
	r.line(".nf")
	for l := range strings.SplitSeq(strings.Trim(s, "\n"), "\n") {
		r.set(roffed(strings.TrimRight(l, " ")))
	}
	r.line(".fi")
}

func (r *roff) synopsis(name, rest string) {
	r.set(bold(name) + " " + roffed(strings.TrimSpace(rest)))
}

// item writes an item of a list; head is in roff's form.
func (r *roff) item(head, text string) {
	r.line(".TP")
	r.set(head)
	r.text(text)
}

// exits writes a table of exit codes.
func (r *roff) exits(table string) {
	r.section("EXIT STATUS")
	for l := range strings.Lines(table) {
		code, what, _ := strings.Cut(strings.TrimSpace(l), " ")
		r.item(bold(code), strings.TrimSpace(what))
	}
}

// flags lists the flags of a category.
func (r *roff) flags(flags []cli.Flag, category, title string) {
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if c, isC := f.(cli.CategorizableFlag); !ok || !isC || c.GetCategory() != category {
			continue
		}
		if title != "" {
			r.line(".SS", title)
			title = ""
		}
		var names []string
		for n := range strings.SplitSeq(strings.TrimSpace(spelled(f.Names())), ", ") {
			names = append(names, bold(strings.TrimSpace(n)))
		}
		value, usage := unquoted(d)
		head := strings.Join(names, ", ")
		switch _, optional := f.(optionalFlag); {
		case optional:
			head += "[=" + italic(value) + "]"
		case value != "":
			head += " " + italic(value)
		}
		r.item(head, usage+defaultOf(f))
	}
}

// unquoted is the name of a flag's value, "" if it takes none, and its usage.
func unquoted(d cli.DocGenerationFlag) (value, usage string) {
	value, usage = flag.UnquoteUsage(&flag.Flag{Usage: d.GetUsage()})
	if !d.TakesValue() {
		value = ""
	}
	return value, usage
}

func bold(s string) string   { return `\fB` + roffed(s) + `\fR` }
func italic(s string) string { return `\fI` + roffed(s) + `\fR` }

// roffed is s with nothing that roff would take for its own: backslashes, and
// characters that it sets as others, which can't be copied and pasted.
func roffed(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\(ga", "~", `\(ti`, "^", `\(ha`).Replace(s)
}
