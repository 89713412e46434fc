package export

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// tarBlock is the unit of an archive: a header is one, contents are padded to
// them.
const tarBlock = 512

// Fields of a ustar header (POSIX.1-2017, pax, "ustar Interchange Format"):
// where each begins, and how long it is.
var (
	fieldName   = field{0, 100}
	fieldMode   = field{100, 8}
	fieldUID    = field{108, 8}
	fieldGID    = field{116, 8}
	fieldSize   = field{124, 12}
	fieldTime   = field{136, 12}
	fieldSum    = field{148, 8}
	fieldType   = field{156, 1}
	fieldLink   = field{157, 100}
	fieldMagic  = field{257, 8}
	fieldMajor  = field{329, 8}
	fieldMinor  = field{337, 8}
	fieldPrefix = field{345, 155}
)

type field struct{ off, len int }

func (f field) text(b []byte, s string) { copy(b[f.off:f.off+f.len], s) }

// number writes v in octal, if it fits.
func (f field) number(b []byte, v int64) bool {
	s := strconv.FormatInt(v, 8)
	if v < 0 || len(s) > f.len-1 {
		f.number(b, 0)
		return false
	}
	f.text(b, strings.Repeat("0", f.len-1-len(s))+s)
	return true
}

// Type flags.
const (
	typeFile    = '0'
	typeLink    = '1'
	typeSymlink = '2'
	typeChar    = '3'
	typeBlock   = '4'
	typeDir     = '5'
	typeFIFO    = '6'
	typePAX     = 'x'
)

// A header is what is written of a member before its content.
type header struct {
	name    string // ends in a slash for a directory
	kind    byte
	link    string
	attr    tree.Attr
	size    int64 // of what follows
	records []record
}

// A record is one of a pax header's.
type record struct{ key, value string }

// append appends h, a pax header before it if it takes one, to b.
func (h *header) append(b []byte) []byte {
	block := make([]byte, tarBlock)
	pax := h.fill(block)
	slices.SortFunc(pax, func(a, b record) int { return strings.Compare(a.key, b.key) })
	if len(pax) > 0 {
		var body []byte
		for _, r := range pax {
			body = r.append(body)
		}
		dir, base := path.Split(strings.TrimSuffix(h.name, "/"))
		ext := header{name: dir + "PaxHeaders.0/" + base, kind: typePAX, size: int64(len(body)), attr: tree.Attr{Mode: 0o644}}
		extBlock := make([]byte, tarBlock)
		ext.fill(extBlock) // a name that doesn't fit is cut: nobody looks at it
		b = append(append(b, sealed(extBlock)...), body...)
		b = append(b, make([]byte, padding(int64(len(body))))...)
	}
	return append(b, sealed(block)...)
}

// fill writes h's fields into block, and returns records for what doesn't fit.
func (h *header) fill(block []byte) []record {
	pax := slices.Clone(h.records)
	add := func(key, value string) { pax = append(pax, record{key, value}) }
	if !putName(block, h.name) {
		add("path", h.name)
	}
	if fieldLink.text(block, h.link); len(h.link) > fieldLink.len {
		add("linkpath", h.link)
	}
	if slices.ContainsFunc(pax, func(r record) bool { return isName[r.key] && !utf8.ValidString(r.value) }) {
		add("hdrcharset", "BINARY") // else they are taken for UTF-8
	}
	number := func(f field, v int64, key string) {
		if !f.number(block, v) {
			add(key, strconv.FormatInt(v, 10))
		}
	}
	fieldMode.number(block, int64(h.attr.Mode&index.ModePerm))
	number(fieldUID, int64(h.attr.UID), "uid")
	number(fieldGID, int64(h.attr.GID), "gid")
	number(fieldSize, h.size, "size")
	if !fieldTime.number(block, h.attr.Sec) || h.attr.Nsec != 0 {
		add("mtime", seconds(h.attr.Sec, h.attr.Nsec))
	}
	if h.kind == typeChar || h.kind == typeBlock { // at most 20 bits, which fit
		fieldMajor.number(block, int64(h.attr.Major))
		fieldMinor.number(block, int64(h.attr.Minor))
	} else {
		fieldMajor.number(block, 0)
		fieldMinor.number(block, 0)
	}
	fieldType.text(block, string(rune(h.kind)))
	fieldMagic.text(block, "ustar\x0000")
	return pax
}

// isName has the keys of records that are names.
var isName = map[string]bool{"path": true, "linkpath": true, "GNU.sparse.name": true}

// putName writes a name, perhaps in two parts, and says whether it fits. Its
// bytes are written as they are: a pax record would have them be UTF-8, and
// libarchive compose the letters.
func putName(block []byte, name string) bool {
	if len(name) <= fieldName.len {
		fieldName.text(block, name)
		return true
	}
	for i := min(len(name)-2, fieldPrefix.len); i > 0 && len(name)-i-1 <= fieldName.len; i-- {
		if name[i] == '/' {
			fieldPrefix.text(block, name[:i])
			fieldName.text(block, name[i+1:])
			return true
		}
	}
	fieldName.text(block, name)
	return false
}

// sealed is block with its checksum.
func sealed(block []byte) []byte {
	fieldSum.text(block, "        ")
	sum := 0
	for _, c := range block {
		sum += int(c)
	}
	fieldSum.text(block, fmt.Sprintf("%06o\x00 ", sum))
	return block
}

// append appends "LENGTH KEY=VALUE\n", the length being that of all of it.
func (r record) append(b []byte) []byte {
	rest := len(" =\n") + len(r.key) + len(r.value)
	n := rest + len(strconv.Itoa(rest))
	if len(strconv.Itoa(n)) > len(strconv.Itoa(rest)) {
		n++
	}
	return fmt.Appendf(b, "%d %s=%s\n", n, r.key, r.value)
}

// seconds is a time as pax has it, a decimal number; nsec counts forwards also
// before 1970.
func seconds(sec int64, nsec uint32) string {
	sign, frac := "", nsec
	if sec < 0 {
		sign, sec = "-", -max(sec, -math.MaxInt64)
		if nsec > 0 {
			sec, frac = sec-1, 1e9-nsec
		}
	}
	s := fmt.Sprintf("%s%d", sign, sec)
	if frac > 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%09d", frac), "0")
	}
	return s
}

// padding is how many zeros follow n bytes.
func padding(n int64) int64 { return -n & (tarBlock - 1) }

// xattrRecords are the records of extended attributes. A name with a "=" in it
// can't be part of a key as it is; libarchive's form has a way.
func xattrRecords(list []index.Xattr) (records []record) {
	for _, x := range list {
		if strings.Contains(x.Name, "=") {
			records = append(records, record{
				"LIBARCHIVE.xattr." + strings.ReplaceAll(url.PathEscape(x.Name), "=", "%3D"), base64.StdEncoding.EncodeToString([]byte(x.Value)),
			})
			continue
		}
		records = append(records, record{"SCHILY.xattr." + x.Name, x.Value})
	}
	return records
}
