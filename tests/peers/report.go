package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// store writes an answer to a file of dir.
func (a *answer) store(dir string) error {
	b, err := json.MarshalIndent(a, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, a.Question+".json"), append(b, '\n'), 0o644)
}

// load reads the answer to q, nil if there is none.
func load(dir string, q question) (*answer, error) {
	b, err := os.ReadFile(filepath.Join(dir, q.name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	a := new(answer)
	if err == nil {
		err = json.Unmarshal(b, a)
	}
	return a, err
}

const preface = `# Benchmarks

How ocifs compares with what else gets at the files of an image. ` + "`make bench-peers`" + `
measures all of it on a machine of one's own, and writes this page; tests/peers has the
code. A number is the median over the runs; in parentheses is how many times the number
of the row in bold it is, the median of what the single runs say, in each of which all
rows took turns. Clients, servers and the registry share the machine. Nothing here is
measured on a cache that somebody filled before, but where it says so.
`

// writeReport writes benchmarks.md and its pictures into out, from all answers
// in results.
func writeReport(results, out string) error {
	pictures := filepath.Join(out, "benchmarks")
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		return err
	}
	var page strings.Builder
	page.WriteString(preface)
	for _, q := range questions() {
		a, err := load(results, q)
		if err != nil {
			return err
		}
		if a == nil {
			continue
		}
		picture := filepath.Join("benchmarks", q.name+".svg")
		if err := os.WriteFile(filepath.Join(out, picture), []byte(a.picture(q)), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&page, "\n## %s\n\n%s\n\nGoal: %s.\n\n", q.title, strings.Join(q.how, "\n"), q.goal)
		a.table(&page)
		fmt.Fprintf(&page, "\n![%s](%s)\n\n`%s`, %s, %s.\n", q.title, picture, a.Command, a.Date.Format("2006-01-02"), a.Machine)
		// What the numbers are due to is written by hand.
		if note, err := os.ReadFile(filepath.Join(pictures, q.name+".md")); err == nil {
			fmt.Fprintf(&page, "\n%s", note)
		}
	}
	return os.WriteFile(filepath.Join(out, "benchmarks.md"), []byte(page.String()), 0o644)
}

// asked is the question that a answers.
func (a *answer) asked() question {
	all := questions()
	return all[slices.IndexFunc(all, func(q question) bool { return q.name == a.Question })]
}

// table writes the answer as a table of Markdown.
func (a *answer) table(w io.Writer) {
	q := a.asked()
	columns := a.columns(q)
	fmt.Fprint(w, "| |")
	for _, c := range columns {
		fmt.Fprintf(w, " %s |", c.name)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(columns)))
	for _, group := range a.groups() {
		if group != "" {
			fmt.Fprintf(w, "| *%s* |%s\n", group, strings.Repeat(" |", len(columns)))
		}
		for _, r := range a.in(group) {
			name := r.Name
			if name == q.base {
				name = "**" + name + "**"
			}
			fmt.Fprintf(w, "| %s |%s\n", name, a.cells(q, r, columns))
		}
	}
}

// cells are what stands behind a row's name.
func (a *answer) cells(q question, r *row, columns []column) string {
	if r.Absent != "" {
		return " " + strings.ReplaceAll(r.Absent, "|", `\|`) + " |" + strings.Repeat(" |", len(columns)-1)
	}
	base := a.find(r.Group, q.base)
	var b strings.Builder
	for _, c := range columns {
		v, ok := r.value(c.name)
		if !ok {
			b.WriteString(" |")
			continue
		}
		fmt.Fprintf(&b, " %s", c.unit.format(v))
		if base != nil && base != r && c.unit != factor {
			if ratio, ok := r.ratio(c.name, base); ok {
				fmt.Fprintf(&b, " (%s)", factor.format(ratio))
			}
		}
		b.WriteString(" |")
	}
	return b.String()
}

// columns are those that something was measured for.
func (a *answer) columns(q question) []column {
	return slices.DeleteFunc(slices.Clone(q.columns), func(c column) bool {
		return !slices.ContainsFunc(a.Rows, func(r row) bool { return len(r.values(c.name)) > 0 })
	})
}

// groups are the groups of rows, in order.
func (a *answer) groups() (list []string) {
	for _, r := range a.Rows {
		if !slices.Contains(list, r.Group) {
			list = append(list, r.Group)
		}
	}
	return list
}

// in lists the rows of a group.
func (a *answer) in(group string) (rows []*row) {
	for i := range a.Rows {
		if a.Rows[i].Group == group {
			rows = append(rows, &a.Rows[i])
		}
	}
	return rows
}

// find is a group's row with a name; nil if there is none.
func (a *answer) find(group, name string) *row {
	for _, r := range a.in(group) {
		if r.Name == name {
			return r
		}
	}
	return nil
}
