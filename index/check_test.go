package index_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestCheck names the first difference, and what it is.
func TestCheck(t *testing.T) {
	honest := podman(100_000)(t, liar())
	for _, c := range []struct {
		edit func(*listing)
		want string
	}{
		{func(*listing) {}, "<nil>"},
		{func(l *listing) { l.file("small")["mode"] = 0o4755 },
			`entry "small": the table of contents has another mode than the layer: 0104755, not 0100644`},
		{func(l *listing) { l.file("big")["gid"] = 7 },
			`entry "big": the table of contents has another owner than the layer: [0 7], not [0 0]`},
		{func(l *listing) { l.file("small")["name"] = "../tall" },
			`entry "small": the table of contents has another name than the layer: tall, not small`},
		{func(l *listing) { l.chunk("big")["chunkDigest"] = digest.FromString("") },
			`entry "big": the table of contents has another content than the layer`},
		{func(l *listing) { l.file("big")["digest"] = digest.FromString("") },
			`entry "big": the table of contents has another digest of the whole file than the layer`},
		{func(l *listing) {
			e := l.file("small")
			e["chunkDigest"] = e["digest"]
			e["digest"] = digest.FromString("")
		},
			`entry "small": the table of contents has another digest of the whole file than the layer`},
		{func(l *listing) { l.file("big")["digest"] = "md5:0" }, "<nil>"}, // nobody's
		{func(l *listing) { l.drop(len(l.entries) - 1) },
			`entry "hard": the table of contents has another entry than the layer: nothing, not 0100644 0:0 "hard" = "small"`},
		{func(l *listing) { l.add(map[string]any{"type": "fifo", "name": "more"}) },
			`entry "more": the table of contents has another entry than the layer: 0010000 0:0 "more", not nothing`},
		{func(l *listing) { e := l.entries[l.at("hardlink", "hard")]; e["type"] = "symlink" },
			`entry "hard": the table of contents has another mode than the layer: 0120777, not 0100644`},
		{func(l *listing) { e := l.file("small"); e["type"], e["devMajor"] = "char", 5 },
			`entry "small": the table of contents has another mode than the layer: 0020644, not 0100644`},
	} {
		p := relist(t, honest, edited(t, c.edit))
		p.hints.Files = true
		toc, _, err := open(p)
		if err != nil {
			t.Fatal(err)
		}
		whole, k, err := build(p.blob, index.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(index.Check(toc, whole, bytes.NewReader(k.data))); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// TestCheckOther refuses to compare two layers, and passes on what the data's
// reader fails with.
func TestCheckOther(t *testing.T) {
	p := stargz()(t, liar())
	toc, _, err := open(p)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := build(lt.Gzip(liar(), 1), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var broken *index.DigestError
	if err := index.Check(toc, other, nil); !errors.As(err, &broken) {
		t.Errorf("another layer: %v", err)
	}
	whole, k, err := build(p.blob, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	if err := index.Check(toc, whole, failing{gone}); !errors.Is(err, gone) {
		t.Errorf("a broken reader: %v", err)
	}
	if err := index.Check(toc, whole, bytes.NewReader(k.data[:9999])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half of the data: %v", err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt(p []byte, _ int64) (int, error) { return iotest.ErrReader(f.err).Read(p) }

// TestCheckSparse compares tables that have holes, or haven't, with archives
// that have them, or haven't.
func TestCheckSparse(t *testing.T) {
	content := strings.Repeat("\x00", 5000) + "x" + strings.Repeat("\x00", 4998)
	sum := func(from, to int) string { return digest.FromString(content[from:to]).String() }
	plain := lt.Tar(lt.File("s", content))
	holes := lt.Tar(lt.Sparse(lt.SparseV1, "s", int64(len(content)), []lt.Run{{Off: 5000, Data: "x"}}))
	more := lt.Tar(lt.Sparse(lt.SparseV1, "s", int64(len(content)), []lt.Run{{Off: 5000, Data: "x"}, {Off: 9000, Data: "y"}}))
	zeros := func(off, n int64) lt.ChunkedRecord {
		return lt.ChunkedRecord{Type: "chunk", ChunkOffset: off, ChunkSize: n, ChunkType: "zeros",
			ChunkDigest: digest.FromBytes(make([]byte, n)).String()}
	}
	data := func(off, n int64) lt.ChunkedRecord {
		return lt.ChunkedRecord{Type: "chunk", ChunkOffset: off, ChunkSize: n, InnerOffset: off, ChunkDigest: sum(int(off), int(off+n))}
	}
	for _, c := range []struct {
		name    string
		archive []byte
		chunks  []lt.ChunkedRecord
		same    bool
	}{
		{"all data", plain, []lt.ChunkedRecord{data(0, 9999)}, true},
		{"holes in the table", plain, []lt.ChunkedRecord{zeros(0, 5000), data(5000, 1), zeros(5001, 4998)}, true},
		{"holes in the archive", holes, []lt.ChunkedRecord{data(0, 5000), data(5000, 1), data(5001, 4998)}, true},
		{"holes in both", holes, []lt.ChunkedRecord{zeros(0, 5000), data(5000, 1), zeros(5001, 4998)}, true},
		{"others in both", holes, []lt.ChunkedRecord{zeros(0, 2000), data(2000, 4000), zeros(6000, 3999)}, true},
		{"all zeros", plain, []lt.ChunkedRecord{zeros(0, 9999)}, false},
		{"a hole too large", plain, []lt.ChunkedRecord{zeros(0, 5001), data(5001, 4998)}, false},
		{"too few holes", more, []lt.ChunkedRecord{data(0, 9999)}, false},
		{"another hole in both", more, []lt.ChunkedRecord{zeros(0, 5000), data(5000, 1), zeros(5001, 4998)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := new(lt.Chunked)
			p.Frame(c.archive)
			first := &c.chunks[0]
			first.Type, first.Name, first.Size, first.Mode, first.ModTime = "reg", "s", 9999, 0o644, &lt.Epoch
			toc, err := json.Marshal(map[string]any{"version": 1, "entries": c.chunks})
			if err != nil {
				t.Fatal(err)
			}
			sparse := finish(t, p, toc)
			table, _, err := open(sparse)
			if err != nil {
				t.Fatal(err)
			}
			whole, k, err := build(sparse.blob, index.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var mismatch *index.MismatchError
			if err := index.Check(table, whole, bytes.NewReader(k.data)); (err == nil) != c.same || err != nil && !errors.As(err, &mismatch) {
				t.Errorf("%v", err)
			}
		})
	}
}
