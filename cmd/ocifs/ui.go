package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// What goes where:
//
//   - results, and help that was asked for, to stdout: plain lines, tables
//     with stable columns, or one JSON document with --json;
//   - errors, hints, warnings, notes and progress to stderr; the first four
//     as "ocifs: error: …", without a capital or a full stop, one line each;
//   - progress only if stderr is a terminal, and never in the way of a line:
//     it is wiped before one is printed;
//   - --quiet leaves results and errors.

// A ui is what a command talks through. Its methods may be called
// concurrently; out may not.
type ui struct {
	out      *bufio.Writer
	err      io.Writer // locked, wipes the progress first
	log      *slog.Logger
	level    slog.Level
	format   string // of the log: text or json
	quiet    bool
	tty      bool // stdout is a terminal: quote names
	width    int  // of that terminal
	color    bool // stdout takes colour
	progress *progress
}

// newUI reads the flags that say how to talk.
func newUI(cc *cli.Context) (*ui, error) {
	u := &ui{
		out:   bufio.NewWriter(os.Stdout),
		quiet: cc.Bool("quiet"),
		tty:   term.IsTerminal(int(os.Stdout.Fd())),
		width: 80,
	}
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
		u.width = w
	}
	show := !u.quiet && !cc.Bool("no-progress") && term.IsTerminal(int(os.Stderr.Fd()))
	u.progress = newProgress(os.Stderr, show)
	u.err = u.progress
	switch c := cc.String("color"); c {
	case "auto":
		u.color = u.tty && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	case "always":
		u.color = true
	case "never":
	default:
		return nil, usagef("--color is auto, always or never, not %q", c)
	}
	if err := u.level.UnmarshalText([]byte(cc.String("log-level"))); err != nil {
		return nil, usagef("--log-level is debug, info, warn or error, not %q", cc.String("log-level"))
	}
	switch u.format = cc.String("log-format"); u.format {
	case "text", "json":
	default:
		return nil, usagef("--log-format is text or json, not %q", u.format)
	}
	u.log = newLog(u.err, u.level, u.format)
	return u, nil
}

// newLog logs to w. The journal has its own clock.
func newLog(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if os.Getenv("JOURNAL_STREAM") != "" {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(jsonWriter{w}, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// talk runs a command's body with a ui, and sees to it that all it printed
// is written, or the error says why not.
func talk(body func(ctx context.Context, u *ui, cc *cli.Context) error) cli.ActionFunc {
	return func(cc *cli.Context) error {
		u, err := newUI(cc)
		if err != nil {
			return err
		}
		err = body(cc.Context, u, cc)
		u.progress.stop()
		if werr := u.flush(); err == nil {
			err = werr
		}
		return err
	}
}

// flush writes what was printed. It fails if any of it could not be written.
func (u *ui) flush() error {
	if err := u.out.Flush(); err != nil {
		return outputError{err}
	}
	return nil
}

// An outputError says that a result could not be written.
type outputError struct{ err error }

func (e outputError) Error() string { return fmt.Sprintf("standard output: %v", e.err) }
func (e outputError) Unwrap() error { return e.err }

// warn tells of something that went wrong without stopping the command.
func (u *ui) warn(format string, a ...any) { u.say("warning: ", format, a...) }

// note tells of something the user may want to know.
func (u *ui) note(format string, a ...any) { u.say("", format, a...) }

func (u *ui) say(prefix, format string, a ...any) {
	if !u.quiet {
		fmt.Fprintf(u.err, "ocifs: %s%s\n", prefix, printable(fmt.Sprintf(format, a...)))
	}
}

// fail prints an error where it happened and goes on; all is what the command
// then returns: the first exit code of its failures.
func (u *ui) fail(ctx context.Context, all *error, err error) {
	if err == nil {
		return
	}
	u.out.Flush()
	report(ctx, u.err, err)
	if *all == nil {
		*all = reported(exitCode(ctx, err))
	}
}

// bytesOf is a size for a human: 41.2 MiB.
func bytesOf(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 999.95 && unit < len("KMGTPE")-1 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTPE"[unit])
}

// shortBytes is a size as "ls -lh" has it, rounded up: 42M.
func shortBytes(n int64) string {
	if n < 1024 {
		return fmt.Sprint(n)
	}
	f, unit := float64(n)/1024, 0
	for f > 1023 && unit < len("KMGTPE")-1 {
		f, unit = f/1024, unit+1
	}
	if f < 10 {
		return fmt.Sprintf("%.1f%c", ceilTo(f, 10), "KMGTPE"[unit])
	}
	return fmt.Sprintf("%.0f%c", ceilTo(f, 1), "KMGTPE"[unit])
}

func ceilTo(f, parts float64) float64 {
	n := float64(int64(f * parts))
	if n < f*parts {
		n++
	}
	return n / parts
}

// shortDigest is a digest cut to what tells it from others: sha256:0123456789ab.
func shortDigest(d string) string {
	alg, hex, ok := strings.Cut(d, ":")
	if !ok || len(hex) <= 12 {
		return d
	}
	return alg + ":" + hex[:12]
}

// pinned names an image and what the name meant: its short digest after it, where
// it isn't named by that already.
func pinned(ref, digest string) string {
	if strings.HasSuffix(ref, "@"+digest) {
		return quote(ref)
	}
	return quote(ref) + "@" + shortDigest(digest)
}

// levelOf is a level by its name, which has been checked.
func levelOf(name string) (l slog.Level) {
	l.UnmarshalText([]byte(name))
	return l
}
