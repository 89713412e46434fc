package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// jsonFlag is --json, which most commands have.
func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON"}
}

// json prints a document. Every one has a field "schema" that names its
// version; sizes are bytes, times RFC 3339.
func (u *ui) json(v any) error {
	e := json.NewEncoder(jsonWriter{u.out})
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// A jsonWriter writes JSON that is harmless on a terminal: what it is given
// whole, with those characters escaped that package json lets through and a
// terminal may obey (DEL, C1 controls) or that show text as something else
// (bidirectional controls, blanks without width). Outside of strings JSON has
// none of these.
type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(b []byte) (int, error) {
	if _, err := j.w.Write(harmless(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// harmless is JSON with all that isn't printable as \u escapes, but for
// newlines and tabs, which strings don't have.
func harmless(b []byte) []byte {
	odd := func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }
	if bytes.IndexFunc(b, odd) < 0 && utf8.Valid(b) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch hi, lo := utf16.EncodeRune(r); {
		case !odd(r):
			out = utf8.AppendRune(out, r)
		case r < 0x10000:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		}
		b = b[n:]
	}
	return out
}
