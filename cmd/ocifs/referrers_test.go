package main

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestReferrers shows what refers to an image, and to that in turn.
func TestReferrers(t *testing.T) {
	w := newWorld(t)
	image := func(arch string) lt.Image {
		return lt.Image{Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File(arch, "")))}, Platform: &ocispec.Platform{OS: "linux", Architecture: arch}}
	}
	amd, arm := image("amd64"), image("arm64")
	attests := lt.Listed{Document: lt.Artifact{Type: "x/attest", Blobs: []lt.Blob{{MediaType: "application/vnd.in-toto+json", Body: []byte("{}"), Annotations: map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}}}},
		Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digestOf(amd)}}
	index := lt.Index{Tag: "t", Manifests: []lt.Document{amd, arm, attests}}
	sbom := lt.Artifact{Type: "x/sbom", Subject: index, Annotations: map[string]string{ocispec.AnnotationCreated: "2024-05-06T07:08:09Z", "note": "\x1b[31m"}}
	signed := lt.Artifact{Type: "x/sig\x1b[2J", Subject: sbom}
	forArm := lt.Artifact{Config: lt.Blob{MediaType: "x/old", Body: []byte("{}")}, Subject: arm}
	lt.WriteLayout(t, w.in("refs"), index, sbom, signed, forArm, lt.Artifact{Type: "x/other", Subject: signed})
	ref := "oci:" + w.in("refs") + ":t"
	short := func(d lt.Document) string { return digestOf(d) }
	want := ref + "  " + short(index) + `
├── x/sbom  ` + short(sbom) + `  2024-05-06T07:08:09Z
│   └── x/sig\x1b[2J  ` + short(signed) + `
│       └── x/other  ` + short(lt.Artifact{Type: "x/other", Subject: signed}) + `
├── linux/amd64  ` + short(amd) + `
│   └── attestation-manifest (https://slsa.dev/provenance/v1)  ` + short(attests.Document) + `
└── linux/arm64  ` + short(arm) + `
    └── x/old  ` + short(forArm) + `
`
	if got := w.ok("referrers", ref); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := w.ok("discover", "--depth=1", "--platform=linux/arm64", ref); strings.Contains(got, "x/sig") || strings.Contains(got, "amd64") || !strings.Contains(got, "x/old") {
		t.Errorf("one step, one platform:\n%s", got)
	}
	got := w.ok("referrers", "--artifact-type=x/other", "--table", ref)
	if lines := strings.Split(got, "\n"); len(lines) != 5 || !strings.HasPrefix(lines[0], "TYPE") || !strings.HasPrefix(lines[3], "x/other ") {
		t.Errorf("of one type:\n%s", got)
	}
	var doc struct {
		Schema    string
		Digest    string
		Referrers []referredInfo
		Manifests []referredInfo
	}
	w.decode(&doc, "referrers", "--json", ref)
	if doc.Schema != "ocifs.dev/referrers/v1" || doc.Digest != digestOf(index) || len(doc.Referrers) != 1 || doc.Referrers[0].Annotations["note"] != "\x1b[31m" ||
		len(doc.Manifests) != 2 || !doc.Manifests[0].Referrers[0].Attestation || doc.Manifests[1].Platform != "linux/arm64" {
		t.Errorf("%+v", doc)
	}
	if got := w.run("referrers", w.ref); got.code != exitOK || got.out != "" || !strings.Contains(got.errors, "nothing refers to") {
		t.Errorf("an image by itself: %+v", got)
	}
	w.fails(exitUsage, "--depth is at least 1", "referrers", "--depth=0", ref)
	w.fails(exitUsage, "only one of --table and --json", "referrers", "--table", "--json", ref)
}

// TestReferrersCosign shows what cosign keeps under tags, once, in every kind of
// registry and in a layout.
func TestReferrersCosign(t *testing.T) {
	w := newWorld(t)
	m := lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", "")))}}
	tag := strings.Replace(digestOf(m), ":", "-", 1)
	under := func(kind, mediaType string, subject lt.Document, annotations map[string]string) lt.Artifact {
		return lt.Artifact{Tag: tag + kind, Subject: subject, Config: lt.Blob{MediaType: ocispec.MediaTypeImageConfig, Body: []byte("{}")},
			Blobs: []lt.Blob{{MediaType: mediaType, Body: []byte(kind), Annotations: annotations}}}
	}
	const simple, dsse = "application/vnd.dev.cosign.simplesigning.v1+json", "application/vnd.dsse.envelope.v1+json"
	sig := under(".sig", simple, nil, nil)
	att := under(".att", dsse, nil, map[string]string{"predicateType": "https://slsa.dev/provenance/v1"})
	sbom := under(".sbom", "text/spdx+json", m, nil) // has a subject, too
	lt.WriteLayout(t, w.in("refs"), m, sig, att, sbom)
	places := map[string]string{"layout": "oci:" + w.in("refs") + ":t"}
	for name, api := range map[string]bool{"API": true, "tag": false} {
		reg := registrytest.Start(t, registrytest.Options{Referrers: registrytest.ReferrersAPI{API: api}})
		if err := reg.PushLayout("app", "", w.in("refs")); err != nil {
			t.Fatal(err)
		}
		places[name] = reg.Host + "/app:t"
	}
	for name, ref := range places {
		lines := []string{ref + "  " + digestOf(m)}
		if name == "tag" { // nobody has written the list of referrers
			lines = append(lines, "├── "+simple+" (tag ….sig)  "+digestOf(sig), "├── "+dsse+" (https://slsa.dev/provenance/v1) (tag ….att)  "+digestOf(att),
				"└── text/spdx+json (tag ….sbom)  "+digestOf(sbom))
		} else {
			lines = append(lines, "├── "+ocispec.MediaTypeImageConfig+"  "+digestOf(sbom),
				"├── "+simple+" (tag ….sig)  "+digestOf(sig), "└── "+dsse+" (https://slsa.dev/provenance/v1) (tag ….att)  "+digestOf(att))
		}
		if got, want := w.ok("referrers", ref), strings.Join(lines, "\n")+"\n"; got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
		var doc struct{ Referrers []referredInfo }
		if w.decode(&doc, "referrers", "--json", "--artifact-type="+simple, ref); len(doc.Referrers) != 1 || doc.Referrers[0].Tag != tag+".sig" {
			t.Errorf("%s: %+v", name, doc)
		}
	}
}

// TestViews looks at images in other ways than whole.
func TestViews(t *testing.T) {
	w := newWorld(t)
	m := lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("a", "1"), lt.File("d/x", "2"))), lt.GzipLayer(lt.Tar(lt.Whiteout("a"), lt.File("d/y", "3")))},
		Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	lt.WriteLayout(t, w.in("views"), lt.Index{Tag: "t", Manifests: []lt.Document{m}}, lt.Artifact{Tag: "files", Type: "x/y", Blobs: []lt.Blob{{MediaType: "text/plain", Body: []byte("hi"), Annotations: map[string]string{ocispec.AnnotationTitle: "f"}}}})
	ref := "oci:" + w.in("views") + ":t"
	for _, c := range []struct{ args, want string }{
		{"ls --all-platforms " + ref + " linux-amd64/d", "x\ny\n"},
		{"ls --platform=linux/amd64 --subpath=d " + ref, "x\ny\n"},
		{"ls --platform=linux/amd64 --layer=2 " + ref, "a\nd\n"},
		{"find --platform=linux/amd64 --layer=2 --type=f " + ref, "/d/y\n"},
		{"cat " + strings.TrimSuffix(ref, "t") + "files f", "hi"},
		{"du -s " + strings.TrimSuffix(ref, "t") + "files", "2\t/\n"},
	} {
		if got := w.ok(strings.Fields(c.args)...); got != c.want {
			t.Errorf("%s: got %q, want %q", c.args, got, c.want)
		}
	}
	for _, c := range []struct {
		args, says string
		code       int
	}{
		{"ls --all-platforms --platform=linux/amd64 " + ref, "choose one", exitUsage},
		{"ls --all-platforms --layer=1 " + ref, "one layer is of one platform", exitUsage},
		{"ls --platform=linux/amd64 --layer=3 " + ref, `--layer: no such layer: "3" (there are 1 to 2)` + "\nocifs: hint: ocifs layers", exitNotFound},
		{"ls --platform=linux/amd64 --subpath=e " + ref, "--subpath e: no such file or directory\nocifs: hint:", exitNotFound},
		{"ls --platform=linux/amd64 --compose " + ref, "no Compose application refers to it\nocifs: hint: ocifs referrers", exitNotFound},
	} {
		w.fails(c.code, c.says, strings.Fields(c.args)...)
	}
}

func digestOf(d lt.Document) string { return lt.Store{}.Add(d).Digest.String() }
