package layertest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	. "ocifs.dev/ocifs/tests/layertest"
)

// read lists an archive with archive/tar, one line per member.
func read(t *testing.T, b []byte) []string {
	t.Helper()
	var lines []string
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%c %s %o %d:%d %d,%d %s %q %q %v", h.Typeflag, h.Name, h.Mode, h.Uid, h.Gid,
			h.Devmajor, h.Devminor, h.ModTime.UTC().Format(time.RFC3339Nano), h.Linkname, body, h.PAXRecords))
	}
}

func TestTar(t *testing.T) {
	var (
		early = time.Date(1969, 12, 31, 23, 59, 58, 250_000_000, time.UTC)
		long  = strings.Repeat("long/", 60) + "name"
		split = strings.Repeat("p", 90) + "/" + strings.Repeat("n", 90)
	)
	tests := []struct {
		name  string
		entry Entry
		want  string
	}{
		{"dir", Dir("etc/"), `5 etc/ 755 0:0 0,0 2020-01-02T03:04:05Z "" "" map[]`},
		{"file", File("f", "hi", Mode(0o4600), Owner(5, 7)), `0 f 4600 5:7 0,0 2020-01-02T03:04:05Z "" "hi" map[]`},
		{"symlink", Symlink("s", "../t"), `2 s 777 0:0 0,0 2020-01-02T03:04:05Z "../t" "" map[]`},
		{"hard link", Hardlink("h", "t"), `1 h 644 0:0 0,0 2020-01-02T03:04:05Z "t" "" map[]`},
		{"char", Char("c", 1, 3), `3 c 644 0:0 1,3 2020-01-02T03:04:05Z "" "" map[]`},
		{"block", Block("b", 8, 300), `4 b 644 0:0 8,300 2020-01-02T03:04:05Z "" "" map[]`},
		{"fifo", Fifo("p"), `6 p 644 0:0 0,0 2020-01-02T03:04:05Z "" "" map[]`},
		{"whiteout", Whiteout("etc/x"), `0 etc/.wh.x 644 0:0 0,0 2020-01-02T03:04:05Z "" "" map[]`},
		{"opaque", Opaque("etc"), `0 etc/.wh..wh..opq 644 0:0 0,0 2020-01-02T03:04:05Z "" "" map[]`},
		{"opaque root", Opaque(""), `0 .wh..wh..opq 644 0:0 0,0 2020-01-02T03:04:05Z "" "" map[]`},
		{"fraction", File("f", "", ModTime(time.Unix(1, 20))), `0 f 644 0:0 0,0 1970-01-01T00:00:01.00000002Z "" "" map[mtime:1.00000002]`},
		{"before the epoch", File("f", "", ModTime(early)), `0 f 644 0:0 0,0 1969-12-31T23:59:58.25Z "" "" map[mtime:-1.75]`},
		{"big ids, PAX", File("f", "", Owner(1<<31, 1<<22)), `0 f 644 2147483648:4194304 0,0 2020-01-02T03:04:05Z "" "" map[gid:4194304 uid:2147483648]`},
		{"big ids, GNU", File("f", "", Owner(1<<31, 1<<22), Format(tar.FormatGNU)), `0 f 644 2147483648:4194304 0,0 2020-01-02T03:04:05Z "" "" map[]`},
		{"xattr", File("f", "", Xattr("user.a", "1")), `0 f 644 0:0 0,0 2020-01-02T03:04:05Z "" "" map[SCHILY.xattr.user.a:1]`},
		{"long name, PAX", File(long, ""), `0 ` + long + ` 644 0:0 0,0 2020-01-02T03:04:05Z "" "" map[path:` + long + `]`},
		{"long name, GNU", File(long, "", Format(tar.FormatGNU)), `0 ` + long + ` 644 0:0 0,0 2020-01-02T03:04:05Z "" "" map[]`},
		{"long link, GNU", Symlink("s", long, Format(tar.FormatGNU)), `2 s 777 0:0 0,0 2020-01-02T03:04:05Z "` + long + `" "" map[]`},
		{"split name", File(split, "", Format(tar.FormatUSTAR)), `0 ` + split + ` 644 0:0 0,0 2020-01-02T03:04:05Z "" "" map[]`},
		{"patched", File("f", "", Patch(func(h []byte) { h[0] = 'g' })), `0 g 644 0:0 0,0 2020-01-02T03:04:05Z "" "" map[]`},
		{"global", Global(Record{"comment", "x"}), `g pax_global_header 0 0:0 0,0 0001-01-01T00:00:00Z "" "" map[comment:x]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := read(t, Tar(tt.entry, File("end", "")))
			if len(got) != 2 || got[0] != tt.want {
				t.Errorf("archive/tar reads\n %s\nwant\n %s", strings.Join(got, "\n "), tt.want)
			}
		})
	}
}

func TestSparse(t *testing.T) {
	many := []Run{}
	for i := range int64(60) {
		many = append(many, Run{i * 1000, fmt.Sprintf("<%d>", i)})
	}
	for _, f := range []SparseFormat{OldGNU, SparseV0, SparseV01, SparseV1} {
		for n, runs := range map[string][]Run{
			"one":        {{512, "data"}},
			"at the end": {{0, "start"}, {59_996, "stop"}},
			"many":       many,
		} {
			t.Run(f.String()+" "+n, func(t *testing.T) {
				r := tar.NewReader(bytes.NewReader(Tar(Sparse(f, "dir/s", 60_000, runs), File("end", ""))))
				h, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(r)
				if err != nil || h.Name != "dir/s" || string(body) != Content(60_000, runs) {
					t.Errorf("archive/tar reads %s, %d bytes, error %v; want dir/s, 60000 bytes", h.Name, len(body), err)
				}
				if h, err := r.Next(); err != nil || h.Name != "end" {
					t.Errorf("after the sparse file: %v, %v", h, err)
				}
			})
		}
	}
}

func TestCompressors(t *testing.T) {
	data := []byte(strings.Repeat("some bytes ", 1000))
	gunzip := func(b []byte) ([]byte, error) {
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	}
	unzstd := func(b []byte) ([]byte, error) {
		r, err := zstd.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	tests := []struct {
		name   string
		blob   []byte
		decode func([]byte) ([]byte, error)
		magic  string
		count  int
	}{
		{"gzip", Gzip(data, gzip.BestSpeed), gunzip, "\x1f\x8b\x08", 1},
		{"members", MultiGzip(data, 7), gunzip, "\x1f\x8b\x08", 7},
		{"zstd", Zstd(data), unzstd, "\x28\xb5\x2f\xfd", 1},
		{"frames", ZstdFrames(data, 7), unzstd, "\x28\xb5\x2f\xfd", 7},
	}
	for _, tt := range tests {
		got, err := tt.decode(tt.blob)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, error %v; want %d bytes", tt.name, len(got), err, len(data))
		}
		if n := bytes.Count(tt.blob, []byte(tt.magic)); n != tt.count {
			t.Errorf("%s: starts %d times, want %d", tt.name, n, tt.count)
		}
	}
}

func example() Image {
	base := Tar(
		Dir("./", Mode(0o750)),
		Dir("etc"), File("etc/motd", "hi", Owner(5, 7), Xattr("user.a", "1"), ModTime(time.Unix(1e9, 123))),
		Hardlink("etc/motd2", "etc/motd"), File("etc/gone", "x"), Symlink("s", "etc/motd"),
		Char("null", 1, 3), Fifo("p"), Sparse(SparseV1, "sp", 5000, []Run{{1000, "run"}}),
	)
	top := Tar(Whiteout("etc/gone"), File("new", "n"))
	return Image{Tag: "t", Layers: []Layer{GzipLayer(base), Plain(top)}}
}

// TestUnpack has umoci read a layout, and looks at everything it makes of it.
func TestUnpack(t *testing.T) {
	layout, dir := t.TempDir(), t.TempDir()
	WriteLayout(t, layout, example(), Index{Tag: "other", Manifests: []Document{Index{Manifests: []Document{example()}}}})
	Unpack(t, layout, "t", filepath.Join(dir, "root"))
	got := Walk(t, filepath.Join(dir, "root"))
	motd := got["etc/motd"]
	if motd.Mode != 0o100644 || motd.UID != 5 || motd.GID != 7 || motd.Sec != 1e9 || motd.Nsec != 123 || motd.Size != 2 ||
		motd.Nlink != 2 || motd.Names != "etc/motd etc/motd2" || motd.Xattrs["user.a"] != "1" {
		t.Errorf("etc/motd is %+v", motd)
	}
	if null := got["null"]; null.Mode != 0o20644 || null.Major != 1 || null.Minor != 3 {
		t.Errorf("null is %+v", null)
	}
	if got["s"].Link != "etc/motd" || got["sp"].Size != 5000 || got["."].Mode != 0o40750 {
		t.Errorf("tree is %+v", got)
	}
	for _, name := range []string{"etc/gone", "etc/.wh.gone"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestArchives(t *testing.T) {
	image := example()
	image.Docker, image.Tag = true, "example.org/x:t"
	for name, b := range map[string][]byte{
		"index.json":    OCIArchive(image, Index{Manifests: []Document{image}}),
		"manifest.json": DockerArchive(image, image),
	} {
		lines := strings.Join(read(t, b), "\n")
		if !strings.Contains(lines, name+" ") || !strings.Contains(lines, "example.org/x:t") {
			t.Errorf("%s is not there, or the tag is not in it:\n%.2000s", name, lines)
		}
	}
}

func TestStore(t *testing.T) {
	arm := &ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	image := example()
	image.Platform = arm
	s := Store{}
	d := s.Add(Index{Docker: true, Manifests: []Document{image}})
	if d.MediaType != DockerManifestList || !strings.Contains(string(s[d.Digest]), `"arm64"`) {
		t.Errorf("index is a %s: %s", d.MediaType, s[d.Digest])
	}
	if len(s) != 5 { // index, manifest, config, two layers
		t.Errorf("store has %d blobs, want 5", len(s))
	}
	for want, b := range maps.All(s) {
		if want.Algorithm().FromBytes(b) != want {
			t.Errorf("%s names other bytes", want)
		}
	}
}

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "1")
	write("b", "1")
	before := Walk(t, dir)
	Compare(t, dir, dir)
	if d := Diff(before, before); len(d) != 0 {
		t.Errorf("a tree differs from itself: %q", d)
	}
	write("a", "2")
	if err := os.Remove(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "c")); err != nil {
		t.Fatal(err)
	}
	diff := strings.Join(Diff(before, Walk(t, dir), RootAttrs), "\n")
	for _, want := range []string{`"a": content is`, `"a": nlink is 2, want 1`, `"a": names is "a c"`, `"b": missing`, `"c": should not be there`} {
		if !strings.Contains(diff, want) {
			t.Errorf("no line %s in\n%s", want, diff)
		}
	}
	if strings.Contains(diff, `"."`) {
		t.Errorf("the root was to be ignored:\n%s", diff)
	}
}
