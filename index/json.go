package index

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// A jsonReader reads one JSON text (RFC 8259), value by value, in the order in
// which they stand. A table of contents of 40,000 entries is some 15 MB of
// JSON that somebody waits for; package encoding/json takes five times as
// long to turn it into structs, and lets a key stand for another that differs
// in case, or be given twice. After the first error, which err keeps,
// everything reads as nothing.
type jsonReader struct {
	b     []byte
	i     int // of the next byte
	depth int
	err   error
}

var errJSON = errors.New("not JSON")

// jsonDepth is how deep values may nest; a table of contents needs four.
const jsonDepth = 32

func (j *jsonReader) fail(err error) {
	if j.err == nil {
		j.err = err
	}
}

// next is the next byte that isn't space, or 0 at the end and after an error.
func (j *jsonReader) next() byte {
	for j.err == nil && j.i < len(j.b) {
		switch c := j.b[j.i]; c {
		case ' ', '\t', '\r', '\n':
			j.i++
		default:
			return c
		}
	}
	return 0
}

// take is whether c comes next; then it is behind j.
func (j *jsonReader) take(c byte) bool {
	if j.next() != c {
		return false
	}
	j.i++
	return true
}

func (j *jsonReader) want(c byte) {
	if !j.take(c) {
		j.fail(errJSON)
	}
}

// end says that there is nothing more.
func (j *jsonReader) end() {
	if j.next() != 0 || j.i < len(j.b) {
		j.fail(errJSON)
	}
}

// list reads what stands between open and close, commas between them.
func (j *jsonReader) list(open, close byte, item func()) {
	j.want(open)
	if j.depth++; j.depth > jsonDepth {
		j.fail(errors.New("JSON nested too deep"))
	}
	if j.next() != close {
		item()
		for j.take(',') {
			item()
		}
	}
	j.want(close)
	j.depth--
}

// array reads an array; item reads each of its values.
func (j *jsonReader) array(item func()) { j.list('[', ']', item) }

// object reads an object; value reads the value of each key, which is valid
// until then.
func (j *jsonReader) object(value func(key []byte)) {
	j.list('{', '}', func() {
		key := j.string()
		j.want(':')
		if j.err == nil {
			value(key)
		}
	})
}

// null is whether there is no value here but null; then it is behind j.
func (j *jsonReader) null() bool { return j.next() == 'n' && j.word("null") }

func (j *jsonReader) word(w string) bool {
	if rest := j.b[j.i:]; len(rest) < len(w) || string(rest[:len(w)]) != w {
		j.fail(errJSON)
		return false
	}
	j.i += len(w)
	return true
}

// string reads a string. It may be part of b. What is not UTF-8, or half of a
// surrogate pair, has become U+FFFD, as with every JSON library.
func (j *jsonReader) string() []byte {
	j.want('"')
	if j.err != nil {
		return nil
	}
	start := j.i
	for ; j.i < len(j.b); j.i++ {
		switch c := j.b[j.i]; {
		case c == '"':
			s := j.b[start:j.i]
			j.i++
			return valid(s)
		case c == '\\':
			return j.escaped(append([]byte(nil), j.b[start:j.i]...))
		case c < ' ':
			j.fail(errJSON)
			return nil
		}
	}
	j.fail(errJSON)
	return nil
}

// valid is s with a U+FFFD for every byte that isn't UTF-8.
func valid(s []byte) []byte {
	if utf8.Valid(s) {
		return s
	}
	return []byte(string([]rune(string(s))))
}

// escaped reads the rest of a string that begins with s, from its first escape.
func (j *jsonReader) escaped(s []byte) []byte {
	for j.i < len(j.b) {
		c := j.b[j.i]
		j.i++
		switch {
		case c == '"':
			return valid(s)
		case c < ' ':
			j.fail(errJSON)
			return nil
		case c != '\\':
			s = append(s, c)
		default:
			s = j.escape(s)
			if j.err != nil {
				return nil
			}
		}
	}
	j.fail(errJSON)
	return nil
}

// escape reads what follows a backslash, and appends what it means.
func (j *jsonReader) escape(s []byte) []byte {
	if j.i == len(j.b) {
		j.fail(errJSON)
		return nil
	}
	c := j.b[j.i]
	j.i++
	switch c {
	case '"', '\\', '/':
		return append(s, c)
	case 'b':
		return append(s, '\b')
	case 'f':
		return append(s, '\f')
	case 'n':
		return append(s, '\n')
	case 'r':
		return append(s, '\r')
	case 't':
		return append(s, '\t')
	case 'u':
		return utf8.AppendRune(s, j.unicode())
	}
	j.fail(errJSON)
	return nil
}

// unicode reads the four digits of \u, and a second such escape where the two
// are a surrogate pair.
func (j *jsonReader) unicode() rune {
	r, ok := j.hex(j.i)
	if !ok {
		j.fail(errJSON)
		return 0
	}
	j.i += 4
	if r < 0xd800 || r > 0xdfff {
		return r
	}
	if r < 0xdc00 && j.i+2 <= len(j.b) && j.b[j.i] == '\\' && j.b[j.i+1] == 'u' {
		if low, ok := j.hex(j.i + 2); ok && low >= 0xdc00 && low <= 0xdfff {
			j.i += 6
			return (r-0xd800)<<10 | (low - 0xdc00) + 0x10000
		}
	}
	return utf8.RuneError
}

func (j *jsonReader) hex(i int) (rune, bool) {
	if i+4 > len(j.b) {
		return 0, false
	}
	r := rune(0)
	for _, c := range j.b[i : i+4] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// int reads a whole number.
func (j *jsonReader) int() int64 {
	s := j.number()
	v, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil {
		j.fail(fmt.Errorf("%q is no number of 64 bits", s))
		return 0
	}
	return v
}

// number reads a number as it is written.
func (j *jsonReader) number() []byte {
	j.next()
	start := j.i
	j.sign("-")
	if j.i < len(j.b) && j.b[j.i] == '0' {
		j.i++
	} else {
		j.digits()
	}
	if j.i < len(j.b) && j.b[j.i] == '.' {
		j.i++
		j.digits()
	}
	if j.i < len(j.b) && j.b[j.i]|0x20 == 'e' {
		j.i++
		j.sign("+-")
		j.digits()
	}
	return j.b[start:j.i]
}

func (j *jsonReader) sign(which string) {
	for k := range len(which) {
		if j.i < len(j.b) && j.b[j.i] == which[k] {
			j.i++
			return
		}
	}
}

// digits reads digits, at least one.
func (j *jsonReader) digits() {
	start := j.i
	for j.i < len(j.b) && '0' <= j.b[j.i] && j.b[j.i] <= '9' {
		j.i++
	}
	if j.i == start {
		j.fail(errJSON)
	}
}

// skip reads any value at all.
func (j *jsonReader) skip() {
	switch j.next() {
	case '{':
		j.object(func([]byte) { j.skip() })
	case '[':
		j.array(j.skip)
	case '"':
		j.string()
	case 't':
		j.word("true")
	case 'f':
		j.word("false")
	case 'n':
		j.word("null")
	default:
		j.number()
	}
}
