package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names in an image are bytes chosen by strangers: they may hold newlines,
// terminal escapes, or no text at all. Wherever a human or a table's columns
// would suffer, they are shown through quote; only plain lists into pipes and
// file contents pass as they are.

// quote returns a name as it can be shown on a terminal or in a table: itself
// if it is plain printable text, else in the shell's $'…' form, which names
// the same bytes when pasted into bash or zsh.
func quote(name string) string {
	if plain(name) {
		return name
	}
	var b strings.Builder
	b.WriteString("$'")
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		b.WriteString(escaped(r, n, name[i]))
		i += n
	}
	b.WriteByte('\'')
	return b.String()
}

// quoteOn is a name that is all of a line, as u shows it: quoted on a
// terminal, and byte for byte in a pipe.
func quoteOn(u *ui, name string) string {
	if u.tty {
		return quote(name)
	}
	return name
}

// plain reports whether name needs no quotes: not empty, printable UTF-8,
// without blanks at its ends, and not to be taken for a quoted name.
func plain(name string) bool {
	if name == "" || strings.HasPrefix(name, "$'") || strings.TrimSpace(name) != name || !utf8.ValidString(name) {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// escaped is one character inside $'…'; first is its first byte, all there
// is of it if it is not UTF-8.
func escaped(r rune, size int, first byte) string {
	switch {
	case r == utf8.RuneError && size == 1:
		return fmt.Sprintf(`\x%02x`, first)
	case r == '\n':
		return `\n`
	case r == '\t':
		return `\t`
	case r == '\r':
		return `\r`
	case r == '\'' || r == '\\':
		return `\` + string(r)
	case unicode.IsPrint(r):
		return string(r)
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// printable makes a message safe to print as one line: it keeps printable
// text as it is and escapes the rest. Messages quote what came from outside
// already; this is for what slips through.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.IsPrint(r) && !(r == utf8.RuneError && n == 1) {
			b.WriteRune(r)
		} else {
			b.WriteString(escaped(r, n, s[i]))
		}
		i += n
	}
	return b.String()
}
