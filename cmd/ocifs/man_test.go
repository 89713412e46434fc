package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestManPages has a page for each command, with an example, and asks mandoc,
// where it is installed, what it thinks of them.
func TestManPages(t *testing.T) {
	w := newWorld(t)
	w.ok("man", "--dir", w.in("man"))
	w.ok("man", "--dir", w.in("man")) // over those that are there
	written, err := filepath.Glob(w.in("man/man[18]/*"))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(path []*cli.Command)
	n := 2 // ocifs and mount.ocifs
	walk = func(path []*cli.Command) {
		n++
		c := path[len(path)-1]
		b, err := os.ReadFile(w.in("man/man1/" + pageName(path) + ".1"))
		if err != nil {
			t.Error(err)
		}
		wants := []string{".SH \"EXIT STATUS\"\n", ".SH \"SEE ALSO\"\n", "\\fB" + roffed(commandName(path)) + "\\fR "}
		if len(c.Subcommands) == 0 {
			wants = append(wants, ".SH \"EXAMPLES\"\n.nf\n  $ ", ".SH \"OPTIONS\"\n")
		}
		for _, want := range wants {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s has no %q:\n%s", pageName(path), want, b)
			}
		}
		for _, s := range visible(c.Subcommands) {
			walk(append(path[:len(path):len(path)], s))
		}
	}
	for _, c := range visible(newApp().Commands) {
		walk([]*cli.Command{c})
	}
	if len(written) != n {
		t.Errorf("%d pages, want %d: %q", len(written), n, written)
	}
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("no mandoc here")
	}
	out, _ := exec.Command(mandoc, append([]string{"-Tlint", "-Wwarning"}, written...)...).CombinedOutput()
	for l := range strings.Lines(string(out)) {
		if !strings.Contains(l, "missing date") { // of a build without a commit
			t.Error(l)
		}
	}
}

// TestMan prints pages by the ways to name one.
func TestMan(t *testing.T) {
	w := newWorld(t)
	for args, title := range map[string]string{
		"": "OCIFS", "mount": "OCIFS-MOUNT", "ocifs-mount": "OCIFS-MOUNT", "index build": "OCIFS-INDEX-BUILD", "mount.ocifs": "MOUNT.OCIFS",
	} {
		out := w.ok(append([]string{"man"}, strings.Fields(args)...)...)
		if !strings.HasPrefix(out, `.TH "`+roffed(title)+`" "`) {
			t.Errorf("%s: %.80s", args, out)
		}
	}
	w.fails(exitNotFound, "there is no page about moutn", "man", "moutn")
	w.fails(exitUsage, "--dir writes all pages", "man", "--dir", w.in("x"), "mount")
}

func TestRoff(t *testing.T) {
	var r roff
	r.section(`"A" section`)
	r.prose(".begins with a dot\n\n'and with a quote, \\n\n  verbatim -x\n    more\n\nthe end")
	want := `.SH "\(dqA\(dq section"
\&.begins with a dot
.PP
\(aqand with a quote, \en
.PP
.nf
  verbatim \-x
    more
.fi
.PP
the end
`
	if got := r.b.String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
