package fetch_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

const (
	typeA = "application/vnd.test.a+json"
	typeB = "application/vnd.test.b"
)

// referrer returns an artifact manifest with a subject.
func referrer(t testing.TB, subject ocispec.Descriptor, artifactType, note string) ([]byte, ocispec.Descriptor) {
	t.Helper()
	body := []byte(encode(t, ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       []ocispec.Descriptor{},
		Subject:      &subject,
		Annotations:  map[string]string{"note": note},
	}))
	return body, ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(body), Size: int64(len(body)),
		ArtifactType: artifactType, Annotations: map[string]string{"note": note},
	}
}

// olderReferrer returns one whose type is its config's.
func olderReferrer(t testing.TB, subject ocispec.Descriptor, configType string) ([]byte, ocispec.Descriptor) {
	t.Helper()
	config := ocispec.DescriptorEmptyJSON
	config.MediaType = configType
	body := []byte(encode(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{}, Subject: &subject,
	}))
	return body, ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(body), Size: int64(len(body)), ArtifactType: configType,
	}
}

// composition returns an index with a subject and without a type, as docker
// compose publishes them.
func composition(t testing.TB, subject ocispec.Descriptor) ([]byte, ocispec.Descriptor) {
	t.Helper()
	body := []byte(encode(t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{}, Subject: &subject,
	}))
	return body, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(body), Size: int64(len(body))}
}

func tagOf(d ocispec.Descriptor) string { return strings.Replace(d.Digest.String(), ":", "-", 1) }

// linkUp puts an image and three referrers into a registry: by function calls,
// so that a list under the fallback tag is there only if asked for.
func linkUp(t testing.TB, reg *Server, fallback bool) (subject ocispec.Descriptor, all []ocispec.Descriptor) {
	t.Helper()
	subject = reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	a, da := referrer(t, subject, typeA, "one")
	b, db := olderReferrer(t, subject, typeB)
	c, dc := composition(t, subject)
	reg.PutManifest("a/b", "", da.MediaType, a)
	reg.PutManifest("a/b", "", db.MediaType, b)
	reg.PutManifest("a/b", "", dc.MediaType, c)
	all = []ocispec.Descriptor{da, db, dc}
	if fallback {
		reg.PushIndex("a/b", tagOf(subject), all...)
	}
	return subject, all
}

// sameDigests compares two lists, whatever their order.
func sameDigests(a, b []ocispec.Descriptor) bool {
	digests := func(list []ocispec.Descriptor) (out []string) {
		for _, d := range list {
			out = append(out, d.Digest.String())
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(digests(a), digests(b))
}

// TestReferrers lists referrers, all and of a type, where there is an API and
// where there is none, and counts the requests for the first list and for the
// next ones.
func TestReferrers(t *testing.T) {
	for _, c := range []struct {
		name        string
		api         ReferrersAPI
		fallback    bool
		first, next map[Kind]int
		empty       bool
	}{
		{"API", ReferrersAPI{API: true}, false, map[Kind]int{Referrers: 1}, map[Kind]int{Referrers: 1}, false},
		{"API with filter", ReferrersAPI{API: true, Filter: true}, false, map[Kind]int{Referrers: 1}, map[Kind]int{Referrers: 1}, false},
		{"API, though there is a tag", ReferrersAPI{API: true}, true, map[Kind]int{Referrers: 1}, map[Kind]int{Referrers: 1}, false},
		{"API with pages", ReferrersAPI{API: true, Page: 1}, false, map[Kind]int{Referrers: 3}, map[Kind]int{Referrers: 3}, false},
		{"tag", ReferrersAPI{}, true, map[Kind]int{Referrers: 1, Manifest: 1}, map[Kind]int{Manifest: 1}, false},
		{"tag, where it may mean the subject", ReferrersAPI{SubjectTag: true}, true, map[Kind]int{Referrers: 1, Manifest: 1}, map[Kind]int{Manifest: 1}, false},
		{"neither", ReferrersAPI{}, false, map[Kind]int{Referrers: 1, Manifest: 1}, map[Kind]int{Manifest: 1}, true},
		{"the tag means the subject", ReferrersAPI{SubjectTag: true}, false, map[Kind]int{Referrers: 1, Manifest: 1}, map[Kind]int{Manifest: 1}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			reg := Start(t, Options{Referrers: c.api})
			subject, all := linkUp(t, reg, c.fallback)
			s := open(t, reg.Host+"/a/b:t", fetch.Options{})
			for i, q := range []struct {
				artifactType string
				want         []ocispec.Descriptor
			}{{"", all}, {typeA, all[:1]}, {typeB, all[1:2]}, {"application/none", nil}} {
				reg.Reset()
				got, err := s.Referrers(ctx, ocispec.Descriptor{Digest: subject.Digest}, q.artifactType)
				checkErr(t, err, nil)
				if c.empty {
					q.want = nil
				}
				if !sameDigests(got, q.want) {
					t.Errorf("referrers of type %q: %v, want %v", q.artifactType, got, q.want)
				}
				want := c.next
				if i == 0 {
					want = c.first
				}
				expect(t, reg, want)
				for _, d := range got {
					body, err := s.Document(ctx, d)
					checkErr(t, err, nil)
					checkErr(t, fetch.VerifySubject(body, subject), nil)
				}
			}
		})
	}
}

// TestReferrersOfIndex takes an index that the fallback tag resolves to for
// the subject it is, and not for a list.
func TestReferrersOfIndex(t *testing.T) {
	reg := Start(t, Options{Referrers: ReferrersAPI{SubjectTag: true}})
	subject := reg.PushIndex("a/b", "t", reg.Push("a/b", "", Layer{Blob: []byte("layer")}))
	got, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Referrers(context.Background(), subject, "")
	if err != nil || len(got) != 0 {
		t.Error(got, err)
	}
}

// TestReferrersAnswers asks a registry for referrers that answers in its own
// way. The list under the tag has three, the API's has what body says.
func TestReferrersAnswers(t *testing.T) {
	index := func(fields string) Fault {
		return Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			fmt.Fprintf(w, `{"schemaVersion":2,%s}`, fields)
		})
	}
	one := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":100}`, ocispec.MediaTypeImageManifest, digest.FromString("1"))
	with := func(from, to string) string { return strings.Replace(one, from, to, 1) }
	list := func(entries ...string) Fault { return index(`"manifests":[` + strings.Join(entries, ",") + `]`) }
	link := func(value string) Fault { return All(Header("Link", value), list(one)) }
	for _, c := range []struct {
		name          string
		fault         Fault
		n             int // referrers listed
		err           error
		api, manifest int // requests
	}{
		{"400", Status(400), 3, nil, 1, 1},
		{"405", Status(405), 3, nil, 1, 1},
		{"406", Status(406), 3, nil, 1, 1},
		{"410", Status(410), 3, nil, 1, 1},
		{"501", Status(501), 3, nil, 1, 1},
		{"a page", Page(), 3, nil, 1, 1},
		{"a redirect to a page", All(Times(1, Redirect(302, func(r *http.Request) string { return "http://" + r.Host + r.URL.Path })), Page()), 3, nil, 2, 1},
		{"a Docker list", All(Header("Content-Type", "application/vnd.docker.distribution.manifest.list.v2+json"), list(one)), 3, nil, 1, 1},
		{"a manifest", index(`"mediaType":"` + ocispec.MediaTypeImageManifest + `"`), 3, nil, 1, 1},
		{"cut JSON", Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			w.Write([]byte(`{"manifests":[`))
		}), 3, nil, 1, 1},
		{"401", Status(401), 0, fetch.ErrUnauthorized, 1, 0},
		{"403", Status(403), 0, fetch.ErrUnauthorized, 1, 0},
		{"429 once", Times(1, Status(429)), 3, nil, 2, 1},
		{"500", Status(500), 0, fetch.ErrUnreachable, 3, 0},
		{"503 once", Times(1, Status(503)), 3, nil, 2, 1},
		{"cut once", Times(1, All(Cut(10), list(one))), 3, nil, 2, 1},
		{"endless", Endless(ocispec.MediaTypeImageIndex), 0, fetch.ErrUnsupported, 1, 0},

		{"one", list(one), 1, nil, 1, 0},
		{"none", list(), 0, nil, 1, 0},
		{"none, as null", index(`"manifests":null`), 0, nil, 1, 0},
		{"none, as nothing", index(`"x":1`), 0, nil, 1, 0},
		{"twice the same", list(one, one), 1, nil, 1, 0},
		{"a digest that is a path", list(with(digest.FromString("1").Encoded(), "../../../etc/passwd"), one), 1, nil, 1, 0},
		{"a digest of another kind", list(with("sha256:", "md5:"), one), 1, nil, 1, 0},
		{"no digest", list(`{}`, one), 1, nil, 1, 0},
		{"a negative size", list(with("100", "-1")), 0, nil, 1, 0},
		{"a size beyond all bounds", list(with("100", "9223372036854775807")), 0, nil, 1, 0},
		{"a size that is no number", list(with("100", `"100"`), one), 1, nil, 1, 0},
		{"a size that is too large a number", list(with("100", `99999999999999999999`), one), 1, nil, 1, 0},
		{"not descriptors", list(`1`, `"x"`, `[]`, `null`, one), 1, nil, 1, 0},
		{"a blob", list(with(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageLayer)), 0, nil, 1, 0},
		{"not a list", index(`"manifests":{}`), 3, nil, 1, 1},
		{"too many", list(strings.Repeat("{},", 10_000) + one), 0, fetch.ErrUnsupported, 1, 0},

		{"pages for ever", link(`</v2/a/b/referrers/x>; rel="next"`), 0, fetch.ErrUnsupported, 100, 0},
		{"a second page", Times(1, link(`</v2/a/b/referrers/x>; rel="next"`)), 0, fetch.ErrNotFound, 2, 0},
		{"a second page that is none", All(Times(1, link(`</v2/a/b/referrers/x>; rel="next"`)), Page()), 0, fetch.ErrUnsupported, 2, 0},
		{"large pages", All(Header("Link", `</v2/a/b/referrers/x>; rel="next"`), index(`"x":"`+strings.Repeat("x", 4_000_000)+`"`)), 0, fetch.ErrUnsupported, 5, 0},
		{"a redirected page", Times(2, All(Times(1, link(`</v2/a/b/referrers/x>; rel="next"`)),
			Redirect(307, func(r *http.Request) string { return "/v2/a/b/referrers/y" }))), 0, fetch.ErrNotFound, 3, 0},
		{"a page elsewhere", link(`<http://169.254.169.254/x>; rel="next"`), 0, fetch.ErrUnreachable, 1, 0},
		{"a page at another port", link(`<//127.0.0.1:1/x>; rel="next"`), 0, fetch.ErrUnreachable, 1, 0},
		{"a page in a file", link(`<file:///etc/passwd>; rel="next"`), 0, fetch.ErrUnreachable, 1, 0},
		{"a page for somebody else", link(`<//u:p@127.0.0.1/x>; rel="next"`), 0, fetch.ErrUnreachable, 1, 0},
		{"a malformed link", link(`<http://[>; rel="next"`), 0, fetch.ErrUnreachable, 1, 0},
		{"another link", link(`<http://169.254.169.254/x>; rel="first"`), 1, nil, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := Start(t, Options{})
			subject, _ := linkUp(t, reg, true)
			reg.Use(On(Referrers, c.fault))
			s := open(t, reg.Host+"/a/b:t", fetch.Options{})
			got, err := s.Referrers(context.Background(), subject, "")
			checkErr(t, err, c.err)
			if len(got) != c.n {
				t.Errorf("%d referrers, want %d: %v", len(got), c.n, got)
			}
			want := map[Kind]int{Referrers: c.api}
			if c.manifest > 0 {
				want[Manifest] = c.manifest
			}
			expect(t, reg, want)
		})
	}
}

// TestReferrersTag looks at what is under the fallback tag.
func TestReferrersTag(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault Fault
		err   error
	}{
		{"an image", Header("Content-Type", ocispec.MediaTypeImageManifest), nil},
		{"401", Status(401), fetch.ErrUnauthorized},
		{"503", Status(503), fetch.ErrUnreachable},
		{"a page", Page(), nil},
		{"endless", Endless(ocispec.MediaTypeImageIndex), fetch.ErrUnsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := Start(t, Options{})
			subject, all := linkUp(t, reg, false)
			body := []byte(encode(t, ocispec.Index{Manifests: all})) // which does not say what it is
			reg.PutManifest("a/b", tagOf(subject), ocispec.MediaTypeImageIndex, body)
			reg.Use(On(Manifest, c.fault))
			got, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Referrers(context.Background(), subject, "")
			checkErr(t, err, c.err)
			if len(got) != 0 {
				t.Errorf("referrers %v", got)
			}
		})
	}
}

// TestReferrersOfNothing refuses subjects that cannot be in a URL.
func TestReferrersOfNothing(t *testing.T) {
	reg := Start(t, Options{})
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	for _, d := range []digest.Digest{"", "sha256:../x", "sha256:abc"} {
		_, err := s.Referrers(context.Background(), ocispec.Descriptor{Digest: d}, "")
		checkErr(t, err, errAny)
	}
	expect(t, reg, nil)
}

// TestReferrersLongDigest asks for a tag of the length that tags may have.
func TestReferrersLongDigest(t *testing.T) {
	reg := Start(t, Options{})
	subject := ocispec.Descriptor{Digest: digest.SHA512.FromString("x")}
	_, all := linkUp(t, reg, false)
	reg.PushIndex("a/b", "sha512-"+subject.Digest.Encoded()[:64], all...)
	got, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Referrers(context.Background(), subject, "")
	checkErr(t, err, nil)
	if !sameDigests(got, all) {
		t.Error(got)
	}
}

// TestVerifySubject tells true referrers from others.
func TestVerifySubject(t *testing.T) {
	subject := ocispec.Descriptor{Digest: digest.FromString("subject"), Size: 7}
	other := ocispec.Descriptor{Digest: digest.FromString("other"), Size: 5}
	mine, _ := referrer(t, subject, typeA, "")
	index, _ := composition(t, subject)
	theirs, _ := referrer(t, other, typeA, "")
	for _, c := range []struct {
		name     string
		manifest string
		ok       bool
	}{
		{"manifest", string(mine), true},
		{"index", string(index), true},
		{"of another", string(theirs), false},
		{"no subject", `{"schemaVersion":2}`, false},
		{"null", `{"subject":null}`, false},
		{"not JSON", `<html>`, false},
		{"a list", `[]`, false},
		{"nothing", ``, false},
	} {
		if err := fetch.VerifySubject([]byte(c.manifest), subject); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestReferrersLayout looks for referrers in index.json, and in a list under
// the fallback tag's name, in directories and archives.
func TestReferrersLayout(t *testing.T) {
	subject, files := image(t, "one", "layer")
	a, da := referrer(t, subject, typeA, "one")
	b, db := olderReferrer(t, subject, typeB)
	c, dc := composition(t, subject)
	x, dx := referrer(t, ocispec.Descriptor{Digest: digest.FromString("other")}, typeA, "")
	list := []byte(encode(t, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{da, db, dc, dx}}))
	dl := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(list), Size: int64(len(list)),
		Annotations: map[string]string{ocispec.AnnotationRefName: tagOf(subject)}}
	for body, d := range map[*[]byte]ocispec.Descriptor{&a: da, &b: db, &c: dc, &x: dx, &list: dl} {
		files = append(files, file(blobName(d.Digest), string(*body)))
	}
	bare := func(d ocispec.Descriptor) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	}
	gone := bare(da)
	gone.Digest = digest.FromString("gone")
	large := bare(db)
	large.Size = fetch.MaxDocument + 1
	lie := bare(dx)
	lie.ArtifactType = typeB
	for _, tc := range []struct {
		name    string
		entries []ocispec.Descriptor
		all     []ocispec.Descriptor
	}{
		{"in the index", []ocispec.Descriptor{da, db, dc, dx}, []ocispec.Descriptor{da, db, dc}},
		{"in the index, bare", []ocispec.Descriptor{bare(da), bare(db), bare(dx)}, []ocispec.Descriptor{da, db}},
		{"under the tag", []ocispec.Descriptor{dl}, []ocispec.Descriptor{da, db, dc}},
		{"in both", []ocispec.Descriptor{da, dl, dc}, []ocispec.Descriptor{da, db, dc}},
		{"none", nil, nil},
		{"gone, too large, of others", []ocispec.Descriptor{gone, large, lie, da}, []ocispec.Descriptor{da}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := layout(t, files, append([]ocispec.Descriptor{subject}, tc.entries...)...)
			for _, ref := range []string{"oci:" + l.dir(t) + ":one", "oci-archive:" + save(t, l.tar(t)) + ":one"} {
				s := open(t, ref, fetch.Options{})
				for artifactType, want := range map[string][]ocispec.Descriptor{"": tc.all, typeA: only(tc.all, typeA), typeB: only(tc.all, typeB)} {
					got, err := s.Referrers(context.Background(), subject, artifactType)
					checkErr(t, err, nil)
					if !sameDigests(got, want) {
						t.Errorf("%s: type %q: %v, want %v", ref, artifactType, got, want)
					}
					for _, d := range got {
						if d.Digest == da.Digest && (d.ArtifactType != typeA || d.Annotations["note"] != "one") {
							t.Errorf("incomplete: %v", d)
						}
					}
				}
			}
		})
	}
}

// TestReferrersLayoutLarge looks through a layout as far as it may, first at
// what has no name of its own, and says so.
func TestReferrersLayoutLarge(t *testing.T) {
	subject, files := image(t, "one", "layer")
	a, da := referrer(t, subject, typeA, "")
	b, db := referrer(t, subject, typeA, "named")
	db.Annotations = map[string]string{ocispec.AnnotationRefName: "named"}
	files = append(files, file(blobName(da.Digest), string(a)), file(blobName(db.Digest), string(b)))
	entries := []ocispec.Descriptor{subject}
	for i := range 4096 {
		body := fmt.Sprintf(`{"schemaVersion":2,"x":%d}`, i)
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(body), Size: int64(len(body)),
			Annotations: map[string]string{ocispec.AnnotationRefName: fmt.Sprint(i)}}
		entries = append(entries, d)
		files = append(files, file(blobName(d.Digest), body))
	}
	entries = append(entries, db, da)
	var warnings []string
	s := open(t, "oci-archive:"+save(t, layout(t, files, entries...).tar(t))+":one",
		fetch.Options{Warn: func(s string) { warnings = append(warnings, s) }})
	got, err := s.Referrers(context.Background(), subject, typeA)
	checkErr(t, err, nil)
	if !sameDigests(got, []ocispec.Descriptor{da}) || len(warnings) != 1 {
		t.Error(got, warnings)
	}
}

func only(list []ocispec.Descriptor, artifactType string) (out []ocispec.Descriptor) {
	for _, d := range list {
		if d.ArtifactType == artifactType {
			out = append(out, d)
		}
	}
	return out
}

// TestLayoutNamesImage takes the image for meant, where a layout has one and
// its referrers, and nobody says which.
func TestLayoutNamesImage(t *testing.T) {
	subject, files := image(t, "one", "layer")
	a, da := referrer(t, subject, typeA, "")
	list := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString("list"),
		Annotations: map[string]string{ocispec.AnnotationRefName: tagOf(subject)}}
	files = append(files, file(blobName(da.Digest), string(a)))
	d, err := open(t, "oci:"+layout(t, files, da, subject, list).dir(t), fetch.Options{}).Resolve(context.Background())
	if err != nil || d.Digest != subject.Digest {
		t.Error(d, err)
	}
	d, err = open(t, "oci:"+layout(t, files, da).dir(t), fetch.Options{}).Resolve(context.Background())
	if err != nil || d.Digest != da.Digest {
		t.Error(d, err)
	}
}

// TestReferrersDockerArchive has none.
func TestReferrersDockerArchive(t *testing.T) {
	m, files := dockerImage(t, "a", []string{"a:b"}, file("l.tar", "layer"))
	files = append(files, file("manifest.json", encode(t, []any{m})))
	s := open(t, "docker-archive:"+save(t, files.tar(t)), fetch.Options{})
	d, err := s.Resolve(context.Background())
	checkErr(t, err, nil)
	got, err := s.Referrers(context.Background(), d, "")
	if err != nil || got != nil {
		t.Error(got, err)
	}
}
