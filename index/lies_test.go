package index_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// relist gives a layer another table of contents, which the manifest vouches
// for as for the one before: edit is given its JSON.
func relist(t testing.TB, p packed, edit func([]byte) []byte) packed {
	t.Helper()
	if p.hints.TOC != nil {
		return relistApart(t, p, edit)
	}
	if at := p.hints.Annotations[noteZstdPosition] + p.hints.Annotations[notePodmanPosition]; at != "" {
		words := strings.Split(at, ":")
		off, _ := strconv.Atoi(words[0])
		n, _ := strconv.Atoi(words[1])
		dec, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer dec.Close()
		b, err := dec.DecodeAll(p.blob[off:off+n], nil)
		if err != nil {
			t.Fatal(err)
		}
		before, toc := bytes.Clone(p.blob[:off-8]), edit(b)
		if p.hints.Annotations[noteZstdPosition] == "" {
			return finish(t, &lt.Chunked{Blob: before}, toc)
		}
		packedTOC := lt.Zstd(toc)
		return newPacked(t, append(before, lt.Skippable(packedTOC)...), map[string]string{
			noteStargz:       digest.FromBytes(toc).String(),
			noteZstdChecksum: digest.FromBytes(packedTOC).String(),
			noteZstdPosition: fmt.Sprintf("%d:%d:%d:1", off, len(packedTOC), len(toc))})
	}
	off, _, err := estargz.OpenFooter(io.NewSectionReader(bytes.NewReader(p.blob), 0, int64(len(p.blob))))
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := build(p.blob[off:len(p.blob)-estargz.FooterSize], index.Options{})
	if err != nil || b.NumEntries() != 1 {
		t.Fatalf("no table of contents: %v", err)
	}
	_, k, _ := build(p.blob[off:len(p.blob)-estargz.FooterSize], index.Options{})
	var toc []byte
	for e := range b.Entries() {
		toc = edit(bytes.Clone(k.data[e.Off : e.Off+e.Size]))
	}
	blob := append(bytes.Clone(p.blob[:off]), tableMember(t, toc)...)
	blob = append(blob, footer(off)...)
	return newPacked(t, blob, map[string]string{noteStargz: digest.FromBytes(toc).String()})
}

// relistApart is relist for a table that isn't in the layer.
func relistApart(t testing.TB, p packed, edit func([]byte) []byte) packed {
	t.Helper()
	list, k, err := build(p.hints.TOC, index.Options{})
	if err != nil || list.NumEntries() != 1 {
		t.Fatalf("no table of contents: %v", err)
	}
	for e := range list.Entries() {
		toc := edit(bytes.Clone(k.data[e.Off : e.Off+e.Size]))
		p = newPacked(t, p.blob, map[string]string{noteStargz: digest.FromBytes(toc).String()})
		p.hints.TOC = tableMember(t, toc)
	}
	return p
}

// tableMember is a table of contents as it is stored in an eStargz layer.
func tableMember(t testing.TB, toc []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "stargz.index.json", Size: int64(len(toc))})
	if err == nil {
		_, err = w.Write(toc)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return lt.Gzip(b.Bytes(), 1)
}

// footer is that of an eStargz layer with its table at off.
func footer(off int64) []byte {
	return estargz.CreateGzipFooter([]byte(fmt.Sprintf("SG\x16\x00%016xSTARGZ", off)))
}

// A listing is a table of contents being edited.
type listing struct {
	t       testing.TB
	entries []map[string]any
}

// edited makes of an edit of a list one of its JSON.
func edited(t testing.TB, edit func(*listing)) func([]byte) []byte {
	return func(b []byte) []byte {
		var toc struct {
			Version int              `json:"version"`
			Entries []map[string]any `json:"entries"`
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&toc); err != nil {
			t.Fatal(err)
		}
		l := &listing{t, toc.Entries}
		edit(l)
		toc.Entries = l.entries
		b, err := json.Marshal(toc)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// at is the index of the first entry of that name and type.
func (l *listing) at(kind, name string) int {
	for i, e := range l.entries {
		if e["name"] == name && e["type"] == kind {
			return i
		}
	}
	l.t.Fatalf("no %s %q in the table", kind, name)
	return 0
}

func (l *listing) file(name string) map[string]any  { return l.entries[l.at("reg", name)] }
func (l *listing) chunk(name string) map[string]any { return l.entries[l.at("chunk", name)] }
func (l *listing) drop(i int)                       { l.entries = append(l.entries[:i:i], l.entries[i+1:]...) }
func (l *listing) add(e map[string]any)             { l.entries = append(l.entries, e) }

// What becomes of a lie.
const (
	isFormat   = "refused"
	isLimit    = "over the limit"
	isNoIndex  = "no index"
	isChunk    = "found when read" // and by Check
	isMismatch = "found by Check"
)

// lies are tables of contents that aren't right, of a layer of the files big,
// 250,000 bytes, and small, a hard link and a directory.
var lies = []struct {
	name string
	edit func(*listing)
	want string
}{
	{"an extra file", func(l *listing) { l.add(map[string]any{"name": "extra", "type": "reg", "mode": 0o644}) }, isMismatch},
	{"an extra device", func(l *listing) { l.add(map[string]any{"name": "null", "type": "char", "devMajor": 1, "devMinor": 3}) }, isMismatch},
	{"a missing file", func(l *listing) { l.drop(l.at("reg", "small")) }, isMismatch},
	{"setuid", func(l *listing) { l.file("small")["mode"] = 0o4755 }, isMismatch},
	{"another owner", func(l *listing) { l.file("small")["uid"] = 1 }, isMismatch},
	{"another time", func(l *listing) { l.file("small")["modtime"] = "2001-01-01T00:00:00Z" }, isMismatch},
	{"another type", func(l *listing) { e := l.entries[l.at("dir", "dir/")]; e["type"], e["linkName"] = "symlink", "/" }, isMismatch},
	{"another link", func(l *listing) { l.entries[l.at("hardlink", "hard")]["linkName"] = "big" }, isMismatch},
	{"an attribute of overlayfs", func(l *listing) {
		l.entries[l.at("dir", "dir/")]["xattrs"] = map[string]string{"trusted.overlay.opaque": "eQ=="}
	}, isMismatch},
	{"a name above the root", func(l *listing) { l.file("small")["name"] = "../../small2" }, isMismatch},
	{"a hard link to itself", func(l *listing) { l.entries[l.at("hardlink", "hard")]["linkName"] = "hard" }, isMismatch},
	{"another file's content", func(l *listing) {
		i := l.at("reg", "small")
		e := map[string]any{}
		for k, v := range l.entries[i] {
			e[k] = v
		}
		l.entries[i]["name"] = "small2"
		e["offset"] = json.Number("0")
		l.entries = append(l.entries[:i:i], l.entries[i:]...)
	}, isMismatch},
	{"zeros", func(l *listing) { // which only Podman's dialect knows
		e := l.chunk("big")
		e["chunkType"] = "zeros"
	}, isFormat},
	{"zeros of other zeros' digest", func(l *listing) {
		e := l.chunk("big")
		e["chunkType"], e["chunkDigest"] = "zeros", digest.FromBytes(make([]byte, 50_000))
	}, isFormat},
	{"zeros where there are none", func(l *listing) {
		e := l.chunk("big")
		e["chunkType"], e["chunkDigest"] = "zeros", digest.FromBytes(make([]byte, 100_000))
	}, isMismatch},

	{"another digest of a chunk", func(l *listing) { l.chunk("big")["chunkDigest"] = digest.FromString("x") }, isChunk},
	{"another digest of a file", func(l *listing) { e := l.file("small"); delete(e, "chunkDigest"); e["digest"] = digest.FromString("x") }, isChunk},
	{"another place", func(l *listing) { e := l.chunk("big"); n, _ := e["offset"].(json.Number).Int64(); e["offset"] = n + 1 }, isChunk},

	{"no digest", func(l *listing) { e := l.file("small"); delete(e, "chunkDigest"); delete(e, "digest") }, isNoIndex},
	{"no digest of a chunk", func(l *listing) { delete(l.chunk("big"), "chunkDigest") }, isNoIndex},
	{"a weak digest", func(l *listing) { e := l.file("small"); e["chunkDigest"] = "md5:0"; e["digest"] = "md5:0" }, isNoIndex},
	{"chunks in another order", func(l *listing) { e := l.file("small"); e["offset"] = 1 }, isNoIndex},

	{"an offset beyond all bounds", func(l *listing) { l.file("small")["offset"] = int64(1 << 62) }, isFormat},
	{"an offset of 65 bits", func(l *listing) { l.file("small")["offset"] = json.Number("18446744073709551616") }, isFormat},
	{"an offset that is no number", func(l *listing) { l.file("small")["offset"] = "1" }, isFormat},
	{"an offset with a fraction", func(l *listing) { l.file("small")["offset"] = json.Number("1.0") }, isFormat},
	{"a negative offset", func(l *listing) { l.file("small")["offset"] = -1 }, isFormat},
	{"a negative inner offset", func(l *listing) { l.file("small")["innerOffset"] = -1 }, isFormat},
	{"a negative size", func(l *listing) { l.file("small")["size"] = -5 }, isFormat},
	{"a negative chunk", func(l *listing) { l.chunk("big")["chunkSize"] = -5 }, isFormat},
	{"a chunk at a negative offset", func(l *listing) { l.chunk("big")["chunkOffset"] = -5 }, isFormat},
	{"chunks that overlap in the file", func(l *listing) { l.chunk("big")["chunkOffset"] = 1 }, isFormat},
	{"chunks that overlap in the blob", func(l *listing) { c := l.chunk("big"); c["offset"] = l.file("big")["offset"] }, isFormat},
	{"a gap between chunks", func(l *listing) { l.chunk("big")["chunkOffset"] = 100_001 }, isFormat},
	{"a missing chunk", func(l *listing) { l.drop(l.at("chunk", "big")) }, isFormat},
	{"a chunk beyond the file", func(l *listing) { l.chunk("big")["chunkSize"] = 249_999 }, isFormat},
	{"a chunk too many", func(l *listing) {
		i := l.at("reg", "small") + 1
		c := map[string]any{"type": "chunk", "name": "small", "chunkOffset": 5, "chunkDigest": digest.FromString("")}
		l.entries = append(l.entries[:i:i], append([]map[string]any{c}, l.entries[i:]...)...)
	}, isFormat},
	{"a chunk of another file", func(l *listing) { l.chunk("big")["name"] = "small" }, isFormat},
	{"a chunk of no file", func(l *listing) { l.add(map[string]any{"type": "chunk", "name": "big", "chunkSize": 5}) }, isFormat},
	{"a file larger than its chunks", func(l *listing) {
		l.file("big")["size"] = 300_000
		l.entries[l.at("chunk", "big")+1]["chunkSize"] = 50_000
	}, isFormat},
	{"a file shorter than its chunks", func(l *listing) { l.file("big")["size"] = 150_000 }, isFormat},
	{"a device beyond all bounds", func(l *listing) { l.add(map[string]any{"name": "c", "type": "char", "devMajor": 1 << 20}) }, isFormat},
	{"a negative owner", func(l *listing) { l.file("small")["uid"] = -1 }, isFormat},
	{"a time that is none", func(l *listing) { l.file("small")["modtime"] = "yesterday" }, isFormat},
	{"an attribute that isn't base64", func(l *listing) { l.file("small")["xattrs"] = map[string]string{"user.x": "?"} }, isFormat},
	{"an unknown type", func(l *listing) { l.file("small")["type"] = "door" }, isFormat},
	{"no type", func(l *listing) { delete(l.file("small"), "type") }, isFormat},
	{"a long name", func(l *listing) { l.file("small")["name"] = strings.Repeat("x", 256) }, isFormat},
	{"the root as a file", func(l *listing) { l.file("small")["name"] = "../" }, isFormat},
	{"a link to nothing", func(l *listing) { delete(l.entries[l.at("hardlink", "hard")], "linkName") }, isFormat},
	{"a key for another", func(l *listing) { l.file("small")["Mode"] = 0 }, isFormat},

	{"a file of 2^62 bytes", func(l *listing) { e := l.file("small"); e["size"] = int64(1 << 62); delete(e, "chunkSize") }, isLimit},
	{"an inner offset beyond all bounds", func(l *listing) { l.file("small")["innerOffset"] = int64(1 << 62) }, isLimit},
	{"too many attributes", func(l *listing) {
		x := map[string]string{}
		for i := range 2000 {
			x[fmt.Sprint("user.", i)] = ""
		}
		l.file("small")["xattrs"] = x
	}, isLimit},
}

// liar is the archive that the lies are about.
func liar() []byte { return about(250_000) }

// about is that archive with a big file of n bytes.
func about(n int) []byte {
	return lt.Tar(lt.Dir("dir/"), lt.File("big", noise(n, 1)), lt.File("small", "small"), lt.Hardlink("hard", "small"))
}

// TestLies has tables of contents that aren't right, though the manifest
// vouches for them: each is refused, or found out as early as can be.
func TestLies(t *testing.T) {
	for name, pack := range map[string]pack{
		"estargz":                stargz(estargz.WithChunkSize(100_000), estargz.WithParallelism(1)),
		"estargz, table apart":   external,
		"zstd:chunked, Podman's": podman(100_000),
		"zstd:chunked, stargz's": zstdStargz(100_000, 0, true),
	} {
		honest := pack(t, liar())
		for _, lie := range lies {
			t.Run(name+"/"+lie.name, func(t *testing.T) {
				p := relist(t, honest, edited(t, lie.edit))
				want := lie.want
				if strings.HasPrefix(lie.name, "zeros") && !strings.HasPrefix(name, "zstd") {
					if want = isChunk; lie.name == "zeros" { // only zstd:chunked knows zeros
						want = ""
					}
				}
				if got := outcome(t, p); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		}
	}
}

// outcome is what becomes of a layer with a table of contents; "" if nothing
// is found to be wrong.
func outcome(t *testing.T, p packed) string {
	t.Helper()
	toc, _, err := open(p)
	var format *index.FormatError
	switch {
	case errors.Is(err, index.ErrLimit):
		return isLimit
	case errors.Is(err, index.ErrNoIndex):
		return isNoIndex
	case errors.As(err, &format):
		return isFormat
	case err != nil:
		t.Fatalf("an unexpected error: %v", err)
	}
	whole, k, err := build(p.blob, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var mismatch *index.MismatchError
	found := index.Check(toc, whole, bytes.NewReader(k.data))
	if found != nil && !errors.As(found, &mismatch) {
		t.Fatalf("Check: %v", found)
	}
	off, n := toc.Extent(0, toc.Len())
	err = toc.Decode(bytes.NewReader(p.blob[off:off+n]), nil, 0, toc.Len(), func(int, []byte) error { return nil })
	var chunk *index.ChunkError
	switch {
	case errors.As(err, &chunk) && chunk.Digest != string(p.hints.Digest):
		t.Fatalf("%v: of no layer", err)
	case errors.As(err, &chunk): // also where no member begins, as Decode has nobody else to blame
		return isChunk
	case err != nil:
		t.Fatalf("Decode: %v", err)
	case found != nil:
		return isMismatch
	}
	return ""
}

// TestLiesJSON has tables that aren't the JSON they should be.
func TestLiesJSON(t *testing.T) {
	swap := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
	}
	for name, pack := range map[string]pack{"estargz": stargz(), "estargz, table apart": external, "zstd:chunked": podman(100_000)} {
		honest := pack(t, liar())
		compact := relist(t, honest, edited(t, func(*listing) {}))
		if got := outcome(t, compact); got != "" {
			t.Errorf("%s, written anew: %s", name, got)
		}
		for _, lie := range []struct {
			name string
			edit func([]byte) []byte
		}{
			{"nothing", func([]byte) []byte { return nil }},
			{"null", func([]byte) []byte { return []byte("null") }},
			{"half of it", func(b []byte) []byte { return b[:len(b)/2] }},
			{"something behind it", func(b []byte) []byte { return append(b, "{}"...) }},
			{"another version", swap(`"version":1`, `"version":2`)},
			{"no version", swap(`"version":1,`, ``)},
			{"two versions", swap(`"version":1`, `"version":1,"version":1`)},
			{"two lists", swap(`"version":1`, `"entries":[],"version":1`)},
			{"a list by another name", swap(`"version":1`, `"Entries":[],"version":1`)},
			{"a key twice", swap(`"type":"dir"`, `"type":"dir","type":"dir"`)},
			{"nested too deep", swap(`"version":1`, `"version":1,"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100))},
			{"a number that is none", swap(`"version":1`, `"version":01`)},
			{"control characters", swap(`"type":"dir"`, "\"ty\npe\":\"dir\"")},
		} {
			t.Run(name+"/"+lie.name, func(t *testing.T) {
				if got := outcome(t, relist(t, compact, lie.edit)); got != isFormat {
					t.Errorf("%s, want %s", got, isFormat)
				}
			})
		}
	}
}

// TestLiesDuplicates has one name twice: both are listed, each with its own
// content, and which one wins is the tree's business.
func TestLiesDuplicates(t *testing.T) {
	for name, p := range packs() {
		if strings.Contains(name, "lossless") || strings.Contains(name, "zstd") {
			for seed := range uint64(2) {
				data := lt.Tar(lt.File("f", noise(250_000, seed)), lt.File("f", "small"), lt.Dir("f"), lt.File("f", noise(150_000, seed+9)))
				t.Run(name, func(t *testing.T) { holds(t, p.pack(t, data), min(p.reads, 1)) })
			}
		}
	}
}

// TestLiesPlace has tables that don't lie where they are said to.
func TestLiesPlace(t *testing.T) {
	podman, zstd, gzip := podman(9999)(t, liar()), zstdStargz(0, 0, false)(t, liar()), stargz()(t, liar())
	note := func(p packed, value string) packed {
		p.hints.Annotations = map[string]string{
			notePodmanChecksum: p.hints.Annotations[notePodmanChecksum], notePodmanPosition: value}
		return p
	}
	patch := func(p packed, back int, b string) packed {
		p.blob = append(bytes.Clone(p.blob[:len(p.blob)-back]), b...)
		return p
	}
	at := podman.hints.Annotations[notePodmanPosition]
	var off, n, size int
	if _, err := fmt.Sscanf(at, "%d:%d:%d:1", &off, &n, &size); err != nil {
		t.Fatal(err)
	}
	place := func(off, n, size any) packed { return note(podman, fmt.Sprintf("%v:%v:%v:1", off, n, size)) }
	large := "\xff\xff\xff\xff\xff\xff\xff\x7f"
	huge := "\xff\xff\xff\xff\xff\xff\xff\xff"
	foot := string(zstd.blob[len(zstd.blob)-40:])
	for _, c := range []struct {
		name string
		p    packed
		want string // of outcome, or what the error is of
	}{
		{"as it is", place(off, n, size), ""},
		{"beyond the blob", place(int64(1)<<40, n, size), isFormat},
		{"at the end", place(len(podman.blob), n, size), isFormat},
		{"at the start", place(0, n, size), isFormat},
		{"offset and length overflow", place(int64(1)<<62, int64(1)<<62, size), isFormat},
		{"too long for the blob", place(off, len(podman.blob), size), isFormat},
		{"decodes to less", place(off, n, size+1), isFormat},
		{"decodes to more", place(off, n, size-1), isFormat},
		{"decodes to nothing", place(off, n, 0), isFormat},
		{"decodes to too much", place(off, n, int64(1)<<40), isLimit},
		{"shorter", place(off, n-1, size), "digest"},
		{"elsewhere", place(off-1, n, size), "digest"},
		{"a negative place", place(-1, n, size), isFormat},
		{"no number", place("x", n, size), isFormat},
		{"too few numbers", note(podman, "1:2:3"), isFormat},
		{"too many numbers", note(podman, at+":1"), isFormat},

		{"footer: beyond the blob", patch(zstd, 40, large+foot[8:]), isFormat},
		{"footer: 64 bits", patch(zstd, 40, huge+foot[8:]), isFormat},
		{"footer: too long", patch(zstd, 40, foot[:8]+huge+foot[16:]), isFormat},
		{"footer: decodes to too much", patch(zstd, 40, foot[:16]+huge+foot[24:]), isLimit},
		{"footer: another type", patch(zstd, 40, foot[:24]+"\x02"+foot[25:]), isNoIndex},
		{"footer: another magic", patch(zstd, 1, "y"), isNoIndex},
		{"footer: cut", patch(zstd, 20, ""), isNoIndex},

		{"gzip footer: beyond the blob", patch(gzip, 51, string(footer(1<<40))), isFormat},
		{"gzip footer: itself", patch(gzip, 51, string(footer(int64(len(gzip.blob)-51)))), isFormat},
		{"gzip footer: at the start", patch(gzip, 51, string(footer(0))), isFormat},
		{"gzip footer: between members", patch(gzip, 51, string(footer(7))), isFormat},
		{"gzip footer: 64 bits", patch(gzip, 51, string(footer(-1))), isFormat},
		{"gzip footer: another magic", patch(gzip, 51, strings.Replace(string(footer(1)), "STARGZ", "STARGY", 1)), isNoIndex},
		{"gzip footer: no room for it", packed{gzip.blob[len(gzip.blob)-20:], gzip.hints}, isNoIndex},
		{"empty", packed{nil, gzip.hints}, isNoIndex},
	} {
		t.Run(c.name, func(t *testing.T) {
			var broken *index.DigestError
			if c.want != "digest" {
				if got := outcome(t, c.p); got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			} else if _, _, err := open(c.p); !errors.As(err, &broken) || broken.What != "table of contents" {
				t.Errorf("%v, want a broken digest", err)
			}
		})
	}
}

// TestLiesPromise has annotations that vouch for something else.
func TestLiesPromise(t *testing.T) {
	other := digest.FromString("another").String()
	for name, p := range packs() {
		for note, value := range p.pack(t, liar()).hints.Annotations {
			if !strings.Contains(note, "checksum") && note != noteStargz {
				continue
			}
			t.Run(name, func(t *testing.T) {
				p := p.pack(t, liar())
				p.hints.Annotations[note] = other
				var broken *index.DigestError
				if _, _, err := open(p); !errors.As(err, &broken) || broken.Want != other || broken.Got != value {
					t.Errorf("%s vouches for another: %v", note, err)
				}
				p.hints.Annotations[note] = "sha256:123"
				if _, _, err := open(p); err == nil || errors.Is(err, index.ErrNoIndex) {
					t.Errorf("%s is no digest: %v", note, err)
				}
			})
		}
	}
	p := podman(9999)(t, liar())
	for _, note := range []string{noteStargz, noteZstdChecksum} {
		p.hints.Annotations[note] = other
		if got := outcome(t, p); got != isFormat {
			t.Errorf("two tables: %s", got)
		}
		delete(p.hints.Annotations, note)
	}
	p.hints.DiffID = ""
	if _, _, err := open(p); err == nil {
		t.Error("no diffID: no error")
	}
}

// TestOpenLimits holds tables to the limits.
func TestOpenLimits(t *testing.T) {
	bomb := func(p packed) packed {
		return relist(t, p, func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), 2<<20)...) })
	}
	for _, c := range []struct {
		name   string
		p      packed
		limits index.Limits
	}{
		{"a table that decodes to too much", bomb(stargz()(t, liar())), index.Limits{TOC: 1 << 20}},
		{"the same in zstd", bomb(podman(9999)(t, liar())), index.Limits{TOC: 1 << 20}},
		{"a table too long", stargz()(t, liar()), index.Limits{TOC: 100}},
		{"a table too long, elsewhere", external(t, liar()), index.Limits{TOC: 100}},
		{"entries", stargz()(t, liar()), index.Limits{Entries: 4}},
		{"the table is an entry too much", stargz()(t, liar()), index.Limits{Entries: 5}},
		{"chunks", stargz()(t, liar()), index.Limits{Chunk: 100_000}},
		{"decoded", stargz()(t, liar()), index.Limits{Decoded: 250_000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.hints.Limits = c.limits
			if got := outcome(t, c.p); got != isLimit {
				t.Errorf("%q, want %q", got, isLimit)
			}
		})
	}
}
