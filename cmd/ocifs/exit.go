package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// The exit codes. Scripts branch on them, so they never change their meaning;
// exitTable says them to the user in every --help.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitAuth        = 4
	exitUnreachable = 5
	exitIntegrity   = 6
	exitMount       = 7
	exitUnsupported = 8
	exitSignal      = 128 // plus the signal's number: 130 for SIGINT
)

// exitTable is what --help says of exit codes.
const exitTable = `    0  it worked
    1  it did not, for none of the reasons below
    2  wrong usage: an unknown command or flag, a missing argument
    3  not found: the image, its tag or platform, a path in it, a mount
    4  access refused: credentials missing or wrong
    5  registry unreachable, or failing, after all retries
    6  integrity: bytes that are not what their digest says, or no valid signature
    7  mount: FUSE missing, or a mountpoint that is absent or busy
    8  unsupported: a media type or a form of image ocifs cannot read
  130  interrupted by Ctrl-C (143: by SIGTERM); a live mount that is ended so: 0
`

// A problem is an error with what the user needs beside its text: the exit
// code, where the error alone does not tell it, and hints.
type problem struct {
	err   error
	code  int // 0: as the wrapped error says
	hints []string
}

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return p.err }

// hint adds hints to err and leaves its exit code alone.
func hint(err error, hints ...string) error {
	return &problem{err: err, hints: hints}
}

// usagef is an error of the command line: exit code 2.
func usagef(format string, a ...any) *problem {
	return &problem{err: fmt.Errorf(format, a...), code: exitUsage}
}

// mountf is an error of a mount or mountpoint: exit code 7.
func mountf(format string, a ...any) *problem {
	return &problem{err: fmt.Errorf(format, a...), code: exitMount}
}

// notFoundf is an error of a name that leads nowhere: exit code 3.
func notFoundf(format string, a ...any) *problem {
	return &problem{err: fmt.Errorf(format, a...), code: exitNotFound}
}

// with returns p with more hints.
func (p *problem) with(hints ...string) *problem {
	return &problem{err: p.err, code: p.code, hints: append(p.hints[:len(p.hints):len(p.hints)], hints...)}
}

// reported stands for errors that have been printed where they happened, as
// cat does for each of several paths; only the exit code is left to tell.
type reported int

func (r reported) Error() string { return fmt.Sprintf("exit code %d", int(r)) }

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ sig syscall.Signal }

func (i interrupted) Error() string {
	if i.sig == syscall.SIGINT {
		return "interrupted"
	}
	return "ended by " + i.sig.String()
}

// interruption is the signal that err is due to: one that ended ctx, or a
// process that worked for us.
func interruption(ctx context.Context, err error) (i interrupted, ok bool) {
	ok = errors.As(context.Cause(ctx), &i) || errors.As(err, &i)
	return i, ok
}

// exitCode maps an error to the exit code of the process. It is the only
// place that does.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	if e := exited(0); errors.As(err, &e) {
		return int(e)
	}
	if i, ok := interruption(ctx, err); ok {
		return exitSignal + int(i.sig)
	}
	if r := reported(0); errors.As(err, &r) {
		return int(r)
	}
	for e := err; ; {
		p := (*problem)(nil)
		if !errors.As(e, &p) {
			break
		}
		if p.code != 0 {
			return p.code
		}
		e = p.err
	}
	return codeOf(err)
}

// report prints err, then its hints, as every error of ocifs looks. It says
// nothing of an error that has been reported, nor of a Ctrl-C beyond one word.
func report(ctx context.Context, w io.Writer, err error) {
	if err == nil || errors.As(err, new(reported)) || errors.As(err, new(exited)) {
		return
	}
	if i, ok := interruption(ctx, err); ok {
		fmt.Fprintf(w, "ocifs: %s\n", i)
		return
	}
	fmt.Fprintf(w, "ocifs: error: %s\n", printable(err.Error()))
	for _, h := range hintsOf(err) {
		fmt.Fprintf(w, "ocifs: hint: %s\n", printable(h))
	}
}

// hintsOf collects the hints along the chain of err, the outermost first,
// and, where nobody gave one, what the error itself suggests.
func hintsOf(err error) []string {
	var hints []string
	for e := err; ; {
		p := (*problem)(nil)
		if !errors.As(e, &p) {
			break
		}
		hints = append(hints, p.hints...)
		e = p.err
	}
	if len(hints) == 0 {
		return advice(err)
	}
	return hints
}
