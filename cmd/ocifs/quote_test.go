package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestPinned names no digest twice.
func TestPinned(t *testing.T) {
	d := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	for ref, want := range map[string]string{
		"h/r:t":                                 "h/r:t@sha256:0123456789ab",
		"h/r@" + d:                              "h/r@" + d,
		"h/r@sha256:" + strings.Repeat("f", 64): "h/r@sha256:" + strings.Repeat("f", 64) + "@sha256:0123456789ab",
	} {
		if got := pinned(ref, d); got != want {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain":              "plain",
		"with space":         "with space",
		"日本":                 "日本",
		"it's":               "it's",
		`back\slash`:         `back\slash`,
		"":                   `$''`,
		" edge":              `$' edge'`,
		"edge ":              `$'edge '`,
		"a\nb":               `$'a\nb'`,
		"tab\there's":        `$'tab\there\'s'`,
		`b\` + "\r":          `$'b\\\r'`,
		"\x1b[31mred":        `$'\x1b[31mred'`,
		"\x7f":               `$'\x7f'`,
		"\xff\xfe":           `$'\xff\xfe'`,
		"gpj.\u202eexe":      `$'gpj.\u202eexe'`,
		"zero\u200bwidth":    `$'zero\u200bwidth'`,
		"\U000e0001":         `$'\U000e0001'`,
		"$'x'":               `$'$\'x\''`,
		"c1\u009b31m":        `$'c1\u009b31m'`,
		"half \xe6\x97 rune": `$'half \xe6\x97 rune'`,
	} {
		if got := quote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// FuzzQuote holds that what is shown is harmless, and that a shell makes the
// same bytes of it.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "x", "a\nb", "\xff", "$'", "\x1b]0;title\x07", "\u202e", "a'\\"} {
		f.Add(s)
	}
	bash, _ := exec.LookPath("bash")
	f.Fuzz(func(t *testing.T, s string) {
		q := quote(s)
		if !utf8.ValidString(q) {
			t.Fatalf("%q: %q is not UTF-8", s, q)
		}
		for _, r := range q {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q: %q holds %q", s, q, r)
			}
		}
		if p := printable(s); !utf8.ValidString(p) || bytes.ContainsAny([]byte(p), "\n\x1b") {
			t.Fatalf("printable(%q) = %q", s, p)
		}
		if bash == "" || q == s || bytes.IndexByte([]byte(s), 0) >= 0 {
			return
		}
		cmd := exec.Command(bash, "-c", "printf %s "+q)
		cmd.Env = []string{"LC_ALL=C.UTF-8"}
		if out, err := cmd.Output(); err != nil || string(out) != s {
			t.Fatalf("%q: bash makes %q of %s (%v)", s, out, q, err)
		}
	})
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"as it is: “x”":  "as it is: “x”",
		"a\nocifs: b":    `a\nocifs: b`,
		"\x1b[2J":        `\x1b[2J`,
		"bad \xff bytes": `bad \xff bytes`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestForJSON(t *testing.T) {
	for in, want := range map[string][2]string{
		"plain\n": {"plain\n", ""},
		"a\xffb":  {"a\uFFFDb", "Yf9i"},
	} {
		if text, b64 := forJSON(in); text != want[0] || b64 != want[1] {
			t.Errorf("%q: got %q, %q", in, text, b64)
		}
	}
}
