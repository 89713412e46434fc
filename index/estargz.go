package index

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"

	"ocifs.dev/ocifs/index/internal/inflate"
)

// The footer of an eStargz layer is an empty gzip member that says in its
// extra field where the table of contents lies. The first form is eStargz's,
// the second stargz's of old, the third that of tables stored elsewhere.
var gzipFooters = []struct {
	n    int    // length of the footer: 10 + 2 + the extra field's + 5 + 8
	head string // the extra field's length, and in it a subfield's header
	toc  int    // hexadecimal digits of where the table lies
	text string
}{
	{10 + 2 + 26 + 5 + 8, "\x1a\x00SG\x16\x00", 16, "STARGZ"},
	{10 + 2 + 22 + 5 + 8, "\x16\x00", 16, "STARGZ"},
	{10 + 2 + 21 + 5 + 8, "\x15\x00SG\x11\x00", 0, "STARGZEXTERNALTOC"},
}

// gzipMember begins a gzip member with an extra field and nothing else.
const gzipMember = "\x1f\x8b\x08\x04"

// A stargzFooter is what a footer says; n is its length, 0 if there is none.
type stargzFooter struct {
	n        int64
	toc      int64 // where the table's member begins
	external bool
}

// gzipFooter reads the footer that end ends in, if it does.
func gzipFooter(end []byte) (stargzFooter, error) {
	for _, f := range gzipFooters {
		if len(end) < f.n {
			continue
		}
		b := end[len(end)-f.n:]
		digits := b[10+len(f.head):][:f.toc]
		if !bytes.HasPrefix(b, []byte(gzipMember)) || !bytes.HasPrefix(b[10:], []byte(f.head)) ||
			!bytes.HasPrefix(b[10+len(f.head)+f.toc:], []byte(f.text)) {
			continue
		}
		if f.toc == 0 {
			return stargzFooter{n: int64(f.n), external: true}, nil
		}
		off, err := strconv.ParseUint(string(digits), 16, 63)
		if err != nil {
			return stargzFooter{}, fmt.Errorf("a table of contents at %q", digits)
		}
		return stargzFooter{n: int64(f.n), toc: int64(off)}, nil
	}
	return stargzFooter{}, nil
}

// slack is how much before the table is read with it: mostly all of the
// member before it, which shown may want.
const slack = 256 << 10

// estargz opens the layer with footer f: the table is the archive's last file,
// in a member of its own.
func (o *opener) estargz(f stargzFooter) (*TOC, error) {
	end := o.tail.blob.Size() - f.n
	if f.toc >= end {
		return nil, &FormatError{Format: EStargz, Off: f.toc, Err: errPlace}
	}
	if err := o.h.Limits.table(end - f.toc); err != nil {
		return nil, err
	}
	if f.toc < o.tail.off {
		if _, err := o.tail.from(max(0, f.toc-slack)); err != nil {
			return nil, err
		}
	}
	table, err := o.table(o.tail.b[f.toc-o.tail.off:][:end-f.toc])
	if err != nil {
		return nil, err
	}
	c := newContents(EStargz, &o.h, f.toc)
	if err := c.read(table.json); err != nil {
		return nil, err
	}
	shown, err := o.shown(c, table)
	if err == nil && shown {
		err = c.addTable(table, end)
	}
	if err != nil {
		return nil, err
	}
	return o.toc(c), nil
}

// external opens the layer whose table was given.
func (o *opener) external() (*TOC, error) {
	if err := o.h.Limits.table(int64(len(o.h.TOC))); err != nil {
		return nil, err
	}
	table, err := o.table(o.h.TOC)
	if err != nil {
		return nil, err
	}
	c := newContents(EStargz, &o.h, o.tail.blob.Size())
	if err := c.read(table.json); err != nil {
		return nil, err
	}
	return o.toc(c), nil
}

// tableName is the file that holds the table.
const tableName = "stargz.index.json"

// A table is a table of contents as an archive's file.
type table struct {
	header *tar.Header
	head   []byte // the blocks that tell the header
	json   []byte
	behind []byte // what follows it in its member
}

// table decodes the member that holds the table and checks its digest.
func (o *opener) table(member []byte) (*table, error) {
	limit := o.h.Limits.TOC + 1<<20 // for headers and padding
	b, err := gunzipAll(member, limit)
	if err != nil {
		return nil, err
	}
	if err := o.h.Limits.table(int64(len(b)) - 1<<20); err != nil {
		return nil, err
	}
	r := bytes.NewReader(b)
	h, err := tar.NewReader(r).Next()
	if err != nil {
		return nil, &FormatError{Format: EStargz, Name: tableName, Err: tarError(err)}
	}
	t := &table{header: h, head: b[:len(b)-r.Len()]}
	rest := b[len(t.head):]
	if h.Typeflag != tar.TypeReg || clean(h.Name) != tableName || h.Size > int64(len(rest)) {
		return nil, &FormatError{Format: EStargz, Name: h.Name, Err: errors.New("no table of contents begins here")}
	}
	t.json, t.behind = rest[:h.Size], rest[h.Size:]
	return t, promised(o.promise.json, t.json)
}

// gunzipAll decodes b, which must come to no more than limit bytes.
func gunzipAll(b []byte, limit int64) ([]byte, error) {
	var out bytes.Buffer
	if n := len(b); n > 4 { // the decoded length, if there is one member, and it tells the truth
		out.Grow(int(min(int64(le.Uint32(b[n-4:])), 32*int64(n), limit)) + bytes.MinRead)
	}
	n, err := io.Copy(&out, io.LimitReader(newMember(bytes.NewReader(b), func(string) {}), limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("%w: a table of contents of more than %d bytes", ErrLimit, limit)
	}
	return out.Bytes(), err
}

// newMember decodes gzip members without looking for checkpoints.
func newMember(r io.Reader, warn func(string)) *gunzip {
	d := inflate.NewDecoder(r)
	return &gunzip{d: d, in: d.Input(), warn: warn}
}

// shown is whether one who unpacks the layer finds the table among its files.
// Some writers end the archive before they append the table, and then no
// unpacker looks at what follows. To tell, one must read the headers behind
// the last file's content. Where that takes a request, the length of the
// member they are in may do: if there are as many blocks as entries, there is
// no room for an end.
func (o *opener) shown(c *contents, t *table) (bool, error) {
	toc, last := c.end, c.last
	if length := toc - 4; last.off < o.tail.off && length >= o.tail.off {
		got := int64(le.Uint32(o.tail.b[length-o.tail.off:]))
		if got == last.out+last.pad+blockSize*int64(c.after) {
			return true, nil
		}
	}
	if toc-last.off > o.h.Limits.TOC {
		return false, fmt.Errorf("%w: %d bytes behind the last file", ErrLimit, toc-last.off)
	}
	b, err := o.tail.from(last.off)
	if err != nil {
		return false, err
	}
	var rest io.Reader = bytes.NewReader(nil)
	ended := false // by bytes that are no member
	if toc > last.off {
		rest = newMember(bytes.NewReader(b[:toc-last.off]), func(string) { ended = true })
	}
	if _, err := io.CopyN(io.Discard, rest, last.out+last.pad); err != nil {
		return false, &FormatError{Format: EStargz, Off: last.off, Err: short(err)}
	}
	rest = &capped{rest, o.h.Limits.TOC}
	shown, err := reaches(tar.NewReader(io.MultiReader(rest, bytes.NewReader(t.head))))
	return shown && !ended, err
}

// capped is a reader of so many bytes and no more.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, fmt.Errorf("%w: what lies behind the last file", ErrLimit)
	}
	return n, err
}

// reaches is whether a reader of the archive comes to the table.
func reaches(r *tar.Reader) (bool, error) {
	for {
		switch h, err := r.Next(); {
		case err == io.EOF:
			return false, nil
		case err != nil:
			return false, &FormatError{Format: EStargz, Name: tableName, Err: tarError(err)}
		case clean(h.Name) == tableName:
			return true, nil
		}
	}
}

// tablePart is how the table is cut into chunks, as a file of the layer.
const tablePart = 4 << 20

// addTable adds the table itself to the entries: the archive's last file,
// whose member ends at end. Writers differ in the mode, the owner and the time
// that its header tells; nobody vouches for these, so it may tell of nothing that
// gives rights to who runs it, nor of attributes.
func (c *contents) addTable(t *table, end int64) error {
	h := t.header
	if h.Mode&^0o777 != 0 || h.Name != tableName || len(h.PAXRecords) != 0 || len(bytes.Trim(t.behind, "\x00")) != 0 {
		return fmt.Errorf("%w: it is stored in an unknown way", ErrNoIndex)
	}
	e, err := entry(h, &spaceReader{pos: c.size})
	if err != nil {
		return err
	}
	off := c.end
	c.end = end
	step := min(tablePart, c.limits.Chunk)
	for at := int64(0); at < h.Size; at += step {
		p := t.json[at:min(at+step, h.Size)]
		if err := c.part(off, int64(len(t.head))+at, int64(len(p)), sha256.Sum256(p)); err != nil {
			return err
		}
	}
	return c.emit(e)
}
