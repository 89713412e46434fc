package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A question is what a table and a picture answer.
type question struct {
	name    string // for QUESTIONS=
	title   string
	goal    string   // what ocifs is to reach
	how     []string // what is measured, and the commands, as one would type them
	columns []column
	base    string // the row that ratios are to; "": no ratios
	trials  func(context.Context, *lab) ([]trial, error)
}

// A column is one thing measured of each row.
type column struct {
	name string
	unit unit
}

// A unit is how a number is written.
type unit string

// The units. Numbers of seconds and bytes are written with the prefix that
// suits them.
const (
	seconds unit = "s"
	bytes   unit = "B"
	speed   unit = "B/s" // more is better
	count   unit = ""
	factor  unit = "×"
)

// A trial is a row of a question, and how it is measured once.
type trial struct {
	group string // rows that are compared with one another: an image, a link
	row   string
	needs []string // programs and the like, as missing knows them
	run   func(context.Context, *scene) (sample, error)
}

// A sample is what one trial has measured, by column. A column that a row has
// nothing for is left out.
type sample map[string]float64

// An answer is all that was measured for a question.
type answer struct {
	Question string
	Machine  string
	Command  string
	Date     time.Time
	Rows     []row
}

// A row of an answer.
type row struct {
	Group, Name string
	Absent      string   `json:",omitempty"` // why there are no samples
	Samples     []sample `json:",omitempty"` // one a run
}

// chosen lists the questions with the given names, or all.
func chosen(names []string) ([]question, error) {
	all := questions()
	if len(names) == 0 {
		return all, nil
	}
	var list []question
	for _, name := range names {
		i := slices.IndexFunc(all, func(q question) bool { return q.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is none of the questions, which -h lists", name)
		}
		list = append(list, all[i])
	}
	return list, nil
}

// answer makes the trials of a question, run by run. A trial that fails ends
// its row, not the question.
func (l *lab) answer(ctx context.Context, q question) (*answer, error) {
	l.say("%s: %s", q.name, q.title)
	trials, err := q.trials(ctx, l)
	if err != nil {
		return nil, err
	}
	a := &answer{Question: q.name, Machine: machine(), Command: l.command(q), Date: time.Now().UTC()}
	for _, t := range trials {
		r := row{Group: t.group, Name: t.row}
		if what := l.missing(t.needs); len(what) > 0 {
			r.Absent = "not here: " + strings.Join(what, ", ")
		}
		a.Rows = append(a.Rows, r)
	}
	for n := range l.runs {
		for i, t := range trials {
			// Every run begins with another row.
			i, t = (i+n)%len(trials), trials[(i+n)%len(trials)]
			r := &a.Rows[i]
			if r.Absent != "" {
				continue
			}
			got, err := l.perform(ctx, t)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				r.Absent, r.Samples = firstLine(err), nil
				l.say("  %s, %s: %v", t.group, t.row, err)
				continue
			}
			l.say("  run %d: %s, %s: %s", n+1, t.group, t.row, q.tell(got))
			r.Samples = append(r.Samples, got)
		}
	}
	if !slices.ContainsFunc(a.Rows, func(r row) bool { return len(r.Samples) > 0 }) {
		return nil, errors.New("nothing could be measured")
	}
	return a, nil
}

// perform makes one trial, and undoes all it has done.
func (l *lab) perform(ctx context.Context, t trial) (_ sample, err error) {
	s, err := l.scene()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.strike()) }()
	return t.run(ctx, s)
}

// tell writes a sample on one line.
func (q *question) tell(got sample) string {
	var words []string
	for _, c := range q.columns {
		if v, ok := got[c.name]; ok {
			words = append(words, c.name+" "+c.unit.format(v))
		}
	}
	return strings.Join(words, ", ")
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// machine says in a few words where it was measured.
func machine() string {
	var model, kernel string
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(b))
	}
	return fmt.Sprintf("%d processors (%s), Linux %s", runtime.NumCPU(), model, kernel)
}
