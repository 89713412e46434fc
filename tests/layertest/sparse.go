package layertest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"path"
	"strconv"
)

// A SparseFormat is one of the ways in which archives tell a file with holes.
type SparseFormat int

// The sparse formats. GNU tar writes all of them; archive/tar reads all of
// them and writes none.
const (
	OldGNU    SparseFormat = iota // type 'S', the map in the header and blocks behind it
	SparseV0                      // PAX 0.0: a pair of records per extent
	SparseV01                     // PAX 0.1: the map in one record
	SparseV1                      // PAX 1.0: the map in front of the content
)

// String names the format.
func (f SparseFormat) String() string {
	return [...]string{"old GNU", "PAX 0.0", "PAX 0.1", "PAX 1.0"}[f]
}

// A Run is data somewhere in a sparse file; around runs are holes.
type Run struct {
	Off  int64
	Data string
}

type sparse struct {
	format SparseFormat
	size   int64
	runs   []Run
}

// Sparse is a regular file of size bytes that are zero but for the runs.
func Sparse(f SparseFormat, name string, size int64, runs []Run, options ...Option) Entry {
	e := newEntry(name, tar.TypeReg, 0o644, options)
	e.sparse = &sparse{f, size, runs}
	return e
}

// Content is what reads of a sparse file of size bytes with these runs give.
func Content(size int64, runs []Run) string {
	b := make([]byte, size)
	for _, r := range runs {
		copy(b[r.Off:], r.Data)
	}
	return string(b)
}

// encode turns a plain entry into a sparse one.
func (s *sparse) encode(e *Entry) {
	var data bytes.Buffer
	for _, r := range s.runs {
		data.WriteString(r.Data)
	}
	add := func(key string, value any) {
		e.records = append(e.records, Record{"GNU.sparse." + key, fmt.Sprint(value)})
	}
	switch s.format {
	case OldGNU:
		e.oldGNU(s)
	case SparseV0:
		add("size", s.size)
		add("numblocks", len(s.runs))
		for _, r := range s.runs {
			add("offset", r.Off)
			add("numbytes", len(r.Data))
		}
	case SparseV01:
		add("name", e.name)
		add("size", s.size)
		add("numblocks", len(s.runs))
		add("map", s.list(","))
		e.hideName()
	case SparseV1:
		add("major", 1)
		add("minor", 0)
		add("name", e.name)
		add("realsize", s.size)
		e.body = fmt.Appendf(nil, "%d\n%s", len(s.runs), s.list("\n"))
		if len(s.runs) > 0 {
			e.body = append(e.body, '\n')
		}
		e.body = append(e.body, make([]byte, padding(len(e.body)))...)
		e.hideName()
	}
	e.body = append(e.body, data.Bytes()...)
}

// hideName gives the header the name that GNU tar gives it, for programs that
// do not know of sparse files.
func (e *Entry) hideName() {
	e.name = path.Dir(e.name) + "/GNUSparseFile.0/" + path.Base(e.name)
}

func (s *sparse) list(separator string) string {
	var b []byte
	for i, r := range s.runs {
		if i > 0 {
			b = append(b, separator...)
		}
		b = strconv.AppendInt(b, r.Off, 10)
		b = append(b, separator...)
		b = strconv.AppendInt(b, int64(len(r.Data)), 10)
	}
	return string(b)
}

// In the old format a header holds 4 extents, a block behind it 21 more.
const (
	headerExtents    = 4
	extensionExtents = 21
	extentSize       = 12 + 12 // offset and length, in octal
)

func (e *Entry) oldGNU(s *sparse) {
	e.format = tar.FormatGNU
	e.typeflag = tar.TypeGNUSparse
	fill := func(h []byte) {
		e.extents(h[386:], s.runs[:min(len(s.runs), headerExtents)])
		if len(s.runs) > headerExtents {
			h[482] = 1
		}
		e.number(h[483:495], "", s.size)
	}
	e.patches = append([]func([]byte){fill}, e.patches...)
}

func (e *Entry) extents(b []byte, runs []Run) {
	for i, r := range runs {
		at := b[i*extentSize:]
		e.number(at[0:12], "", r.Off)
		e.number(at[12:24], "", int64(len(r.Data)))
	}
}

// extension is the blocks between an old GNU header and the content.
func (s *sparse) extension(f SparseFormat) []byte {
	if f != OldGNU || len(s.runs) <= headerExtents {
		return nil
	}
	var out []byte
	e := Entry{format: tar.FormatGNU}
	for runs := s.runs[headerExtents:]; len(runs) > 0; {
		n := min(len(runs), extensionExtents)
		block := make([]byte, blockSize)
		e.extents(block, runs[:n])
		if runs = runs[n:]; len(runs) > 0 {
			block[extensionExtents*extentSize] = 1
		}
		out = append(out, block...)
	}
	return out
}
