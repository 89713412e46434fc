package image_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	lt "ocifs.dev/ocifs/tests/layertest"
)

const (
	composeType = "application/vnd.docker.compose.project"
	composeFile = "application/vnd.docker.compose.file+yaml"
	composeEnv  = "application/vnd.docker.compose.envfile"
	noteFile    = "com.docker.compose.file"
)

// app is a Compose application of these files, the first being compose.yaml.
func app(tag string, subject lt.Document, files ...string) lt.Artifact {
	a := lt.Artifact{Type: composeType, Tag: tag, Subject: subject}
	for i, f := range files {
		name := "compose.yaml"
		if i > 0 {
			name = "image-digests.yaml"
		}
		a.Blobs = append(a.Blobs, blob(composeFile, f, noteFile, name))
	}
	return a
}

func services(images ...string) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := 0; i < len(images); i += 2 {
		b.WriteString("  " + images[i] + ":\n    image: " + images[i+1] + "\n")
	}
	return b.String()
}

func digestOf(d lt.Document) string { return string(lt.Store{}.Add(d).Digest) }

// TestComposeFiles puts down files as "docker compose" does.
func TestComposeFiles(t *testing.T) {
	a := lt.Artifact{Type: composeType, Tag: "t", Blobs: []lt.Blob{
		blob(composeFile, "services: {a: {image: x}}", noteFile, "compose.yaml"),
		blob(composeFile, "services: {b: {image: y}}", noteFile, "override.yaml"),
		blob(composeFile, "services: {c: {image: z}}", noteFile, "abc.yaml", "com.docker.compose.extends", "true"),
		blob(composeEnv, "A=1\n", "com.docker.compose.envfile", "def.env"),
		blob(composeFile, "services: {a: {image: x@sha256:1}}\n", noteFile, "image-digests.yaml"),
		blob("text/plain", "hi", title, "README"),
	}}
	want := []string{
		"compose.yaml=services: {a: {image: x}}\n---\nservices: {b: {image: y}}\n---\nservices: {a: {image: x@sha256:1}}\n",
		"abc.yaml=\n---\nservices: {c: {image: z}}", "def.env=A=1\n",
		"image-digests.yaml=services: {a: {image: x@sha256:1}}\n", "README=hi",
	}
	img, err := view(t, layout(t, "t", a), image.Options{})
	expectShown(t, img, err, want...)
	if err == nil && img.What() != "compose application" {
		t.Errorf("it is called %q", img.What())
	}
	a.Type, a.Config = "", blob("application/vnd.docker.compose.config.empty.v1+json", "{}") // as registries of OCI 1.0 have it
	img, err = view(t, layout(t, "t", a), image.Options{})
	expectShown(t, img, err, want...)
	for _, name := range []string{"../x", "a/b", `a\b`, "..", ""} {
		a.Blobs[3].Annotations = map[string]string{"com.docker.compose.envfile": name}
		if _, err := view(t, layout(t, "t", a), image.Options{}); err == nil {
			t.Errorf("an environment called %q was taken", name)
		}
	}
}

// TestComposeBundle shows the images that are listed with an application.
func TestComposeBundle(t *testing.T) {
	web, db := named("web", nil), named("db", nil)
	arm := func(name string) lt.Image { return named(name+" on arm", platform("linux/arm64")) }
	amd := func(name string) lt.Image { return named(name+" on amd", platform("linux/amd64")) }
	multi := func(name string) lt.Index { return lt.Index{Manifests: []lt.Document{amd(name), arm(name)}} }
	called := func(d lt.Document, name string) lt.Document {
		return lt.Listed{Document: d, Annotations: map[string]string{ocispec.AnnotationRefName: name}}
	}
	from := func(d lt.Document, repo string) lt.Document {
		return lt.Listed{Document: d, Annotations: map[string]string{"containerd.io/distribution.source.docker.io": repo}}
	}
	two := services("web", "o/web:1", "db", "postgres")
	for _, c := range []struct {
		name     string
		entries  []lt.Document
		platform string
		want     []string // but compose.yaml
	}{
		{"by digest", []lt.Document{web, app("", nil, two, services("web", "o/web:1@"+digestOf(web), "db", "postgres@"+digestOf(db))), db}, "linux/amd64",
			[]string{"images/web/name=web", "images/db/name=db"}},
		{"by the services' names", []lt.Document{app("", nil, two), called(web, "web"), called(db, "db")}, "linux/amd64",
			[]string{"images/web/name=web", "images/db/name=db"}},
		{"by the images' names", []lt.Document{app("", nil, two), called(web, "docker.io/o/web:1"), called(db, "postgres:latest")}, "linux/amd64",
			[]string{"images/web/name=web", "images/db/name=db"}},
		{"by where Docker copied them from", []lt.Document{app("", nil, two), from(web, "o/web"), from(db, "library/postgres")}, "linux/amd64",
			[]string{"images/web/name=web", "images/db/name=db"}},
		{"one is left", []lt.Document{app("", nil, two), called(web, "web"), db}, "linux/amd64",
			[]string{"images/web/name=web", "images/db/name=db"}},
		{"two are left", []lt.Document{app("", nil, two), web, db}, "linux/amd64", nil},
		{"one image for two services", []lt.Document{app("", nil, services("a", "x", "b", "x")), web}, "linux/amd64",
			[]string{"images/a/name=web", "images/b/name=web"}},
		{"image indexes", []lt.Document{app("", nil, two), called(multi("web"), "web"), called(multi("db"), "db")}, "linux/arm64",
			[]string{"images/web/name=web on arm", "images/db/name=db on arm"}},
		{"platforms side by side", []lt.Document{app("", nil, services("web", "o/web")), amd("web"), arm("web")}, "linux/arm64",
			[]string{"images/web/name=web on arm"}},
		{"platforms of two images side by side", []lt.Document{app("", nil, two), called(amd("web"), "web"), called(arm("web"), "web"), called(arm("db"), "db"), called(amd("db"), "db")}, "linux/arm64",
			[]string{"images/web/name=web on arm", "images/db/name=db on arm"}},
		{"variables", []lt.Document{app("", nil, services("web", "o/${NAME:-web}:${TAG-1}", "db", "${DB}")), called(web, "o/web:1"), called(db, "db")}, "linux/amd64",
			[]string{"images/web/name=web", "images/db/name=db"}},
		{"a service that isn't there", []lt.Document{app("", nil, services("web", "a", "db", "b", "x", "c")), called(web, "web"), called(db, "db")}, "linux/amd64",
			[]string{"images/web/name=web", "images/db/name=db"}},
		{"an odd name", []lt.Document{app("", nil, services(`"../x"`, "a")), web}, "linux/amd64", []string{"images/.._x/name=web"}},
		{"no YAML", []lt.Document{app("", nil, "\t{"), web}, "linux/amd64", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, err := view(t, layout(t, "t", lt.Index{Tag: "t", Manifests: c.entries}), image.Options{Platform: c.platform})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range shown(t, img) {
				if strings.HasPrefix(line, "images/") {
					got = append(got, line)
				}
			}
			if strings.Join(sorted(got), "\n") != strings.Join(sorted(c.want), "\n") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestComposeMany has as many services and images as may be, which aren't called
// alike, and services that all extend one large file: who compared each with each,
// or read that for each, would be at it for hours.
func TestComposeMany(t *testing.T) {
	var text, large strings.Builder
	text.WriteString("services:\n")
	large.WriteString("services:\n  x: {image: nowhere}\n")
	entries := []lt.Document{nil}
	for i := range 250 {
		fmt.Fprintf(&text, "  s%d: {extends: {file: large.yaml, service: x}}\n", i)
		entries = append(entries, lt.Listed{Document: named(fmt.Sprint(i), nil), Annotations: map[string]string{ocispec.AnnotationRefName: fmt.Sprintf("o/i%d", i)}})
	}
	for i := range 10_000 {
		fmt.Fprintf(&large, "  k%d: {a: 1}\n", i)
	}
	byName := strings.ReplaceAll(text.String(), "extends: {file: large.yaml, service: x}", "image: o/x")
	for _, files := range [][]lt.Blob{
		{blob(composeFile, byName, noteFile, "compose.yaml")},
		{blob(composeFile, text.String(), noteFile, "compose.yaml"), blob(composeFile, large.String(), noteFile, "large.yaml", "com.docker.compose.extends", "true")},
	} {
		entries[0] = lt.Artifact{Type: composeType, Blobs: files}
		if _, err := view(t, layout(t, "t", lt.Index{Tag: "t", Manifests: entries}), image.Options{}); err != nil {
			t.Error(err)
		}
	}
}

// TestComposeElsewhere shows images that don't go with an application from where
// its files say they are, each opened once.
func TestComposeElsewhere(t *testing.T) {
	s := newSigner(t)
	web, db, with := named("web", nil), named("db", nil), named("with", nil)
	web.Tag, db.Tag = "web", "db"
	dir := strings.TrimSuffix(layout(t, "", web, db), ":")
	pinned := services("db", "r.example/o/db:1@"+digestOf(db))
	for _, c := range []struct {
		name  string
		docs  []lt.Document
		keys  bool
		want  []string // but compose.yaml
		err   string
		asked string
	}{
		{name: "by name", docs: []lt.Document{app("t", nil, services("a", "web", "b", "web", "c", "r.example/o/db:1"))},
			want: []string{"images/a/name=web", "images/b/name=web", "images/c/name=db"}, asked: "docker.io/library/web:latest r.example/o/db:1"},
		{name: "by digest", docs: []lt.Document{app("t", nil, services("db", "o/other"), pinned)},
			want: []string{"images/db/name=db"}, asked: "r.example/o/db@" + digestOf(db)},
		{name: "some go with it", docs: []lt.Document{lt.Index{Tag: "t", Manifests: []lt.Document{app("", nil, services("with", "x@"+digestOf(with), "web", "web")), with}}},
			want: []string{"images/with/name=with", "images/web/name=web"}, asked: "docker.io/library/web:latest"},
		{name: "none is named", docs: []lt.Document{app("t", nil, services("built", "${X}"))}},
		{name: "it is gone", docs: []lt.Document{app("t", nil, services("x", "r.example/gone"))}, err: `service "x": `, asked: "r.example/gone:latest"},
		{name: "no name", docs: []lt.Document{app("t", nil, services("x", "oci:/etc"))}, err: `service "x": unsupported: image "oci:/etc"`},
		{name: "pinned and signed", docs: []lt.Document{app("t", nil, pinned), s.bundle(app("t", nil, pinned))}, keys: true,
			want: []string{"images/db/name=db"}, asked: "r.example/o/db@" + digestOf(db)},
		{name: "signed, not pinned", docs: []lt.Document{app("t", nil, services("a", "web")), s.bundle(app("t", nil, services("a", "web")))}, keys: true,
			err: "doesn't name its digest"},
		{name: "pinned, not signed", docs: []lt.Document{app("t", nil, pinned)}, keys: true, err: "there is none of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked []string
			o := image.Options{Elsewhere: func(_ context.Context, name string) (*fetch.Source, error) {
				asked = append(asked, name)
				_, by, pinned := strings.Cut(name, "@")
				if ref := dir + "@" + by; pinned {
					return source(t, ref), nil
				}
				return source(t, dir+":"+name[strings.LastIndex(name, "/")+1:strings.LastIndex(name, ":")]), nil
			}}
			if c.keys {
				o.Keys = s.keys(t)
			}
			img, err := view(t, layout(t, "t", c.docs...), o)
			slices.Sort(asked)
			if got := strings.Join(asked, " "); got != c.asked {
				t.Errorf("asked for %q, want %q", got, c.asked)
			}
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(shown(t, img), func(line string) bool { return !strings.HasPrefix(line, "images/") })
			if !slices.Equal(sorted(got), sorted(c.want)) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// TestComposeExtends finds images that services have of others.
func TestComposeExtends(t *testing.T) {
	web := named("web", nil)
	a := lt.Artifact{Type: composeType, Blobs: []lt.Blob{
		blob(composeFile, "services:\n  web:\n    extends: {file: base.yaml, service: base}\n  job:\n    extends: web\n  loop:\n    extends: loop\n", noteFile, "compose.yaml"),
		blob(composeFile, services("base", "o/web@"+digestOf(web)), noteFile, "base.yaml", "com.docker.compose.extends", "true"),
	}}
	img, err := view(t, layout(t, "t", lt.Index{Tag: "t", Manifests: []lt.Document{a, web, named("other", nil)}}), image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(shown(t, img), " ")
	for _, want := range []string{"images/web/name=web", "images/job/name=web"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

// TestComposePlatforms has an application for each platform.
func TestComposePlatforms(t *testing.T) {
	arm, amd := named("arm", platform("linux/arm64")), named("amd", platform("linux/amd64"))
	forArm, forAmd := app("", nil, services("web", "x@"+digestOf(arm))), app("", nil, services("web", "x@"+digestOf(amd)))
	forArm.Platform, forAmd.Platform = platform("linux/arm64"), platform("linux/amd64")
	ref := layout(t, "t", lt.Index{Tag: "t", Manifests: []lt.Document{forArm, forAmd, arm, amd}})
	img, err := view(t, ref, image.Options{Platform: "linux/arm64"})
	expectShown(t, img, err, "compose.yaml="+services("web", "x@"+digestOf(arm)), "images/web/name=arm")
	img, err = view(t, ref, image.Options{View: image.View{AllPlatforms: true}})
	expectShown(t, img, err,
		"linux-arm64/compose.yaml="+services("web", "x@"+digestOf(arm)), "linux-arm64/images/web/name=arm",
		"linux-amd64/compose.yaml="+services("web", "x@"+digestOf(amd)), "linux-amd64/images/web/name=amd")
	var none *image.NoPlatformError
	if _, err := view(t, ref, image.Options{Platform: "linux/s390x"}); !errors.As(err, &none) {
		t.Errorf("another platform: %v", err)
	}
}

// TestComposeLoose finds applications by their subject, from both ends.
func TestComposeLoose(t *testing.T) {
	arm, amd := named("arm", platform("linux/arm64")), named("amd", platform("linux/amd64"))
	index := lt.Index{Tag: "img", Manifests: []lt.Document{arm, amd}}
	compose := services("web", "o/web")
	loose := image.View{Compose: true}
	t.Run("of an image index", func(t *testing.T) {
		ref := layout(t, "img", index, app("app", index, compose))
		img, err := view(t, ref, image.Options{Platform: "linux/arm64", View: loose})
		expectShown(t, img, err, "compose.yaml="+compose, "images/web/name=arm")
		img, err = view(t, strings.Replace(ref, ":img", ":app", 1), image.Options{Platform: "linux/amd64"})
		expectShown(t, img, err, "compose.yaml="+compose, "images/web/name=amd")
	})
	t.Run("of a platform's image", func(t *testing.T) {
		special := app("", arm, services("web", "o/arm"))
		ref := layout(t, "img", index, special, app("app", index, compose))
		img, err := view(t, ref, image.Options{Platform: "linux/arm64", View: loose})
		expectShown(t, img, err, "compose.yaml="+services("web", "o/arm"), "images/web/name=arm")
		img, err = view(t, ref, image.Options{Platform: "linux/amd64", View: loose})
		expectShown(t, img, err, "compose.yaml="+compose, "images/web/name=amd")
	})
	t.Run("of an image", func(t *testing.T) {
		one := named("one", nil)
		one.Tag = "img"
		img, err := view(t, layout(t, "img", one, app("app", one, compose)), image.Options{View: loose})
		expectShown(t, img, err, "compose.yaml="+compose, "images/web/name=one")
	})
	t.Run("the latest", func(t *testing.T) {
		old, young := app("", index, services("web", "o/old")), app("", index, compose)
		old.Annotations = map[string]string{ocispec.AnnotationCreated: "2024-01-01T00:00:00Z"}
		young.Annotations = map[string]string{ocispec.AnnotationCreated: "2025-01-01T00:00:00Z"}
		img, err := view(t, layout(t, "img", index, young, old), image.Options{Platform: "linux/arm64", View: loose})
		expectShown(t, img, err, "compose.yaml="+compose, "images/web/name=arm")
	})
	t.Run("a bundle of them", func(t *testing.T) {
		forArm := app("", nil, compose)
		forArm.Platform = platform("linux/arm64")
		ref := layout(t, "img", index, lt.Index{Manifests: []lt.Document{forArm}, Subject: index})
		img, err := view(t, ref, image.Options{Platform: "linux/arm64", View: loose})
		expectShown(t, img, err, "compose.yaml="+compose, "images/web/name=arm")
	})
	t.Run("as docker compose publish --app", func(t *testing.T) {
		a := app("app", nil, compose)
		img, err := view(t, layout(t, "app", a, lt.Index{Manifests: []lt.Document{index}, Subject: a}), image.Options{Platform: "linux/arm64"})
		expectShown(t, img, err, "compose.yaml="+compose, "images/web/name=arm")
	})
	t.Run("none", func(t *testing.T) {
		if _, err := view(t, layout(t, "img", index), image.Options{Platform: "linux/arm64", View: loose}); !errors.Is(err, image.ErrNoCompose) {
			t.Errorf("error is %v", err)
		}
	})
}
