package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "say what works here, and where an image would come from",
		ArgsUsage: "[IMAGE]",
		Description: `Looks at what ocifs needs of this machine: FUSE, the kernel, the cache. With an
image, it says what the configuration makes of its name (which file governs it,
what a short name means, which mirrors there are, in order, and where the
credentials for each are from) and tries each server by a few requests: whether
it can be reached and lets us in, gives parts of blobs, and lists referrers.

A line begins with ✓ if all is well, with - if it is only good to know, with ! if
ocifs works, though not as well as it could, and with ✗ if something doesn't work
that is needed; then the exit code says what. Secrets are never shown.`,
		UsageText: `
$ ocifs doctor
$ ocifs doctor docker.io/library/alpine`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: talk(doctor),
	}
}

// A check is one thing that was looked at.
type check struct {
	Group  string  `json:"group"`
	Server string  `json:"server,omitempty"` // whom it is about, of several
	Name   string  `json:"name"`
	State  verdict `json:"state"`
	Text   string  `json:"text"`
	Hint   string  `json:"hint,omitempty"`
	part   bool    // of what the check before it is about
	code   int     // what to exit with if it failed
}

// A verdict is how something is.
type verdict string

const (
	checkOK      verdict = "ok"
	checkNote    verdict = "note"    // neither good nor bad
	checkWarning verdict = "warning" // it works, though not as it should
	checkFailed  verdict = "failed"  // it is needed and does not work
)

// sign is what stands before a line.
func (v verdict) sign() string {
	switch v {
	case checkOK:
		return "✓"
	case checkWarning:
		return "!"
	case checkFailed:
		return "✗"
	}
	return "-"
}

// failedCheck is a check that an error came of.
func failedCheck(ctx context.Context, group, name string, err error) check {
	c := check{Group: group, Name: name, State: checkFailed, Text: err.Error(), code: exitCode(ctx, err)}
	if hints := hintsOf(err); len(hints) > 0 {
		c.Hint = hints[0]
	}
	return c
}

func doctor(ctx context.Context, u *ui, cc *cli.Context) error {
	var checks []check
	tell := func(group string, patience time.Duration, f func() []check) {
		for _, c := range inTime(ctx, group, patience, f) {
			checks = append(checks, c)
			if !cc.Bool("json") {
				u.check(c, len(checks) == 1 || checks[len(checks)-2].Group != c.Group)
			}
		}
		u.out.Flush()
	}
	tell("FUSE", localPatience, func() []check { return fuseChecks(ctx) })
	tell("kernel", localPatience, kernelChecks)
	tell("cache", localPatience, func() []check { return cacheChecks(ctx, cc) })
	tell("configuration", localPatience, func() []check { return configChecks(ctx, cc) })
	if ref := cc.Args().First(); ref != "" && ctx.Err() == nil {
		s, err := imageSpecOf(cc, ref)
		if err != nil {
			return err
		}
		tell(s.Ref, imagePatience, func() []check { return imageChecks(ctx, u, s) })
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if cc.Bool("json") {
		if err := u.json(diagnosisOf(checks)); err != nil {
			return err
		}
	}
	if code := diagnosisOf(checks).code; code != exitOK {
		return reported(code)
	}
	return nil
}

// How long a group of checks may take. What is on this machine answers at
// once, or hangs, as a dead network file system does; each server has some
// twenty seconds, and credential helpers may ask somebody.
const (
	localPatience = 10 * time.Second
	imagePatience = 3 * time.Minute
)

// inTime gives checks up that do not come to an end. What does them is left
// behind, to end with the process.
func inTime(ctx context.Context, group string, patience time.Duration, f func() []check) []check {
	done := make(chan []check, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case checks := <-done:
		return checks
	case <-ctx.Done():
		return nil
	case <-timer.C:
		return []check{failedCheck(ctx, group, "in time", errors.New("no answer after "+patience.String()))}
	}
}

// A diagnosis is all checks, for JSON.
type diagnosis struct {
	Schema string  `json:"schema"`
	OK     bool    `json:"ok"` // nothing that is needed failed
	Checks []check `json:"checks"`
	code   int
}

func diagnosisOf(checks []check) diagnosis {
	d := diagnosis{Schema: "ocifs.dev/doctor/v1", Checks: checks}
	for _, c := range checks {
		if c.State == checkFailed && d.code == exitOK {
			d.code = c.code
		}
	}
	d.OK = d.code == exitOK
	return d
}

// Columns of a line: the check's name, and what follows it.
const checkName = 18

// check prints a line, and the group's name before the first of a group.
func (u *ui) check(c check, first bool) {
	if first {
		fmt.Fprintln(u.out, printable(c.Group))
	}
	name := c.Name
	if c.part {
		name = "  " + name
	}
	fmt.Fprintf(u.out, "  %s %-*s %s\n", c.State.sign(), checkName, printable(name), printable(c.Text))
	if c.Hint != "" {
		fmt.Fprintf(u.out, "%s(%s)\n", strings.Repeat(" ", checkName+5), printable(c.Hint))
	}
}
