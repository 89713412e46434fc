package layertest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

const blockSize = 512

// Tar writes an archive: its members and the two zero blocks that end it.
func Tar(entries ...Entry) []byte {
	return append(Members(entries...), make([]byte, 2*blockSize)...)
}

// Members writes an archive without its end, to be followed by more.
func Members(entries ...Entry) []byte {
	var b bytes.Buffer
	for i := range entries {
		entries[i].write(&b)
	}
	return b.Bytes()
}

func (e *Entry) write(b *bytes.Buffer) {
	if e.raw != nil {
		b.Write(e.raw)
		return
	}
	h := *e
	h.records = append([]Record{}, e.records...)
	if e.sparse != nil {
		e.sparse.encode(&h)
	}
	if h.size < 0 {
		h.size = int64(len(h.body))
	}
	header := h.header(b)
	for _, edit := range h.patches {
		edit(header)
	}
	checksum(header)
	b.Write(header)
	if e.sparse != nil {
		b.Write(e.sparse.extension(e.sparse.format))
	}
	writePadded(b, h.body)
}

// header makes the entry's header block, and writes to b what must go before
// it: a PAX header, or GNU's long names.
func (e *Entry) header(b *bytes.Buffer) []byte {
	h := make([]byte, blockSize)
	h[156] = e.typeflag
	copy(h[257:], "ustar\x0000")
	if e.format == tar.FormatGNU {
		copy(h[257:], "ustar  \x00")
	}
	e.text(b, h, h[0:100], e.name, "path", 'L')
	e.text(b, h, h[157:257], e.link, "linkpath", 'K')
	e.number(h[100:108], "", e.mode)
	e.number(h[108:116], "uid", e.uid)
	e.number(h[116:124], "gid", e.gid)
	e.number(h[124:136], "size", e.size)
	e.number(h[136:148], "mtime", e.modTime.Unix())
	e.number(h[329:337], "", e.major)
	e.number(h[337:345], "", e.minor)
	e.fraction()
	if len(e.records) > 0 {
		writeExtension(b, 'x', "PaxHeaders.0/"+path.Base(e.name), paxBody(e.records))
	}
	return h
}

// text puts s into the header field, or where the format wants what is too
// long for it.
func (e *Entry) text(b *bytes.Buffer, h, field []byte, s, key string, gnu byte) {
	copy(field, s)
	if len(s) <= len(field) {
		return
	}
	if prefix, rest, ok := splitName(s); ok && key == "path" && e.format != tar.FormatGNU {
		clear(field)
		copy(field, rest)
		copy(h[345:500], prefix)
		return
	}
	switch e.format {
	case tar.FormatPAX:
		e.records = append(e.records, Record{key, s})
	case tar.FormatGNU:
		writeExtension(b, gnu, "././@LongLink", append([]byte(s), 0))
	default:
		panic(fmt.Sprintf("layertest: %s of %d bytes does not fit ustar", key, len(s)))
	}
}

// splitName cuts a path at a slash into ustar's prefix and name.
func splitName(s string) (prefix, rest string, ok bool) {
	if len(s) > 155+1+100 {
		return "", "", false
	}
	i := strings.LastIndexByte(s[:min(len(s)-1, 156)], '/')
	if i <= 0 || len(s)-i-1 > 100 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// number puts v into the header field in octal, or, where it does not fit, as
// the format has it. With no key, PAX has no record for it and borrows GNU's
// base-256.
func (e *Entry) number(field []byte, key string, v int64) {
	octal := strconv.FormatInt(v, 8)
	switch {
	case v >= 0 && len(octal) < len(field):
		copy(field, strings.Repeat("0", len(field)-1-len(octal))+octal)
	case e.format == tar.FormatPAX && key != "":
		copy(field, strings.Repeat("0", len(field)-1))
		if key != "mtime" || e.modTime.Nanosecond() == 0 {
			e.records = append(e.records, Record{key, strconv.FormatInt(v, 10)})
		}
	case e.format == tar.FormatUSTAR:
		panic(fmt.Sprintf("layertest: %d does not fit ustar", v))
	default:
		base256(field, v)
	}
}

func (e *Entry) fraction() {
	if e.format == tar.FormatPAX && e.modTime.Nanosecond() != 0 {
		e.records = append(e.records, Record{"mtime", paxTime(e.modTime)})
	}
}

func base256(field []byte, v int64) {
	for i := len(field) - 1; i >= 0; i-- {
		field[i] = byte(v)
		v >>= 8
	}
	field[0] |= 0x80
}

// paxTime writes seconds and their fraction as one signed decimal number.
func paxTime(t time.Time) string {
	sec, nsec, sign := t.Unix(), int64(t.Nanosecond()), ""
	if sec < 0 {
		sec, nsec, sign = -(sec + 1), int64(time.Second)-nsec, "-"
	}
	return strings.TrimRight(fmt.Sprintf("%s%d.%09d", sign, sec, nsec), "0")
}

// paxBody writes records as "LENGTH KEY=VALUE\n", the length counting itself.
func paxBody(records []Record) []byte {
	var b []byte
	for _, r := range records {
		rest := len(r.Key) + len(r.Value) + len(" =\n")
		n := rest + len(strconv.Itoa(rest))
		if len(strconv.Itoa(n)) > len(strconv.Itoa(rest)) {
			n = rest + len(strconv.Itoa(n))
		}
		b = fmt.Appendf(b, "%d %s=%s\n", n, r.Key, r.Value)
	}
	return b
}

func writeExtension(b *bytes.Buffer, typeflag byte, name string, body []byte) {
	e := newEntry(name[:min(len(name), 100)], typeflag, 0, []Option{ModTime(time.Unix(0, 0))})
	e.body = body
	e.write(b)
}

func checksum(h []byte) {
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

func writePadded(b *bytes.Buffer, p []byte) {
	b.Write(p)
	b.Write(make([]byte, padding(len(p))))
}

func padding(n int) int { return -n & (blockSize - 1) }
