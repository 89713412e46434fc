package main

import (
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestHistory puts steps beside layers, also where they don't fit.
func TestHistory(t *testing.T) {
	w := newWorld(t)
	lines := strings.Split(w.ok("history", w.ref), "\n")
	want := []string{"#|CREATED|SIZE|CREATED BY", "1|-|*|ADD base /", "-|-|-|ENV A=1", "2|-|*|RUN install ping", ""}
	for i := range want {
		if i >= len(lines) || !fitsRow(lines[i], want[i]) {
			t.Fatalf("line %d of\n%s\nis not %q", i+1, strings.Join(lines, "\n"), want[i])
		}
	}
	var doc struct {
		Schema string
		Steps  []historyStep
	}
	w.decode(&doc, "history", "--json", w.ref)
	if s := doc.Steps; doc.Schema != "ocifs.dev/history/v1" || len(s) != 3 || *s[0].Layer != 0 || s[1].Layer != nil || !s[1].EmptyLayer || *s[2].Layer != 1 || s[2].Size == 0 {
		t.Errorf("%+v", doc)
	}
	layers := []ocispec.Descriptor{{Size: 1}, {Size: 2}}
	for _, c := range []struct {
		steps int
		sizes []int64
		fits  bool
	}{{0, []int64{1, 2}, true}, {1, []int64{1, 2}, false}, {2, []int64{1, 2}, true}, {3, []int64{1, 2, 0}, false}} {
		steps, fits := historyOf(make([]ocispec.History, c.steps), layers)
		var sizes []int64
		for _, s := range steps {
			sizes = append(sizes, s.Size)
		}
		if fits != c.fits || !slices.Equal(sizes, c.sizes) {
			t.Errorf("%d steps for 2 layers: sizes %v, fits %v", c.steps, sizes, fits)
		}
	}
}

// fitsRow compares a row of a table with the cells it should have; * is any.
func fitsRow(line, want string) bool {
	var cells []string
	for c := range strings.SplitSeq(line, "  ") {
		if c = strings.TrimSpace(c); c != "" {
			cells = append(cells, c)
		}
	}
	wanted := strings.Split(want, "|")
	if want == "" {
		return line == ""
	}
	return slices.EqualFunc(cells, wanted, func(c, w string) bool { return c == w || w == "*" })
}

// TestTags lists tags of a registry and names of a layout.
func TestTags(t *testing.T) {
	w := newWorld(t)
	reg := registrytest.Start(t, registrytest.Options{TagPage: 2})
	layer := lt.GzipLayer(lt.Tar(lt.File("f", "x")))
	for _, tag := range []string{"c", "a", "b"} {
		reg.Push("app", tag, registrytest.Layer{Blob: layer.Blob, DiffID: layer.DiffID})
	}
	w.looks([]looking{
		{"tags " + reg.Host + "/app", "a\nb\nc\n"},
		{"tags --limit 2 " + reg.Host + "/app:c", "a\nb\n"},
		{"tags REF", "t\n"},
	})
	var doc struct {
		Schema, Name string
		Tags         []string
	}
	w.decode(&doc, "tags", "--json", reg.Host+"/app")
	if doc.Schema != "ocifs.dev/tags/v1" || doc.Name != reg.Host+"/app" || len(doc.Tags) != 3 {
		t.Errorf("%+v", doc)
	}
	w.fails(exitNotFound, "NAME_UNKNOWN", "tags", reg.Host+"/nope")
	w.fails(exitUsage, "--limit is at least 1", "tags", "--limit", "0", w.ref)
	w.fails(exitNotFound, "not found", "tags", "oci:"+w.in("nowhere"))
}

// TestDigest asks what a tag points at, by one request, and for a platform.
func TestDigest(t *testing.T) {
	w := newWorld(t)
	reg := registrytest.Start(t, registrytest.Options{})
	layer := lt.GzipLayer(lt.Tar(lt.File("f", "x")))
	one := reg.Push("app", "one", registrytest.Layer{Blob: layer.Blob, DiffID: layer.DiffID})
	one.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	other := one
	other.Digest, other.Platform = "sha256:"+ocispec.DescriptorEmptyJSON.Digest[7:], &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	index := reg.PushIndex("app", "many", one, other)
	app := reg.Host + "/app"
	reg.Reset()
	w.looks([]looking{{"digest " + app + ":many", string(index.Digest) + "\n"}})
	if n := reg.Count(); n != 1 {
		t.Errorf("%d requests for a digest", n)
	}
	w.looks([]looking{
		{"digest " + app + ":many --platform linux/amd64", string(one.Digest) + "\n"},
		{"digest " + app + ":one", string(one.Digest) + "\n"},
		{"digest --full " + app + ":many", app + "@" + string(index.Digest) + "\n"},
		{"digest --full " + app + ":many --platform linux/amd64", app + "@" + string(one.Digest) + "\n"},
		{"digest " + app + "@" + string(one.Digest), string(one.Digest) + "\n"},
		{"platforms " + app + ":many", "PLATFORM      DIGEST\nlinux/amd64   " + string(one.Digest) + "\nlinux/arm/v7  " + string(other.Digest) + "\n"},
		{"platforms " + app + ":one", "PLATFORM     DIGEST\nlinux/amd64  " + string(one.Digest) + "\n"},
	})
	w.fails(exitNotFound, "MANIFEST_UNKNOWN", "digest", app+"@"+string(other.Digest))
	w.fails(exitNotFound, "no image for linux/s390x", "digest", app+":many", "--platform", "linux/s390x")
	var doc struct {
		Schema    string
		Platforms []platformEntry
	}
	w.decode(&doc, "platforms", "--json", app+":many")
	if p := doc.Platforms; doc.Schema != "ocifs.dev/platforms/v1" || len(p) != 2 || p[1].Platform != "linux/arm/v7" || p[1].Variant != "v7" || p[1].Digest != string(other.Digest) {
		t.Errorf("%+v", doc)
	}
	var d struct{ Schema, Name, Digest string }
	w.decode(&d, "digest", "--json", app+":many")
	if d.Schema != "ocifs.dev/digest/v1" || d.Name != app+"@"+string(index.Digest) || d.Digest != string(index.Digest) {
		t.Errorf("%+v", d)
	}
}
