package index_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
	"ocifs.dev/ocifs/index/internal/ztoc"
	lt "ocifs.dev/ocifs/tests/layertest"
)

func buildSOCI(blob []byte, o index.SOCIOptions) ([]byte, error) {
	return index.BuildSOCI(context.Background(), io.NopCloser(bytes.NewReader(blob)), o)
}

// openSOCI opens a zTOC of blob, which decodes to data.
func openSOCI(z, blob, data []byte) (*index.TOC, error) {
	return index.OpenSOCI(z, int64(len(blob)), index.Hints{Digest: digest.FromBytes(blob), DiffID: digest.FromBytes(data)})
}

// sociLayers are the ways to store an archive that zTOCs know.
func sociLayers(t testing.TB, data []byte) map[string][]byte {
	m := map[string][]byte{
		"tar":                       data,
		"gzip -6":                   lt.Gzip(data, 6),
		"gzip, stored blocks":       lt.Gzip(data, 0),
		"gzip, own stored blocks":   storedGzip(data, 50000),
		"gzip, with flushes":        flushed(t, data, 128<<10),
		"gzip members":              lt.MultiGzip(data, 9),
		"gzip members, empty first": slices.Concat(lt.Gzip(nil, 6), named(t, nil), lt.Gzip(data, 6), lt.Gzip(nil, 6)),
		"gzip, named":               named(t, data),
	}
	return m
}

// flushed is a gzip member as pigz and pgzip write it: after every n bytes an
// empty stored block.
func flushed(t testing.TB, b []byte, n int) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	for p := range slices.Chunk(b, n) {
		_, err := w.Write(p)
		if err := errors.Join(err, w.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// storedGzip is a gzip member in stored blocks of n bytes: the same bytes
// whatever becomes of compress/flate.
func storedGzip(b []byte, n int) []byte {
	out := []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
	le := binary.LittleEndian
	for p := range slices.Chunk(b, n) {
		out = le.AppendUint16(append(out, 0), uint16(len(p)))
		out = append(le.AppendUint16(out, ^uint16(len(p))), p...)
	}
	out = append(out, 1, 0, 0, 0xff, 0xff)
	out = le.AppendUint32(out, crc32.ChecksumIEEE(b))
	return le.AppendUint32(out, uint32(len(b)))
}

// TestSOCI makes zTOCs of an archive in every encoding, holds their
// checkpoints and digests against the reference, and opens them: they list
// what Build lists, and every chunk decodes, alone and with others, also from
// the stored form.
func TestSOCI(t *testing.T) {
	data := archive()
	want, _, err := build(data, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, blob := range sociLayers(t, data) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref := &reference{t: t, blob: blob}
			if name != "tar" {
				ref.layer()
			}
			for _, span := range []int64{1, 100_000, index.SOCISpan} {
				if name == "tar" {
					span = max(span, 30_000)
				}
				z, err := buildSOCI(blob, index.SOCIOptions{Span: span, Tool: "a tool",
					Options: index.Options{Digest: digest.FromBytes(blob), DiffID: digest.FromBytes(data), Size: int64(len(blob))}})
				if err != nil {
					t.Fatal(err)
				}
				checkZtoc(t, z, ref, data, span)
				toc, err := openSOCI(z, blob, data)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := list(toc), list(want); !slices.Equal(got, want) {
					t.Errorf("entries:\n got %q\nwant %q", got, want)
				}
				decodeSOCI(t, toc, blob, data)
			}
		})
	}
}

// checkZtoc holds what a zTOC says of a layer against what can be found out
// without this package.
func checkZtoc(t *testing.T, b []byte, ref *reference, data []byte, span int64) {
	t.Helper()
	z, err := ztoc.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	blob := ref.blob
	if z.Version != "0.9" || z.Tool != "a tool" || z.CompressedSize != int64(len(blob)) {
		t.Errorf("version %q, tool %q, %d bytes", z.Version, z.Tool, z.CompressedSize)
	}
	if z.Algorithm == ztoc.Gzip {
		checkpoints, digests := ref.checkpoints(span)
		if !bytes.Equal(z.Checkpoints, checkpoints) || !slices.Equal(z.Digests, digests) {
			t.Errorf("span %d: %d checkpoints in %d bytes; the reference has %d in %d", span, len(z.Digests), len(z.Checkpoints), len(digests), len(checkpoints))
		}
	} else {
		for i, d := range z.Digests {
			if d != sha256.Sum256(blob[span*int64(i):min(span*int64(i+1), int64(len(blob)))]) {
				t.Errorf("span %d of %d bytes has another digest", i, span)
			}
		}
	}
	// What is counted here is what archive/tar reads, with the padding of contents.
	r := &counter{r: bytes.NewReader(data)}
	tr := tar.NewReader(r)
	for i := range z.NumFiles() {
		h, err := tr.Next()
		if err != nil {
			t.Fatal(err)
		}
		f := z.File(i)
		got := []any{f.Name, f.Off, f.Size, f.Link, f.Mode, f.UID, f.GID, f.Devmajor, f.Devminor, f.Uname, f.Gname, len(f.PAX)}
		want := []any{h.Name, r.n, h.Size, h.Linkname, h.Mode, uint32(h.Uid), uint32(h.Gid), h.Devmajor, h.Devminor, h.Uname, h.Gname, len(h.PAXRecords)}
		if !slices.Equal(got, want) || f.ModTime != h.ModTime.UTC().Format(time.RFC3339Nano) {
			t.Errorf("file %d: %v %s, want %v", i, got, f.ModTime, want)
		}
	}
	if _, err := tr.Next(); err != io.EOF || z.UncompressedSize != r.n {
		t.Errorf("an archive of %d bytes; archive/tar is at %d: %v", z.UncompressedSize, r.n, err)
	}
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// decodeSOCI decodes every chunk of a TOC, and of what is stored of it.
func decodeSOCI(t *testing.T, toc *index.TOC, blob, data []byte) {
	t.Helper()
	stored, err := index.Parse(toc.Append(nil), index.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := list(stored), list(toc); !slices.Equal(got, want) || stored.Format() != index.SOCI {
		t.Errorf("stored as %s: %q", stored.Format(), got)
	}
	for _, c := range []*index.TOC{toc, stored} {
		k := &kept{}
		if c == stored {
			k.windows = toc.Windows()
		}
		at := int64(0)
		for i := range c.Len() {
			start, end := c.Bounds(i)
			if start != at || c.At(start) != i || c.At(end-1) != i || c.Restart(i) != i {
				t.Fatalf("chunk %d is from %d to %d", i, start, end)
			}
			at = end
			decode(t, c, k, blob, data, i, i+1)
		}
		if at != c.Size() {
			t.Errorf("the chunks end at %d of %d", at, c.Size())
		}
		decode(t, c, k, blob, data, 0, c.Len())
		decode(t, c, k, blob, data, c.Len()/3, c.Len()-c.Len()/3)
	}
}

// TestSOCIGolden holds whole zTOCs against the digests of those that
// soci-snapshotter 0.15 makes of the same layers, in UTC.
func TestSOCIGolden(t *testing.T) {
	data := goldenArchive()
	for _, c := range []struct {
		name   string
		blob   []byte
		span   int64
		digest string
	}{
		{"tar", data, 65536, "sha256:bcb5d0be28fadd64d61ca3879eef031f6d968415788cebc49471c74604c7df55"},
		{"gzip", storedGzip(data, 50000), 65536, "sha256:019137b95f152a3fea3ac3793fd83d545336c945d5f31279ea54cd02e8717973"},
		{"gzip, small spans", storedGzip(data, 50000), 1, "sha256:8d3188ff5ef4abf5512066598605d965e7dc1c6258b0ec7c479b359635977195"},
		{"gzip members", slices.Concat(storedGzip(data[:99999], 1000), storedGzip(data[99999:], 60000)), 1000, "sha256:f1907b631eba2e9a2d3b190596333dca345eda762dccc3d2b9ccf1c7ce39e786"},
	} {
		z, err := buildSOCI(c.blob, index.SOCIOptions{Span: c.span, Tool: index.SOCITool})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(digest.FromBytes(z)); got != c.digest {
			t.Errorf("%s: %s, want %s", c.name, got, c.digest)
		}
	}
}

// goldenArchive is an archive whose bytes are those of this function alone.
func goldenArchive() []byte {
	content := make([]byte, 300_000)
	for i := range content {
		content[i] = byte(i ^ i>>8*7)
	}
	var b bytes.Buffer
	add := func(name string, flag byte, size int, link string, mtime int64) {
		h := make([]byte, 512)
		copy(h, name)
		copy(h[100:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00%011o\x00%011o\x00        %c%s", 0o755, 1000, 100, size, mtime, flag, link))
		copy(h[257:], "ustar\x0000user")
		copy(h[297:], "group")
		copy(h[329:], "0000001\x000000003\x00")
		sum := 0
		for _, c := range h {
			sum += int(c)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		b.Write(h)
	}
	add("./", '5', 0, "", 1e9)
	add("pax", 'x', 29, "", 0)
	b.WriteString("29 SCHILY.xattr.user.a=value\n" + strings.Repeat("\x00", 512-29))
	add("./file", '0', len(content), "", 1e9+1)
	b.Write(content)
	b.Write(make([]byte, 512-len(content)%512))
	add("link", '2', 0, "file", 0)
	add("same", '1', 0, "./file", 1e9)
	add("null", '3', 0, "", 1e9)
	add("empty", '0', 0, "", 1e9)
	b.Write(make([]byte, 10240-b.Len()%10240+10240))
	return b.Bytes()
}

// TestSOCIDamage changes a bit in layers whose zTOC is known: whatever span it
// is in isn't decoded.
func TestSOCIDamage(t *testing.T) {
	data := archive()
	for name, blob := range sociLayers(t, data) {
		z, err := buildSOCI(blob, index.SOCIOptions{Span: 1 << 18})
		if err != nil {
			t.Fatal(err)
		}
		toc, err := openSOCI(z, blob, data)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 2))
		for i := range toc.Len() {
			off, n := toc.Extent(i, i+1)
			for _, at := range []int64{0, n - 1, r.Int64N(n), r.Int64N(n)} {
				bad := bytes.Clone(blob[off : off+n])
				bad[at] ^= 1 << r.IntN(8)
				var chunk *index.ChunkError
				err := toc.Decode(bytes.NewReader(bad), nil, i, i+1, func(int, []byte) error { t.Error("decoded"); return nil })
				if !errors.As(err, &chunk) || chunk.Chunk != i || chunk.Digest != string(digest.FromBytes(blob)) {
					t.Errorf("%s: byte %d of chunk %d: %v", name, at, i, err)
				}
			}
			if err := toc.Decode(bytes.NewReader(blob[off:off+n-1]), nil, i, i+1, nil); err == nil {
				t.Errorf("%s: chunk %d, cut: no error", name, i)
			}
		}
	}
}

// TestSOCIWindows decodes without windows, and with damaged ones.
func TestSOCIWindows(t *testing.T) {
	data := archive()
	blob := lt.Gzip(data, 6)
	z, err := buildSOCI(blob, index.SOCIOptions{Span: 1 << 18})
	if err != nil {
		t.Fatal(err)
	}
	toc, err := openSOCI(z, blob, data)
	if err != nil {
		t.Fatal(err)
	}
	windows := bytes.Clone(toc.Windows())
	if windows == nil || int64(len(windows)) != toc.WindowsSize() || toc.Coarse() != toc {
		t.Fatal("no windows")
	}
	if toc, err = index.Parse(toc.Append(nil), index.Limits{}); err != nil {
		t.Fatal(err)
	}
	if toc.Windows() != nil {
		t.Error("windows in what was stored")
	}
	off, n := toc.Extent(1, 2)
	for _, w := range []io.ReaderAt{nil, strings.NewReader("short")} {
		if err := toc.Decode(bytes.NewReader(blob[off:off+n]), w, 1, 2, func(int, []byte) error { return nil }); err == nil {
			t.Errorf("windows %v: no error", w)
		}
	}
	windows[0] ^= 1 // the first byte of the first window there is, chunk 1's
	var chunk *index.ChunkError
	if err := toc.Decode(bytes.NewReader(blob[off:off+n]), bytes.NewReader(windows), 1, 2, nil); !errors.As(err, &chunk) || chunk.Chunk != 1 {
		t.Errorf("one bit of a window: %v", err)
	}
}

// TestSOCIv1 opens a zTOC of the first version, which lacks a checkpoint.
func TestSOCIv1(t *testing.T) {
	data := archive()
	blob := lt.Gzip(data, 6)
	b, err := buildSOCI(blob, index.SOCIOptions{Span: 1 << 18})
	if err != nil {
		t.Fatal(err)
	}
	b = remake(t, b, func(h *ztoc.Header, files []ztoc.File) {
		h.Checkpoints = append(h.Checkpoints[:12:12], h.Checkpoints[12+8+8+1+32768:]...)
	})
	toc, err := openSOCI(b, blob, data)
	if err != nil {
		t.Fatal(err)
	}
	decodeSOCI(t, toc, blob, data)
}

// remake edits a zTOC.
func remake(t testing.TB, b []byte, edit func(h *ztoc.Header, files []ztoc.File)) []byte {
	t.Helper()
	z, err := ztoc.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	files := make([]ztoc.File, z.NumFiles())
	for i := range files {
		files[i] = z.File(i)
	}
	h := z.Header
	h.Checkpoints, h.Digests = slices.Clone(h.Checkpoints), slices.Clone(h.Digests)
	edit(&h, files)
	if b, err = ztoc.Marshal(&h, files); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSOCIOrder opens zTOCs whose files are in another order.
func TestSOCIOrder(t *testing.T) {
	data := archive()
	b, err := buildSOCI(data, index.SOCIOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := openSOCI(b, data, data)
	if err != nil {
		t.Fatal(err)
	}
	b = remake(t, b, func(_ *ztoc.Header, files []ztoc.File) { slices.Reverse(files) })
	got, err := openSOCI(b, data, data)
	if err != nil || !slices.Equal(list(got), list(want)) {
		t.Errorf("%v", err)
	}
}
