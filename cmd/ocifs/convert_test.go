package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ocifs.dev/ocifs/fs/convert"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestConvert writes an image in every format, to a layout and to a registry,
// and holds what umoci and skopeo make of it against the source.
func TestConvert(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Writable: true})
	w := newWorld(t)
	top := lt.GzipLayer(lt.Tar(
		lt.Hardlink("app/again", "app/last"), lt.Symlink("app/link", "last"), lt.Whiteout("app/plain"), lt.File("app/owned", "o", lt.Owner(5, 70), lt.Mode(0o4750), lt.Xattr("user.note", "hi"))))
	large, forUmoci := largeImage(), lt.Image{Tag: "t"}
	forUmoci.Layers = []lt.Layer{large.Layers[0], lt.Plain(largeTars()[1]), large.Layers[2], top}
	large.Layers = append(slices.Clip(large.Layers), top)
	lt.WriteLayout(t, w.in("large"), large)
	lt.WriteLayout(t, w.in("no-zstd"), forUmoci)
	from := "oci:" + w.in("large") + ":t"
	want := w.walk(from)
	for _, f := range convert.Formats {
		t.Run(string(f), func(t *testing.T) {
			dir := w.in("out-" + strings.ReplaceAll(string(f), ":", "-"))
			to := "oci:" + dir + ":new"
			var c conversion
			w.decode(&c, "convert", "--json", "--format", string(f), from, to)
			if c.Schema != "ocifs.dev/convert/v1" || c.DryRun || c.To != to || len(c.Entries) != 4 || c.Before == 0 || c.After == 0 || c.From == c.Digest {
				t.Errorf("%+v", c)
			}
			out := w.ok("convert", "--format", string(f), from, reg.Host+"/converted:"+strings.ReplaceAll(string(f), ":", "-"))
			if !strings.Contains(out, "wrote "+reg.Host+"/converted:") || !strings.Contains(out, "@"+c.Digest+" ("+string(f)+", 4 layers, ") || strings.Count(out, "layer ") != 4 {
				t.Errorf("%s", out)
			}
			origin := map[convert.Format]string{convert.EStargz: "layer layer layer layer", convert.ZstdChunked: "layer layer layer layer"}[f]
			if got := w.elsewhere("cache-" + string(f)).origins(to); origin != "" && got != origin {
				t.Errorf("indexes: %s", got)
			}
			if origin != "" {
				if out := w.ok("index", "verify", to); strings.Count(out, "  ok\n") != 4 {
					t.Errorf("verify: %s", out)
				}
			}
			if got := w.walk(to); !slices.Equal(got, want) {
				t.Errorf("got %q\nwant %q", got, want)
			}
			w.others(t, dir, f)
		})
	}
}

// walk is what an image shows, but for what eStargz adds.
func (w *world) walk(ref string) []string {
	w.t.Helper()
	var ls struct{ Entries []fileInfo }
	w.decode(&ls, "ls", "-aR", "--json", ref)
	var lines []string
	for _, e := range ls.Entries {
		if e.Path == "/stargz.index.json" || strings.HasSuffix(e.Path, ".landmark") {
			continue
		}
		e.Layer, e.Inode = 0, 0
		b, err := json.Marshal(e)
		if err != nil {
			w.t.Fatal(err)
		}
		lines = append(lines, string(b))
	}
	return lines
}

// others has skopeo and umoci read a layout.
func (w *world) others(t *testing.T, dir string, f convert.Format) {
	t.Helper()
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("skopeo is not on PATH")
	}
	run := func(name string, args ...string) bool {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s %q: %v: %s", name, args, err, out)
		}
		return err == nil
	}
	run(skopeo, "inspect", "oci:"+dir+":new")
	again := t.TempDir() // skopeo verifies every layer, and its diffID
	run(skopeo, "--insecure-policy", "copy", "--dest-decompress", "oci:"+dir+":new", "dir:"+again)
	if f == convert.Zstd || f == convert.ZstdChunked {
		t.Log("not unpacked by umoci: before 0.6 it reads no zstd layers")
		return
	}
	got, want := filepath.Join(t.TempDir(), "got"), filepath.Join(t.TempDir(), "want")
	lt.Unpack(t, dir, "new", got)
	lt.Unpack(t, w.in("no-zstd"), "t", want)
	os.Remove(filepath.Join(got, "stargz.index.json"))
	os.Remove(filepath.Join(got, ".no.prefetch.landmark"))
	lt.Compare(t, want, got, lt.RootAttrs)
}

// imageOf makes an image of archives, each stored in its way.
func imageOf(store ...func([]byte) lt.Layer) func(tars [][]byte) lt.Image {
	return func(tars [][]byte) lt.Image {
		img := lt.Image{Tag: "t"}
		for i, tar := range tars {
			img.Layers = append(img.Layers, store[i](tar))
		}
		return img
	}
}

// TestConvertFirst puts files in front.
func TestConvertFirst(t *testing.T) {
	w := newWorld(t)
	lt.WriteLayout(t, w.in("image"), imageOf(lt.GzipLayer, lt.ZstdLayer)([][]byte{
		lt.Tar(lt.Dir("app"), lt.File("app/first", "first\n"), lt.File("app/large", prose(200<<10, 1)), lt.File("app/last", "last\n")),
		lt.Tar(lt.File("app/zstd", "zstd\n")),
	}))
	from := "oci:" + w.in("image") + ":t"
	for name, text := range map[string]string{"list": "/app/last\n\napp/nowhere\n", "trace.jsonl": `{"op":"open","path":"/app/../app/last"}` + "\n{}\n" + `{"path":"app/last"}` + "\n"} {
		if err := os.WriteFile(w.in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list := w.ok("convert", "--format=estargz", "--prioritize=list", from, "oci:list-out:t")
	trace := w.ok("convert", "--format=estargz", "--prioritize=trace=trace.jsonl", from, "oci:trace-out:t")
	none := w.ok("convert", "--format=estargz", "--chunk-size=64KiB", from, "oci:none-out:t")
	id := func(out string) string { _, s, _ := strings.Cut(out, "@"); return s[:71] }
	if id(list) != id(trace) || id(list) == id(none) {
		t.Errorf("with a list %s, with a trace %s, without %s", id(list), id(trace), id(none))
	}
	if out := w.ok("ls", "-a", "oci:list-out:t", "/"); !strings.Contains(out, ".prefetch.landmark\n") {
		t.Errorf("no landmark: %s", out)
	}
	if out := w.ok("convert", "--dry-run", "--format=zstd", "--level=3", from, "oci:dry:t"); !strings.Contains(out, "would write oci:") {
		t.Errorf("%s", out)
	}
	if _, err := os.Stat(w.in("dry")); err == nil {
		t.Error("a dry run wrote something")
	}
}

// TestConvertWrong has every wrong way to say it.
func TestConvertWrong(t *testing.T) {
	w := newWorld(t)
	if err := os.WriteFile(w.in("bad.jsonl"), []byte("{}\nhello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.in("full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.in("full/of"), []byte("things"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args    string
		code    int
		message string
	}{
		{"convert REF", exitUsage, "convert: DESTINATION is missing"},
		{"convert REF oci:x:t", exitUsage, "hint: there are estargz, zstd:chunked, gzip, zstd"},
		{"convert --format bzip2 REF oci:x:t", exitUsage, `no format "bzip2"`},
		{"convert --format gzip --level 22 REF oci:x:t", exitUsage, "--level of gzip is 1 to 9, not 22"},
		{"convert --format gzip --level 0 REF oci:x:t", exitUsage, "--level of gzip is 1 to 9, not 0"},
		{"convert --format zstd --chunk-size 1MiB REF oci:x:t", exitUsage, "are for estargz and zstd:chunked, not for zstd"},
		{"convert --format zstd --prioritize x REF oci:x:t", exitUsage, "are for estargz and zstd:chunked, not for zstd"},
		{"convert --format estargz --chunk-size 1 REF oci:x:t", exitUsage, `--chunk-size "1": not a size`},
		{"convert --format estargz --prioritize none REF oci:x:t", exitFailure, "--prioritize: open none: no such file or directory"},
		{"convert --format estargz --prioritize trace=bad.jsonl REF oci:x:t", exitFailure, "bad.jsonl: line 2: invalid character"},
		{"convert --format gzip REF oci-archive:x.tar", exitUsage, "an archive cannot be written to"},
		{"convert --format gzip REF oci:x@sha256:" + strings.Repeat("0", 64), exitUsage, "a digest cannot be chosen"},
		{"convert --format gzip REF oci:full", exitNotFound, "full"},
		{"convert --format gzip oci:nowhere oci:x:t", exitNotFound, "nowhere: not found"},
		{"convert --format gzip --dry-run=maybe REF oci:x:t", exitUsage, "--dry-run is true or false"},
	} {
		w.fails(c.code, c.message, w.words(c.args)...)
	}
	if _, err := os.Stat(w.in("x")); err == nil {
		t.Error("something was written")
	}
}

// TestWritingFrame shows work that is not indexing under its own name.
func TestWritingFrame(t *testing.T) {
	got := frame([]step{{Layers: 1, Label: "pushing", Done: 3 << 20, Total: 12 << 20}}, 3*time.Second, 80, 24)
	want := []string{"pushing  [=====               ]  3.0 of 12.0 MiB", "3.0 of 12.0 MiB, 1.0 MiB/s, 9s left"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestReadPaths reads lists, and names lines that are none.
func TestReadPaths(t *testing.T) {
	list, err := readPaths(strings.NewReader("a\n/b/../c//d/\n\n..\n/\nc/d\n"), func(b []byte) (string, error) { return string(b), nil })
	if err != nil || !slices.Equal(list, []string{"a", "c/d"}) {
		t.Errorf("%q, %v", list, err)
	}
	if _, err := readPaths(strings.NewReader(strings.Repeat("x", maxPathLine+1)), tracedPath); err == nil {
		t.Error("an endless line was read")
	}
	if got := []string{grouped(0), grouped(999), grouped(1000), grouped(1234567)}; !slices.Equal(got, []string{"0", "999", "1,000", "1,234,567"}) {
		t.Errorf("%q", got)
	}
}
