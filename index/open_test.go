package index_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/stargz-snapshotter/estargz"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// A counted blob counts its reads.
type counted struct {
	*bytes.Reader
	reads int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	return c.Reader.ReadAt(p, off)
}

func open(p packed) (*index.TOC, *counted, error) {
	c := &counted{Reader: bytes.NewReader(p.blob)}
	toc, err := index.Open(context.Background(), c, p.hints)
	return toc, c, err
}

// contents are an archive's entries and what is in them, as far as a table of
// contents can tell; data is the decoded space.
func contents(toc *index.TOC, data []byte) []string {
	var s []string
	for e := range toc.Entries() {
		c := *e
		c.Off = 0
		when := e.ModTime.Round(time.Second)
		if e.ModTime.Unix() == 0 {
			when = time.Unix(0, 0).UTC()
		}
		s = append(s, fmt.Sprintf("%v %s %q %d:%d %x", &c, when, e.Xattrs, e.Major, e.Minor, assemble(data, e)))
	}
	return s
}

// decodeAll decodes all chunks, as one and one by one, from the bytes that
// Extent names.
func decodeAll(t *testing.T, toc *index.TOC, blob []byte) []byte {
	t.Helper()
	if toc.Len() == 0 {
		return nil
	}
	var data []byte
	off, n := toc.Extent(0, toc.Len())
	err := toc.Decode(bytes.NewReader(blob[off:off+n]), nil, 0, toc.Len(), func(i int, p []byte) error {
		if start, end := toc.Bounds(i); start != int64(len(data)) || end-start != int64(len(p)) || toc.At(start) != i || toc.At(end-1) != i {
			t.Errorf("chunk %d of %d bytes at %d", i, len(p), len(data))
		}
		data = append(data, p...)
		return nil
	})
	if err != nil || int64(len(data)) != toc.Size() {
		t.Fatalf("%d bytes of %d: %v", len(data), toc.Size(), err)
	}
	for i := 0; i < toc.Len(); i += 1 + toc.Len()/8 {
		if first := toc.Restart(i); first > i || toc.Restart(first) != first {
			t.Errorf("chunk %d: restart at %d, and that at %d", i, first, toc.Restart(first))
		}
		decode(t, toc, new(kept), blob, data, i, i+1)
		decode(t, toc, new(kept), blob, data, toc.Restart(i), min(i+3, toc.Len()))
	}
	return data
}

// holds holds what Open says of a layer against what Build does.
func holds(t *testing.T, p packed, reads int) {
	t.Helper()
	toc, c, err := open(p)
	if err != nil {
		t.Fatal(err)
	}
	if c.reads != reads {
		t.Errorf("opened with %d reads, want %d", c.reads, reads)
	}
	whole, k, err := build(p.blob, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if toc, err = index.Parse(toc.Append(nil), index.Limits{}); err != nil {
		t.Fatal(err)
	}
	if toc.Digest() != whole.Digest() || toc.DiffID() != whole.DiffID() || toc.BlobSize() != int64(len(p.blob)) {
		t.Errorf("%s %s %d", toc.Digest(), toc.DiffID(), toc.BlobSize())
	}
	data := decodeAll(t, toc, p.blob)
	got, want := contents(toc, data), contents(whole, k.data)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("entry %d:\n got %.200q\nwant %.200q", i, got[i:min(i+1, len(got))], want[i:min(i+1, len(want))])
		}
	}
	if err := index.Check(toc, whole, bytes.NewReader(k.data)); err != nil {
		t.Error(err)
	}
}

// TestOpen opens an archive packed in every way, and holds it against Build.
func TestOpen(t *testing.T) {
	data := archive()
	for name, p := range packs() {
		t.Run(name, func(t *testing.T) { holds(t, p.pack(t, data), p.reads) })
	}
}

// TestChunkWindow holds the frames of a layer with a table of contents to the
// limit, too, also once the table was stored.
func TestChunkWindow(t *testing.T) {
	p := podman(1<<30)(t, lt.Tar(lt.File("f", noise(1<<20, 1))))
	limits := index.Limits{Window: 1 << 18}
	p.hints.Limits = limits
	toc, _, err := open(p)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := index.Parse(toc.Append(nil), limits)
	if err != nil {
		t.Fatal(err)
	}
	for _, toc := range []*index.TOC{toc, stored} {
		off, n := toc.Extent(0, toc.Len())
		err := toc.Decode(bytes.NewReader(p.blob[off:off+n]), nil, 0, toc.Len(), func(int, []byte) error { return nil })
		if over := (*index.WindowError)(nil); !errors.As(err, &over) || over.Limit != 1<<18 || over.Window <= 1<<18 || !errors.Is(err, index.ErrLimit) {
			t.Errorf("got %v", err)
		}
	}
}

// random is an archive of random entries. Names come twice, so links may point
// at nothing: that is the tree's business.
func random(r *rand.Rand) []byte {
	name := func() string {
		return strings.Repeat("d/", r.IntN(3)) + fmt.Sprintf("%c%d", 'a'+r.IntN(3), r.IntN(9)) + strings.Repeat("ö", r.IntN(2)*r.IntN(80))
	}
	var entries []lt.Entry
	for range r.IntN(30) {
		o := []lt.Option{lt.Mode(int64(r.IntN(1 << 12))), lt.Owner(int64(r.IntN(1<<17)), int64(r.IntN(9))),
			lt.ModTime(time.Unix(int64(r.IntN(1<<31)), int64(r.IntN(2)*r.IntN(1e9))))}
		for i := range r.IntN(3) * r.IntN(2) {
			o = append(o, lt.Xattr(fmt.Sprintf("user.x%d", i), noise(r.IntN(99), r.Uint64())))
		}
		switch r.IntN(10) {
		case 0:
			entries = append(entries, lt.Dir(name()+"/", o...))
		case 1:
			entries = append(entries, lt.Symlink(name(), "../"+name(), o...))
		case 2:
			entries = append(entries, lt.Hardlink(name(), name(), o...))
		case 3:
			entries = append(entries, lt.Char(name(), int64(r.IntN(99)), int64(r.IntN(99)), o...), lt.Fifo(name(), o...))
		case 4:
			entries = append(entries, lt.Whiteout(name()))
		case 5:
			zeros := strings.Repeat("\x00", r.IntN(20_000))
			entries = append(entries, lt.File(name(), noise(r.IntN(999), 1)+zeros+noise(r.IntN(999), 2)+zeros, o...))
		case 6:
			entries = append(entries, lt.File(name(), noise(r.IntN(400_000), r.Uint64()), o...))
		default:
			entries = append(entries, lt.File(name(), noise(r.IntN(2000), r.Uint64()), o...))
		}
	}
	return lt.Tar(entries...)
}

// TestOpenRandom opens random archives packed in every way.
func TestOpenRandom(t *testing.T) {
	for seed := range uint64(3) {
		data := random(rand.New(rand.NewPCG(seed, 1)))
		for name, p := range packs() {
			t.Run(fmt.Sprint(seed, " ", name), func(t *testing.T) { holds(t, p.pack(t, data), p.reads) })
		}
	}
}

// TestOpenReads counts the reads that opening larger layers takes.
func TestOpenReads(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var many []lt.Entry // whose table is some 500 KB
	for i := range 400 {
		name := ""
		for range 100 {
			name += fmt.Sprintf("%016x/", r.Uint64())
		}
		many = append(many, lt.File(name+"f", noise(100, uint64(i))))
	}
	large := lt.File("large", noise(1<<20, 1))
	for _, c := range []struct {
		name    string
		archive []byte
		pack    pack
		reads   int
	}{
		{"table beyond the tail", lt.Tar(many...), stargz(), 2},
		{"table beyond the tail, lossless", lt.Tar(many...), lossless(0, 0), 2},
		{"last file beyond the tail", lt.Tar(large), stargz(), 1},
		{"last file beyond the tail, lossless", lt.Tar(large), lossless(0, 0), 2},
		{"both beyond the tail, lossless", lt.Tar(append(many, large)...), lossless(0, 0), 3},
		{"no position, table beyond the tail", lt.Tar(many...), zstdStargz(0, 0, false), 2},
		{"position", lt.Tar(many...), zstdStargz(0, 0, true), 1},
		{"Podman's", lt.Tar(many...), podman(1 << 20), 1},
		{"table apart", lt.Tar(many...), external, 0},
		{"no files", lt.Tar(lt.Dir("d")), stargz(), 1},
		{"no files, lossless", lt.Tar(lt.Dir("d")), lossless(0, 0), 1},
		{"nothing", lt.Tar(), stargz(), 1},
		{"nothing, lossless", lt.Tar(), lossless(0, 0), 1},
		{"nothing, Podman's", lt.Tar(), podman(1), 1},
	} {
		t.Run(c.name, func(t *testing.T) { holds(t, c.pack(t, c.archive), c.reads) })
	}
}

// TestOpenZeros has holes in the place of runs of zeros.
func TestOpenZeros(t *testing.T) {
	zeros := strings.Repeat("\x00", 5000)
	p := podman(1<<20)(t, lt.Tar(lt.File("zeros", zeros), lt.File("mixed", "a"+zeros+"b"+zeros)))
	toc, _, err := open(p)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for e := range toc.Entries() {
		got = append(got, fmt.Sprintf("%s %d %d %v", e.Name, e.Size, e.Off, e.Data))
	}
	// A file of one chunk is never told to be of zeros.
	want := []string{"zeros 5000 0 []", "mixed 10002 5000 [{0 1} {5001 1}]"}
	if !slices.Equal(got, want) || toc.Size() != 5002 {
		t.Errorf("got %q, %d bytes; want %q", got, toc.Size(), want)
	}
}

// TestNoIndex has the layers whose tables must not be used, and for which
// Build is the way.
func TestNoIndex(t *testing.T) {
	data := archive()
	plain := packed{blob: lt.Gzip(data, 1), hints: stargz()(t, data).hints}
	for _, c := range []struct {
		name string
		p    packed
		with map[string]string // annotations
		err  error
	}{
		{"no annotation", stargz()(t, data), nil, index.ErrNoIndex},
		{"no annotation, zstd", podman(9999)(t, data), nil, index.ErrNoIndex},
		{"a position alone", podman(9999)(t, data), map[string]string{notePodmanPosition: "1:2:3:1"}, index.ErrNoIndex},
		{"another type", podman(9999)(t, data), map[string]string{
			notePodmanPosition: "1:2:3:2", notePodmanChecksum: string(plain.hints.Digest)}, index.ErrNoIndex},
		{"no footer", plain, plain.hints.Annotations, index.ErrNoIndex},
		{"a name of other bytes", lossless(0, 0)(t, lt.Tar(lt.File("\xff", ""))), keep, index.ErrNoIndex},
		{"an attribute of other bytes", podman(1)(t, lt.Tar(lt.File("f", "", lt.Xattr("user.\xff", "")))), keep, index.ErrNoIndex},
		{"a link of other bytes", stargz()(t, lt.Tar(lt.Symlink("l", "\xff"))), keep, index.ErrNoIndex},
	} {
		t.Run(c.name, func(t *testing.T) {
			if p := &c.p; len(c.with) == 0 || c.with["keep"] == "" {
				p.hints.Annotations = c.with
			}
			toc, _, err := open(c.p)
			if !errors.Is(err, c.err) || toc != nil {
				t.Errorf("%v", err)
			}
		})
	}
}

// keep keeps the annotations that a layer was packed with.
var keep = map[string]string{"keep": "all"}

// TestExternal says that a table must be fetched from elsewhere, and then
// takes no other.
func TestExternal(t *testing.T) {
	p := external(t, archive())
	toc := p.hints.TOC
	p.hints.TOC = nil
	if _, c, err := open(p); !errors.Is(err, index.ErrExternal) || !errors.Is(err, index.ErrNoIndex) || c.reads != 1 {
		t.Errorf("without it: %v, %d reads", err, c.reads)
	}
	p.hints.TOC = external(t, lt.Tar(lt.File("another", ""))).hints.TOC
	var broken *index.DigestError
	if _, _, err := open(p); !errors.As(err, &broken) {
		t.Errorf("with another: %v", err)
	}
	p.hints.TOC = toc[:len(toc)/2]
	if _, _, err := open(p); err == nil {
		t.Error("with half of it: no error")
	}
}

// TestTOCDigest names what Open returns.
func TestTOCDigest(t *testing.T) {
	for name, p := range packs() {
		h := p.pack(t, archive()).hints
		if d := h.TOCDigest(); d.Validate() != nil {
			t.Errorf("%s: %q", name, d)
		}
		h.Annotations[noteStargz] = string(h.Digest)
		if d := h.TOCDigest(); strings.Contains(name, "Podman") && d != "" {
			t.Errorf("%s, and another: %q", name, d)
		}
	}
	if d := (index.Hints{}).TOCDigest(); d != "" {
		t.Errorf("none: %q", d)
	}
}

// TestOpenCancelled reads nothing once the context has ended.
func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, p := range packs() {
		p := p.pack(t, archive())
		c := &counted{Reader: bytes.NewReader(p.blob)}
		if _, err := index.Open(ctx, c, p.hints); p.hints.TOC == nil && (!errors.Is(err, context.Canceled) || c.reads > 0) {
			t.Errorf("%s: %v, %d reads", name, err, c.reads)
		}
	}
}

// TestOpenTable has a table of contents that, as a file of its layer, takes
// several chunks.
func TestOpenTable(t *testing.T) {
	var files []lt.Entry
	for i := range 100 {
		files = append(files, lt.File(fmt.Sprint(i), noise(99, uint64(i))))
	}
	for name, pack := range map[string]pack{"estargz": stargz(), "packed": stargz(estargz.WithMinChunkSize(3000))} {
		p := pack(t, lt.Tar(files...))
		p.hints.Limits.Chunk = 5000
		toc, _, err := open(p)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for i := range toc.Len() {
			if start, end := toc.Bounds(i); end-start == 5000 {
				n++
			}
		}
		if n < 3 {
			t.Errorf("%s: %d chunks", name, n)
		}
		holds(t, p, 1)
	}
}

// TestOpenDamage flips bits: Open fails, or makes the same of the layer but
// for showing the table or not, for which no digest vouches; and a chunk is
// right, or there is an error.
func TestOpenDamage(t *testing.T) {
	for name, c := range packs() {
		t.Run(name, func(t *testing.T) {
			p := c.pack(t, liar())
			toc, _, err := open(p)
			if err != nil {
				t.Fatal(err)
			}
			data := decodeAll(t, toc, p.blob)
			listed := contents(toc, data)
			r := rand.New(rand.NewPCG(3, 3))
			for range rounds(40) {
				bad := packed{bytes.Clone(p.blob), p.hints}
				at := r.IntN(len(bad.blob))
				if r.IntN(2) == 0 {
					at = max(0, len(bad.blob)-1-r.IntN(2000)) // where the table is
				}
				bad.blob[at] ^= 1 << r.IntN(8)
				if again, _, err := open(bad); err == nil {
					if got := contents(again, data); !slices.Equal(got, listed[:min(len(got), len(listed))]) || len(got) < len(listed)-1 {
						t.Errorf("byte %d: another list", at)
					}
				}
				i := r.IntN(toc.Len())
				off, n := toc.Extent(i, i+1)
				_ = toc.Decode(bytes.NewReader(bad.blob[off:off+n]), nil, i, i+1, func(i int, b []byte) error {
					if start, end := toc.Bounds(i); !bytes.Equal(b, data[start:end]) {
						t.Errorf("byte %d: chunk %d: wrong bytes passed", at, i)
					}
					return nil
				})
			}
		})
	}
}

// TestOpenBroken passes on what the blob's reader fails with, from Open and
// from Decode.
func TestOpenBroken(t *testing.T) {
	gone := errors.New("gone")
	for name, c := range packs() {
		p := c.pack(t, liar())
		if _, err := index.Open(context.Background(), broken{failing{gone}, int64(len(p.blob))}, p.hints); c.reads > 0 && !errors.Is(err, gone) {
			t.Errorf("%s: Open: %v", name, err)
		}
		toc, _, err := open(p)
		if err != nil {
			t.Fatal(err)
		}
		off, n := toc.Extent(0, toc.Len())
		for _, half := range []int64{0, 1, n / 2, n - 50} {
			src := io.MultiReader(bytes.NewReader(p.blob[off:off+half]), iotest.ErrReader(gone))
			err := toc.Decode(src, nil, 0, toc.Len(), func(int, []byte) error { return nil })
			if !errors.Is(err, gone) && !(half > n/2 && err == nil) {
				t.Errorf("%s: Decode of %d bytes: %v", name, half, err)
			}
			var format *index.FormatError
			err = toc.Decode(bytes.NewReader(p.blob[off:off+half]), nil, 0, toc.Len(), func(int, []byte) error { return nil })
			if !errors.As(err, &format) && !(half > n/2 && err == nil) {
				t.Errorf("%s: Decode of %d bytes and no more: %v", name, half, err)
			}
		}
		err = toc.Decode(bytes.NewReader(p.blob[off:off+n]), nil, 0, toc.Len(), func(int, []byte) error { return gone })
		if !errors.Is(err, gone) {
			t.Errorf("%s: Decode to a full disk: %v", name, err)
		}
	}
}

// A broken blob has a size and no bytes.
type broken struct {
	io.ReaderAt
	size int64
}

func (b broken) Size() int64 { return b.size }
