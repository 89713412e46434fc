package main

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// platformImages is an image index of two platforms, one of them nested, whose
// files tell them apart, with an attestation.
func platformImages() lt.Index {
	img := func(arch string, store func([]byte) lt.Layer) lt.Image {
		p := ocispec.Platform{OS: "linux", Architecture: arch}
		return lt.Image{Platform: &p, Config: ocispec.Image{Platform: p},
			Layers: []lt.Layer{store(lt.Tar(lt.File("arch", arch), lt.File("large", prose(2<<20, 7)))), lt.GzipLayer(lt.Tar(lt.File("noarch", "x")))}}
	}
	said := lt.Image{Platform: &ocispec.Platform{OS: "unknown", Architecture: "unknown"}, Layers: []lt.Layer{lt.Plain(nil)}}
	return lt.Index{Tag: "t", Manifests: []lt.Document{
		img("amd64", lt.GzipLayer), said, lt.Index{Manifests: []lt.Document{img("arm64", lt.GzipLayer)}}, img("s390x", lt.ZstdLayer)}}
}

// TestIndexNamed writes images whose manifests name their indexes: all the
// platforms', and one's.
func TestIndexNamed(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags string
		kind  string
		want  map[string]string // by platform: origins
	}{
		{"ocifs", "--all-platforms", "ocifs", map[string]string{"linux/amd64": "pushed pushed", "linux/arm64": "pushed pushed", "linux/s390x": "pushed pushed"}},
		{"soci", "--all-platforms --format=soci --min-layer=100KiB", "SOCI", map[string]string{"linux/amd64": "soci read", "linux/arm64": "soci read", "linux/s390x": "read read"}},
		{"one", "--platform=linux/arm64", "ocifs", map[string]string{"linux/arm64": "pushed pushed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := registrytest.Start(t, registrytest.Options{Writable: true})
			w := newWorld(t)
			lt.WriteLayout(t, w.in("many"), platformImages())
			from := "oci:" + w.in("many") + ":t"
			for _, to := range []string{reg.Host + "/many:named", "oci:" + w.in("named") + ":t"} {
				var told struct {
					Schema, Digest, Kind string
					Images               []namedInfo
				}
				args := append(append([]string{"index", "build", "--quiet", "--json"}, strings.Fields(c.flags)...), from, to)
				w.decode(&told, args...)
				if told.Schema != "ocifs.dev/index-named/v1" || told.Kind != c.kind || len(told.Images) != len(c.want) {
					t.Errorf("%+v", told)
				}
				var x ocispec.Index
				w.decode(&x, "inspect", "--raw", to)
				indexes := 0
				for _, i := range told.Images {
					if i.Index != "" {
						indexes++
					}
				}
				if len(x.Manifests) != len(c.want)+indexes || indexes == 0 {
					t.Errorf("%d images, %d indexes: %+v", len(c.want), indexes, x)
				}
				for platform, want := range c.want {
					w2 := w.elsewhere("cache-" + strings.ReplaceAll(platform, "/", "-") + to[:3])
					if got := w2.origins(to, "--index=trusted", "--platform="+platform); got != want {
						t.Errorf("%s of %s: %s, want %s", platform, to, got, want)
					}
					if got := w2.ok("cat", "--index=trusted", "--platform="+platform, to, "arch"); "linux/"+got != platform {
						t.Errorf("%s reads %s", platform, got)
					}
					if want != "read read" {
						w2.ok("index", "verify", "--platform="+platform, to)
					}
				}
				// Once more, of the result: what was named before is not named beside.
				w.ok(append(append([]string{"index", "build", "--quiet"}, strings.Fields(c.flags)...), to, to+"-again")...)
				var again ocispec.Index
				w.decode(&again, "inspect", "--raw", to+"-again")
				if len(again.Manifests) != len(x.Manifests) || again.Manifests[0].Digest != x.Manifests[0].Digest {
					t.Errorf("again: %+v\nbefore: %+v", again, x)
				}
			}
		})
	}
}

// TestIndexPushAll pushes an index for every platform, and then replaces one.
func TestIndexPushAll(t *testing.T) {
	for _, o := range []registrytest.Options{
		{Writable: true}, {Writable: true, Referrers: registrytest.ReferrersAPI{API: true}},
	} {
		reg := registrytest.Start(t, o)
		w := newWorld(t)
		lt.WriteLayout(t, w.in("many"), platformImages())
		if err := reg.PushLayout("many", "", w.in("many")); err != nil {
			t.Fatal(err)
		}
		ref := reg.Host + "/many:t"
		if out := w.ok("index", "push", "--all-platforms", ref); strings.Count(out, "pushed sha256:") != 3 {
			t.Errorf("%s", out)
		}
		if out := w.ok("index", "build", "--all-platforms", ref); strings.Count(out, "known\n") != 6 || !strings.Contains(out, "linux/arm64 sha256:") {
			t.Errorf("%s", out)
		}
		for _, p := range []string{"linux/amd64", "linux/arm64", "linux/s390x"} {
			if got := w.elsewhere("cache-"+p[6:]).origins(ref, "--platform="+p); got != "pushed pushed" {
				t.Errorf("%s: %s", p, got)
			}
		}
		pushLie(t, ref)
		if r := w.run("index", "push", ref); r.code != exitOK || !strings.Contains(r.errors, "has 2 indexes of sha256:") {
			t.Errorf("beside another: %+v", r)
		}
		if out := w.ok("index", "push", "--replace", ref); strings.Count(out, "deleted sha256:") != 1 {
			t.Errorf("instead of another: %s", out)
		}
		w.elsewhere("cache-verify").ok("index", "verify", ref)
		w.fails(exitUsage, "--all-platforms", "index", "push", "--all-platforms", "--platform=linux/amd64", ref)
	}
}
