package tests

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// archives tells an image, layer by layer, with everything on which unpackers
// agree: all types, owners, times, attributes, names and sizes that chunks and
// blocks may stumble over, whiteouts, opaque directories, replaced types.
func archives() [][]byte {
	return [][]byte{lt.Tar(baseLayer()...), lt.Tar(middleLayer()...), lt.Tar(topLayer()...)}
}

func baseLayer() []lt.Entry {
	e := []lt.Entry{
		lt.Dir("./", lt.Mode(0o755)),
		lt.Dir("etc"), lt.File("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
		lt.File("etc/shadow", "secret", lt.Mode(0o640), lt.Owner(0, 42)),
		lt.Dir("tmp", lt.Mode(0o1777)), lt.Dir("home", lt.Mode(0o2750), lt.Owner(1000, 1000)),
		lt.File("home/nano", "n", lt.ModTime(time.Unix(1234567890, 123456789))),
		lt.Dir("bin"), lt.File("bin/su", "#!", lt.Mode(0o4755)), lt.Symlink("bin/sh", "su"),
		lt.Symlink("abs", "/etc/passwd"), lt.Symlink("out", "../../../etc/passwd"), lt.Symlink("dangling", "nowhere"),
		lt.File("bin/ping", "p", lt.Xattr("security.capability", "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")),
		lt.File("attr", "a", lt.Xattr("user.one", "1"), lt.Xattr("user.two", strings.Repeat("2", 300))),
		lt.Dir("dev"), lt.Char("dev/null", 1, 3, lt.Mode(0o666)), lt.Block("dev/sda", 8, 0), lt.Fifo("dev/pipe"),
		lt.Dir("names"), lt.File("names/"+strings.Repeat("l", 255), "long"),
		lt.File("names/with space", "s"), lt.File("names/new\nline", "n"), lt.File("names/\xff\xfe", "bytes"), lt.File("names/日本", "utf-8"),
		lt.Dir("gnu"), lt.File("gnu/"+strings.Repeat("g", 180), "long, the GNU way", lt.Format(tar.FormatGNU)),
		lt.Dir("links"), lt.File("links/a", "linked"), lt.Hardlink("links/b", "links/a"), lt.Hardlink("links/c", "links/b"),
		lt.Hardlink("links/sym", "abs"),
		lt.Dir("gone"), lt.File("gone/x", "x"), lt.Dir("gone/deep"), lt.File("gone/deep/y", "y"),
		lt.Dir("opaque"), lt.File("opaque/old", "o"), lt.Dir("opaque/sub"), lt.File("opaque/sub/old", "o"),
		lt.File("file-to-dir", "f"), lt.Dir("dir-to-file"), lt.File("dir-to-file/x", "x"), lt.Symlink("link-to-file", "etc"),
		lt.File("early", "e", lt.ModTime(time.Unix(1, 0))), lt.Dir("empty"),
		lt.File("big-owner", "", lt.Owner(3000000, 4000000)),
		lt.Sparse(lt.SparseV1, "sparse", 3<<20, []lt.Run{{Off: 1 << 20, Data: "island"}, {Off: 3<<20 - 4, Data: "end."}}),
	}
	e = append(e, deep("deep", 60)...)
	return append(e, sizes("sizes")...)
}

// deep is a file so many directories down.
func deep(name string, depth int) []lt.Entry {
	var e []lt.Entry
	for range depth {
		e = append(e, lt.Dir(name))
		name += "/down"
	}
	return append(e, lt.File(name, "at the bottom"))
}

// sizes are files as long as blocks, pages, and the pieces of decoders are,
// and a byte more and less.
func sizes(dir string) []lt.Entry {
	e := []lt.Entry{lt.Dir(dir)}
	for _, n := range []int{0, 1, 512, 4096, 32 << 10, 64 << 10, 128 << 10, 1 << 20, 4 << 20} {
		for _, d := range []int{-1, 0, 1} {
			if n+d >= 0 {
				e = append(e, lt.File(fmt.Sprintf("%s/%d", dir, n+d), text(n+d)))
			}
		}
	}
	return e
}

// text is n bytes that compress as files do, some parts well, others not, the
// same for the same n.
func text(n int) string {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, 0, n+64)
	for len(b) < n {
		switch r.IntN(4) {
		case 0:
			for range 64 {
				b = append(b, byte(r.Uint32()))
			}
		case 1:
			b = append(b, strings.Repeat("=", r.IntN(500))...)
		default:
			b = fmt.Appendf(b, "line %d of a file of %d bytes\n", len(b), n)
		}
	}
	return string(b[:n])
}

func middleLayer() []lt.Entry {
	return []lt.Entry{
		lt.Dir("etc", lt.Mode(0o711)), lt.File("etc/new", "new"),
		lt.Whiteout("gone"), lt.Whiteout("home/nano"),
		lt.Dir("opaque"), lt.File("opaque/new", "n"), lt.Opaque("opaque"),
		lt.Dir("file-to-dir"), lt.File("file-to-dir/x", "x"), lt.File("dir-to-file", "f"), lt.File("link-to-file", "f"),
		lt.File("links/a", "replaced"),
		lt.Dir("empty", lt.Mode(0o700), lt.ModTime(time.Unix(1700000000, 5))),
	}
}

func topLayer() []lt.Entry {
	return []lt.Entry{
		lt.Dir("gone"), lt.File("gone/again", "again"),
		lt.Whiteout("links/b"), lt.File("top", text(200_000)),
	}
}

// A packing is one way of storing a layer.
type packing struct {
	name string
	pack func(tar []byte) lt.Layer
}

var packings = []packing{
	{"plain", lt.Plain},
	{"gzip", lt.GzipLayer},
	{"gzip, best", gzipped(gzip.BestCompression)},
	{"gzip, stored", gzipped(gzip.NoCompression)},
	{"gzip, Huffman only", gzipped(gzip.HuffmanOnly)},
	{"gzip, 7 members", func(b []byte) lt.Layer { return lt.NewLayer(b, lt.MultiGzip(b, 7), ocispec.MediaTypeImageLayerGzip) }},
	{"zstd", lt.ZstdLayer},
	{"zstd, 7 frames", func(b []byte) lt.Layer { return lt.NewLayer(b, lt.ZstdFrames(b, 7), ocispec.MediaTypeImageLayerZstd) }},
}

func gzipped(level int) func([]byte) lt.Layer {
	return func(b []byte) lt.Layer { return lt.NewLayer(b, lt.Gzip(b, level), ocispec.MediaTypeImageLayerGzip) }
}

// packed is the image of archives, all layers in one packing.
func packed(tag string, pack func([]byte) lt.Layer) lt.Image {
	m := lt.Image{Tag: tag}
	for _, b := range archives() {
		m.Layers = append(m.Layers, pack(b))
	}
	return m
}

// images is an OCI layout on disk: the image of archives in every packing, as
// p0, p1 …, and, compressed with gzip, as "docker", with Docker's media types,
// and as "x", an index for two platforms. Below want is what umoci makes of
// each of them.
type images struct {
	once         sync.Once
	layout, want string
}

var madeImages images

// fixture makes images, once for all tests.
func fixture(t testing.TB) *images {
	t.Helper()
	madeImages.once.Do(func() {
		dir := filepath.Join(scratch(t), "images")
		var list []lt.Document
		for i, p := range packings {
			list = append(list, packed(fmt.Sprintf("p%d", i), p.pack))
		}
		gz := packed("docker", lt.GzipLayer)
		x := lt.Index{Tag: "x", Manifests: []lt.Document{other(gz, "amd64"), other(gz, "arm64")}}
		gz.Docker = true
		lt.WriteLayout(t, dir, append(list, gz, x)...)
		want := dir + ".want"
		lt.Unpack(t, dir, "p1", want)
		madeImages.layout, madeImages.want = dir, want
	})
	if madeImages.want == "" {
		t.Skip("no oracle: see the first test that skipped")
	}
	return &madeImages
}

// small is an image of one file.
func small(tag, content string) lt.Image {
	return lt.Image{Tag: tag, Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", content)))}}
}

// digestOf is the digest of an image's manifest.
func digestOf(m lt.Document) digest.Digest { return lt.Store{}.Add(m).Digest }

// readAtRandom reads pieces of the files below got, in no order, and compares
// them with those below want: what a page cache asks for, and decoders hate.
func readAtRandom(t testing.TB, want, got string) {
	t.Helper()
	var names []string
	err := filepath.WalkDir(want, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			if err := readPieces(r, name, got+strings.TrimPrefix(name, want)); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

func readPieces(r *rand.Rand, want, got string) error {
	w, err := os.ReadFile(want)
	if err != nil {
		return err
	}
	f, err := os.Open(got)
	if err != nil {
		return err
	}
	defer f.Close()
	for range 4 {
		off := r.IntN(len(w) + 1)
		p := make([]byte, min(len(w)-off, 1+r.IntN(70_000)))
		if _, err := f.ReadAt(p, int64(off)); err != nil {
			return fmt.Errorf("%d bytes at %d: %w", len(p), off, err)
		}
		if string(p) != string(w[off:off+len(p)]) {
			return fmt.Errorf("%s: %d bytes at %d differ", got, len(p), off)
		}
	}
	return nil
}
