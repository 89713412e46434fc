package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestJSONOnTerminals has documents whose strings a terminal would obey, or
// show as others: they must arrive, but not as they are.
func TestJSONOnTerminals(t *testing.T) {
	for in, want := range map[string]string{
		"plain “text” 日本 & <b>": `"plain “text” 日本 & <b>"`,
		"c1 \u009b31m":          `"c1 \u009b31m"`,
		"gpj.\u202eexe":         `"gpj.\u202eexe"`,
		"del \x7f":              `"del \u007f"`,
		"esc \x1b[2J\n":         `"esc \u001b[2J\n"`,
		"tag \U000e0001":        `"tag \udb40\udc01"`,
		"no\u200bwidth":         `"no\u200bwidth"`,
	} {
		var b bytes.Buffer
		u := &ui{out: bufio.NewWriter(&b)}
		if err := u.json(in); err != nil {
			t.Fatal(err)
		}
		u.out.Flush()
		if got := strings.TrimSpace(b.String()); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	var b bytes.Buffer
	newLog(&b, slog.LevelInfo, "json").Info("m", "path", "\u009b\u202e")
	if !strings.Contains(b.String(), `\u009b\u202e`) {
		t.Errorf("the log says %s", b.String())
	}
}

// FuzzJSON holds that what is printed is printable, and means what was said.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{"", "x", "\u009b", "\u202e", "\x7f", "\U000e0001", "\xff", `\`, "\u2028", "a\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		plain, err := json.MarshalIndent([]string{s}, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		b := harmless(plain)
		if i := bytes.IndexFunc(b, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 || !utf8.Valid(b) {
			t.Fatalf("%q: %q at %d", s, b, i)
		}
		var want, got []string
		if err := json.Unmarshal(plain, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &got); err != nil || got[0] != want[0] {
			t.Fatalf("%q: %q means %q, %v", s, b, got, err)
		}
	})
}
