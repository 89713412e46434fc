package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// content makes bytes a content to be pushed. It counts how often it is
// opened, and fails the test if not all that was opened is closed at its end.
func content(t testing.TB, body []byte, opened *atomic.Int64) fetch.Content {
	t.Helper()
	closed := new(atomic.Int64)
	mine := new(atomic.Int64)
	t.Cleanup(func() {
		if mine.Load() != closed.Load() {
			t.Errorf("opened %d times, closed %d times", mine.Load(), closed.Load())
		}
	})
	return fetch.Content{
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(body), Size: int64(len(body))},
		Open: func() (io.ReadCloser, error) {
			mine.Add(1)
			if opened != nil {
				opened.Add(1)
			}
			return &counted{Reader: bytes.NewReader(body), closed: closed}, nil
		},
	}
}

type counted struct {
	io.Reader
	closed *atomic.Int64
}

func (c *counted) Close() error {
	c.closed.Add(1)
	return nil
}

// pushable makes an upload of one blob, and of a manifest that has a subject
// if that is not nil.
func pushable(t testing.TB, body []byte, subject *ocispec.Descriptor) fetch.Upload {
	t.Helper()
	blob := content(t, body, nil)
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{blob.Descriptor}, Subject: subject,
	}
	if subject != nil {
		m.ArtifactType = typeA
	}
	return fetch.Upload{
		Blobs:    []fetch.Content{{Descriptor: ocispec.DescriptorEmptyJSON}, blob},
		Manifest: []byte(encode(t, m)),
	}
}

// TestPush pushes an image by tag, reads it, and pushes it again.
func TestPush(t *testing.T) {
	for _, auth := range []Auth{{}, {Mode: Basic, Username: "u", Password: "p"}, {Mode: Bearer, Username: "u", Password: "p"}} {
		ctx := context.Background()
		reg := Start(t, Options{Writable: true, Auth: auth})
		data := noise(small)
		u := pushable(t, data, nil)
		u.Tagged = true
		var progress int64
		u.Progress = func(n int64) { progress += n }
		o := fetch.Options{Auth: user}
		d, err := open(t, reg.Host+"/a/b:t", o).Push(ctx, u)
		checkErr(t, err, nil)
		if d.Digest != digest.FromBytes(u.Manifest) || d.MediaType != ocispec.MediaTypeImageManifest || d.Size != int64(len(u.Manifest)) {
			t.Errorf("pushed %v", d)
		}
		if progress != small+2 {
			t.Errorf("progress up to %d", progress)
		}
		if auth.Mode == Open {
			expect(t, reg, map[Kind]int{Blob: 2, Upload: 4, Manifest: 2})
		}
		if auth.Mode == Bearer && reg.Count(Token) != 1 {
			t.Errorf("%d tokens", reg.Count(Token))
		}

		s := open(t, reg.Host+"/a/b:t", o)
		if got, err := s.Resolve(ctx); err != nil || got.Digest != d.Digest {
			t.Error(got, err)
		}
		readAll(t, openBlob(t, s, manifest(t, s).Layers[0]), data)

		reg.Reset()
		progress = 0
		_, err = open(t, reg.Host+"/a/b:t", o).Push(ctx, u)
		checkErr(t, err, nil)
		if auth.Mode == Open {
			expect(t, reg, map[Kind]int{Blob: 2, Manifest: 1})
		}
		for _, r := range reg.Requests() {
			if r.Method != http.MethodHead && r.Kind != Token {
				t.Errorf("pushed again: %s %s", r.Method, r.Path)
			}
		}
		if progress != small+2 {
			t.Errorf("progress up to %d", progress)
		}
	}
}

// TestPushByDigest leaves tags alone.
func TestPushByDigest(t *testing.T) {
	reg := Start(t, Options{Writable: true})
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	d, err := s.Push(context.Background(), pushable(t, []byte("x"), nil))
	checkErr(t, err, nil)
	if tags := reg.Tags("a/b"); len(tags) != 0 {
		t.Errorf("tags %v", tags)
	}
	manifest(t, open(t, reg.Host+"/a/b@"+d.Digest.String(), fetch.Options{}))
}

// TestPushReferrer pushes an artifact and finds it again, where there is an
// API and where there is none; pushes it again, without a write; and another
// one beside it.
func TestPushReferrer(t *testing.T) {
	for _, c := range []struct {
		name                 string
		api                  ReferrersAPI
		once, again, another map[Kind]int
	}{
		{"API", ReferrersAPI{API: true},
			map[Kind]int{Blob: 2, Upload: 4, Manifest: 2},
			map[Kind]int{Blob: 2, Manifest: 1, Referrers: 1},
			map[Kind]int{Blob: 2, Upload: 2, Manifest: 2}},
		{"none", ReferrersAPI{}, // GET, PUT and GET the tag beside
			map[Kind]int{Blob: 2, Upload: 4, Manifest: 2 + 3},
			map[Kind]int{Blob: 2, Manifest: 1 + 1, Referrers: 1},
			map[Kind]int{Blob: 2, Upload: 2, Manifest: 2 + 3}},
		{"the tag means the subject", ReferrersAPI{SubjectTag: true},
			map[Kind]int{Blob: 2, Upload: 4, Manifest: 2 + 3},
			map[Kind]int{Blob: 2, Manifest: 1 + 1, Referrers: 1},
			map[Kind]int{Blob: 2, Upload: 2, Manifest: 2 + 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			reg := Start(t, Options{Writable: true, Referrers: c.api})
			subject := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
			s := open(t, reg.Host+"/a/b:t", fetch.Options{})
			one, two := pushable(t, []byte("one"), &subject), pushable(t, []byte("two"), &subject)
			push := func(u fetch.Upload, want map[Kind]int) ocispec.Descriptor {
				t.Helper()
				reg.Reset()
				d, err := s.Push(ctx, u)
				checkErr(t, err, nil)
				expect(t, reg, want)
				return d
			}
			d1 := push(one, c.once)
			push(one, c.again)
			d2 := push(two, c.another)
			for artifactType, want := range map[string][]ocispec.Descriptor{"": {d1, d2}, typeA: {d1, d2}, typeB: nil} {
				got, err := s.Referrers(ctx, subject, artifactType)
				checkErr(t, err, nil)
				if !sameDigests(got, want) {
					t.Errorf("referrers of type %q: %v, want %v", artifactType, got, want)
				}
			}

			reg.Reset()
			checkErr(t, s.Delete(ctx, d1), nil)
			got, err := s.Referrers(ctx, subject, "")
			checkErr(t, err, nil)
			if !sameDigests(got, []ocispec.Descriptor{d2}) {
				t.Errorf("after deletion: %v", got)
			}
			checkErr(t, s.Delete(ctx, d1), fetch.ErrNotFound)
			checkErr(t, s.Delete(ctx, ocispec.Descriptor{Digest: d2.Digest}), nil)
			got, err = s.Referrers(ctx, subject, "")
			if err != nil || len(got) != 0 {
				t.Error(got, err)
			}
			manifest(t, s) // the subject is still there
		})
	}
}

// TestPushTagTaken does not take a tag away that is not a list of referrers.
func TestPushTagTaken(t *testing.T) {
	ctx := context.Background()
	reg := Start(t, Options{Writable: true})
	subject := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	taken := reg.Push("a/b", tagOf(subject), Layer{Blob: []byte("other")})
	_, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Push(ctx, pushable(t, []byte("one"), &subject))
	checkErr(t, err, fetch.ErrUnsupported)
	d, err := open(t, reg.Host+"/a/b:"+tagOf(subject), fetch.Options{}).Resolve(ctx)
	if err != nil || d.Digest != taken.Digest {
		t.Error(d, err)
	}
}

// TestPushTagLost gives up where the registry takes the list of referrers and
// does not give it back.
func TestPushTagLost(t *testing.T) {
	reg := Start(t, Options{Writable: true})
	subject := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	reg.Use(On(Manifest, Method(http.MethodGet, Status(404))))
	_, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Push(context.Background(), pushable(t, []byte("one"), &subject))
	checkErr(t, err, fetch.ErrUnsupported)
}

// TestPushTagShared keeps what others write into the list of referrers, before
// and while we do, also what we do not understand of it.
func TestPushTagShared(t *testing.T) {
	ctx := context.Background()
	reg := Start(t, Options{Writable: true})
	subject := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	a, da := referrer(t, subject, typeA, "theirs")
	b, db := referrer(t, subject, typeA, "theirs too")
	reg.PutManifest("a/b", "", da.MediaType, a)
	reg.PutManifest("a/b", "", db.MediaType, b)
	list := func(entries ...string) {
		reg.PutManifest("a/b", tagOf(subject), ocispec.MediaTypeImageIndex, fmt.Appendf(nil,
			`{"schemaVersion":2,"mediaType":%q,"manifests":[%s],"x-top":[1]}`, ocispec.MediaTypeImageIndex, strings.Join(entries, ",")))
	}
	one := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"x-new":{"a":1}}`, da.MediaType, da.Digest, da.Size)
	two := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, db.MediaType, db.Digest, db.Size)
	list(one)
	var writes atomic.Int64 // ours; after the first one somebody writes who has not seen it
	reg.Use(If(func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, tagOf(subject))
	}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			if writes.Add(1) == 1 {
				list(one, two)
			}
		})
	}))
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	d, err := s.Push(ctx, pushable(t, []byte("one"), &subject))
	checkErr(t, err, nil)
	if writes.Load() != 2 {
		t.Errorf("%d writes", writes.Load())
	}
	got, err := s.Referrers(ctx, subject, "")
	checkErr(t, err, nil)
	if !sameDigests(got, []ocispec.Descriptor{d, da, db}) {
		t.Errorf("referrers %v", got)
	}
	tag := open(t, reg.Host+"/a/b:"+tagOf(subject), fetch.Options{})
	root, err := tag.Resolve(ctx)
	checkErr(t, err, nil)
	body, err := tag.Document(ctx, root)
	checkErr(t, err, nil)
	for _, kept := range []string{one, `"x-top":[1]`} {
		if !strings.Contains(string(body), kept) {
			t.Errorf("%s is missing in %s", kept, body)
		}
	}
}

// TestPushTagDangling drops from the list of referrers what is gone, where the
// registry would refuse the list otherwise.
func TestPushTagDangling(t *testing.T) {
	ctx := context.Background()
	reg := Start(t, Options{Writable: true})
	subject, all := linkUp(t, reg, true)
	reg.DeleteManifest("a/b", all[1].Digest.String())
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	d, err := s.Push(ctx, pushable(t, []byte("one"), &subject))
	checkErr(t, err, nil)
	got, err := s.Referrers(ctx, subject, "")
	checkErr(t, err, nil)
	if !sameDigests(got, []ocispec.Descriptor{all[0], all[2], d}) {
		t.Errorf("referrers %v", got)
	}
}

// TestPushTagRepaired lists a referrer that has been pushed before and not
// been listed, since the registry went down between the two.
func TestPushTagRepaired(t *testing.T) {
	ctx := context.Background()
	reg := Start(t, Options{Writable: true})
	subject := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	tag := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, tagOf(subject)) }
	for _, fault := range []Fault{Method(http.MethodPut, Status(503)), Method(http.MethodGet, Status(503))} {
		reg.Use(If(tag, fault))
		s := open(t, reg.Host+"/a/b:t", fetch.Options{})
		u := pushable(t, []byte("one"), &subject)
		_, err := s.Push(ctx, u)
		checkErr(t, err, fetch.ErrUnreachable)
		reg.Heal()
		d, err := s.Push(ctx, u)
		checkErr(t, err, nil)
		got, err := s.Referrers(ctx, subject, "")
		if err != nil || !sameDigests(got, []ocispec.Descriptor{d}) {
			t.Error(got, err)
		}
		checkErr(t, s.Delete(ctx, d), nil)
	}
}

// TestDeleteLast deletes the list of referrers with its last entry: where the
// registry deletes it, where there is nothing else in it, and unless somebody
// has added to it meanwhile.
func TestDeleteLast(t *testing.T) {
	ctx := context.Background()
	isList := func(reg *Server, subject ocispec.Descriptor, method string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			if r.Method != method {
				return false
			}
			body, ok := reg.Manifest("a/b", tagOf(subject))
			return ok && strings.HasSuffix(r.URL.Path, "/"+digest.FromBytes(body).String())
		}
	}
	for _, c := range []struct {
		name  string
		keeps string // what the list says beside
		fault Fault  // of the deletion of the list
		left  int    // referrers
		tag   bool   // is there afterwards
	}{
		{"deleted", "", nil, 0, false},
		{"not allowed", "", Status(405), 0, true},
		{"refused", "", Status(403), 0, true},
		{"gone by itself", "", Status(404), 0, true},
		{"says more", `,"annotations":{"a":"b"}`, nil, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := Start(t, Options{Writable: true})
			subject := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
			s := open(t, reg.Host+"/a/b:t", fetch.Options{})
			d, err := s.Push(ctx, pushable(t, []byte("one"), &subject))
			checkErr(t, err, nil)
			if c.keeps != "" {
				body, _ := reg.Manifest("a/b", tagOf(subject))
				reg.PutManifest("a/b", tagOf(subject), ocispec.MediaTypeImageIndex, append(body[:len(body)-1:len(body)-1], c.keeps+"}"...))
			}
			if c.fault != nil {
				reg.Use(If(isList(reg, subject, http.MethodDelete), c.fault))
			}
			checkErr(t, s.Delete(ctx, d), nil)
			got, err := s.Referrers(ctx, subject, "")
			if err != nil || len(got) != c.left {
				t.Error(got, err)
			}
			if body, ok := reg.Manifest("a/b", tagOf(subject)); ok != c.tag || !strings.Contains(string(body), strings.TrimPrefix(c.keeps, ",")) {
				t.Errorf("the list: %s", body)
			}
		})
	}
}

// TestDeleteLastShared has somebody add to the list of referrers while we delete
// its last entry, and the list with it.
func TestDeleteLastShared(t *testing.T) {
	ctx := context.Background()
	reg := Start(t, Options{Writable: true})
	subject := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	ours, err := s.Push(ctx, pushable(t, []byte("one"), &subject))
	checkErr(t, err, nil)
	list, _ := reg.Manifest("a/b", tagOf(subject))
	b, theirs := referrer(t, subject, typeA, "theirs")
	reg.Use(If(func(r *http.Request) bool {
		return r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/"+digest.FromBytes(list).String())
	}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reg.PutManifest("a/b", "", theirs.MediaType, b)
			entry := fmt.Sprintf(`[{"mediaType":%q,"digest":%q,"size":%d},`, theirs.MediaType, theirs.Digest, theirs.Size)
			reg.PutManifest("a/b", tagOf(subject), ocispec.MediaTypeImageIndex, bytes.Replace(list, []byte("["), []byte(entry), 1))
			next.ServeHTTP(w, r)
		})
	}))
	checkErr(t, s.Delete(ctx, ours), nil)
	got, err := s.Referrers(ctx, subject, "")
	if err != nil || !sameDigests(got, []ocispec.Descriptor{theirs}) {
		t.Error(got, err)
	}
}

// TestDeleteAgain takes a manifest for deleted that is not there any more once
// the answer to its deletion has been lost.
func TestDeleteAgain(t *testing.T) {
	reg := Start(t, Options{Writable: true})
	subject, all := linkUp(t, reg, true)
	reg.Use(Method(http.MethodDelete, Times(1, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		})
	})))
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	checkErr(t, s.Delete(context.Background(), all[0]), nil)
	got, err := s.Referrers(context.Background(), subject, "")
	if err != nil || !sameDigests(got, all[1:]) {
		t.Error(got, err)
	}
}

// TestDeleteRefused says why.
func TestDeleteRefused(t *testing.T) {
	for _, c := range []struct {
		fault Fault
		err   error
	}{
		{All(), fetch.ErrUnsupported},
		{Status(401), fetch.ErrUnauthorized},
		{Status(403), fetch.ErrUnauthorized},
		{Status(404), fetch.ErrNotFound},
		{Status(501), fetch.ErrUnsupported},
		{Status(503), fetch.ErrUnreachable},
		{Answer(func(w http.ResponseWriter, _ *http.Request) { Fail(w, 400, "UNSUPPORTED", "no") }), fetch.ErrUnsupported},
	} {
		reg := Start(t, Options{Writable: true, Keep: true})
		subject, all := linkUp(t, reg, true)
		reg.Use(Method(http.MethodDelete, c.fault))
		s := open(t, reg.Host+"/a/b:t", fetch.Options{})
		checkErr(t, s.Delete(context.Background(), all[0]), c.err)
		got, err := s.Referrers(context.Background(), subject, "")
		if err != nil || !sameDigests(got, all) {
			t.Error(got, err)
		}
	}
}

// TestPushTagConcurrently loses no referrer of many that are pushed by one
// Source at a time.
func TestPushTagConcurrently(t *testing.T) {
	reg := Start(t, Options{Writable: true})
	subject := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	concurrently(t, 10, func(i int) error {
		_, err := s.Push(context.Background(), pushable(t, fmt.Append(nil, i), &subject))
		return err
	})
	got, err := s.Referrers(context.Background(), subject, "")
	if err != nil || len(got) != 10 {
		t.Error(len(got), err)
	}
}

// TestPushFails pushes a blob through all that can go wrong with that.
func TestPushFails(t *testing.T) {
	uploads := func(method string, f Fault) Fault { return On(Upload, Method(method, f)) }
	location := func(change func(string) string) Fault {
		return uploads("POST", Head(func(status int, h http.Header) int {
			h.Set("Location", change(h.Get("Location")))
			return status
		}))
	}
	for _, c := range []struct {
		name   string
		fault  Fault
		err    error
		opened int64 // how often the content is
		upload int   // requests for the upload
	}{
		{"plain", Times(0, Status(500)), nil, 1, 2},
		{"POST 503 once", uploads("POST", Times(1, Status(503))), nil, 1, 3},
		{"POST 404", uploads("POST", Status(404)), fetch.ErrNotFound, 0, 1},
		{"POST 405", uploads("POST", Status(405)), fetch.ErrUnsupported, 0, 1},
		{"POST 400", uploads("POST", Status(400)), errAny, 0, 1},
		{"POST 403", uploads("POST", Status(403)), fetch.ErrUnauthorized, 0, 1},
		{"POST hangs up once", uploads("POST", Times(1, HangUp())), nil, 1, 3},
		{"PUT 503 twice", uploads("PUT", Times(2, Status(503))), nil, 3, 6},
		{"PUT 503 for ever", uploads("PUT", Status(503)), fetch.ErrUnreachable, 3, 6},
		{"PUT 404 once", uploads("PUT", Times(1, Status(404))), nil, 2, 4},
		{"PUT 404", uploads("PUT", Status(404)), fetch.ErrUnreachable, 3, 6},
		{"PUT 413", uploads("PUT", Status(413)), errAny, 1, 2},
		{"PUT 307", uploads("PUT", Redirect(307, func(*http.Request) string { return "http://169.254.169.254/" })), errAny, 2, 2},
		{"PUT hangs up once", uploads("PUT", Times(1, HangUp())), nil, 2, 4},
		{"PUT cut once", uploads("PUT", Times(1, CutUpload(1000))), nil, 2, 4},
		{"PUT cut at the end once", uploads("PUT", Times(1, CutUpload(small))), nil, 2, 4},
		{"PUT cut for ever", uploads("PUT", CutUpload(1000)), fetch.ErrUnreachable, 3, 6},
		{"HEAD 405", On(Blob, Status(405)), nil, 1, 2},
		{"HEAD 403", On(Blob, Status(403)), nil, 1, 2},
		{"HEAD 500 once", On(Blob, Times(1, Status(500))), nil, 1, 2},
		{"HEAD 500", On(Blob, Status(500)), fetch.ErrUnreachable, 0, 0},
		{"no location", location(func(string) string { return "" }), fetch.ErrUnreachable, 0, 3},
		{"a location elsewhere", location(func(string) string { return "http://169.254.169.254/x" }), fetch.ErrUnreachable, 0, 1},
		{"a location at another port", location(func(string) string { return "http://127.0.0.1:1/x" }), fetch.ErrUnreachable, 0, 1},
		{"a location for somebody else", location(func(s string) string { return "//u:p@127.0.0.1:1" + s }), fetch.ErrUnreachable, 0, 1},
		{"another digest stored", uploads("PUT", Header("Docker-Content-Digest", digest.FromString("x").String())), errAny, 1, 2},
		{"no digest stored", uploads("PUT", Header("Docker-Content-Digest", "")), nil, 1, 2},
		{"200 instead of 201", uploads("PUT", Head(func(int, http.Header) int { return 200 })), nil, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := Start(t, Options{Writable: true})
			reg.PutBlob("", []byte(`{}`))
			reg.Use(c.fault)
			var opened atomic.Int64
			data := noise(small)
			blob := content(t, data, &opened)
			u := pushable(t, data, nil)
			u.Blobs = []fetch.Content{blob, blob}
			var progress int64
			u.Progress = func(n int64) { progress += n }
			_, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Push(context.Background(), u)
			checkErr(t, err, c.err)
			if opened.Load() != c.opened || reg.Count(Upload) != c.upload {
				t.Errorf("opened %d times, %d requests; want %d, %d", opened.Load(), reg.Count(Upload), c.opened, c.upload)
				expect(t, reg, nil)
			}
			if err == nil && progress != small {
				t.Errorf("progress up to %d", progress)
			}
			if progress < 0 || progress > small {
				t.Errorf("progress up to %d", progress)
			}
		})
	}
}

// TestPushNothing pushes a blob of no bytes, twice the same, into both kinds
// of places.
func TestPushNothing(t *testing.T) {
	reg := Start(t, Options{Writable: true})
	for _, ref := range []string{reg.Host + "/a/b:t", "oci:" + t.TempDir() + ":t"} {
		s := create(t, ref)
		u := tagged(pushable(t, nil, nil))
		u.Blobs = append(u.Blobs, u.Blobs...)
		_, err := s.Push(context.Background(), u)
		checkErr(t, err, nil)
		readAll(t, openBlob(t, s, manifest(t, s).Layers[0]), nil)
	}
	expect(t, reg, map[Kind]int{Blob: 2, Upload: 4, Manifest: 4})
}

// TestPushElsewhere takes a redirect for a sign that the blob is there.
func TestPushElsewhere(t *testing.T) {
	reg := Start(t, Options{Writable: true, CDN: true})
	data := noise(small)
	reg.PutBlob("", data)
	reg.PutBlob("", []byte(`{}`))
	_, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Push(context.Background(), pushable(t, data, nil))
	checkErr(t, err, nil)
	expect(t, reg, map[Kind]int{Blob: 2, Manifest: 2})
}

// TestPushLocation sends blobs to where it is told, as long as that is the
// registry.
func TestPushLocation(t *testing.T) {
	for name, change := range map[string]func(host, s string) string{
		"a path":             func(_, s string) string { return s },
		"absolute":           func(host, s string) string { return "http://" + host + s },
		"without a scheme":   func(host, s string) string { return "//" + host + s },
		"with a fragment":    func(_, s string) string { return s + "#x" },
		"by another scheme":  func(host, s string) string { return "https://" + host + s },
		"in another writing": func(host, s string) string { return "HTTP://" + strings.ToUpper(host) + s },
		"relative":           func(_, s string) string { return strings.TrimPrefix(s, "/v2/a/b/blobs/uploads/") },
	} {
		reg := Start(t, Options{Writable: true})
		reg.Use(On(Upload, Method("POST", Head(func(status int, h http.Header) int {
			h.Set("Location", change(reg.Host, h.Get("Location")))
			return status
		}))))
		_, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Push(context.Background(), pushable(t, []byte("x"), nil))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPushWrong refuses content that is not what its descriptor says, before
// the registry has all of it.
func TestPushWrong(t *testing.T) {
	data := noise(small)
	broken := errors.New("the disk is on fire")
	for _, c := range []struct {
		name   string
		change func(*fetch.Content)
		err    error
	}{
		{"another digest", func(c *fetch.Content) { c.Digest = digest.FromString("x") }, errDigest},
		{"too short", func(c *fetch.Content) { c.Size++ }, errDigest},
		{"too long", func(c *fetch.Content) { c.Size-- }, errDigest},
		{"much too long", func(c *fetch.Content) { c.Size = 1 }, errDigest},
		{"nothing expected", func(c *fetch.Content) { c.Size = 0 }, errDigest},
		{"nothing there", func(c *fetch.Content) {
			c.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }
		}, errDigest},
		{"empty and wrong", func(c *fetch.Content) {
			c.Size, c.Open = 0, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }
		}, errDigest},
		{"cannot be opened", func(c *fetch.Content) { c.Open = func() (io.ReadCloser, error) { return nil, broken } }, broken},
		{"cannot be read", func(c *fetch.Content) {
			c.Open = func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(data[:1000]), &failing{broken})), nil
			}
		}, broken},
		{"cannot be read at the end", func(c *fetch.Content) {
			c.Open = func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(data), &failing{broken})), nil
			}
		}, broken},
		{"wrong data", func(c *fetch.Content) { c.Open, c.Data = nil, []byte("x") }, errDigest},
		{"nothing to read", func(c *fetch.Content) { c.Open = nil }, errAny},
		{"a negative size", func(c *fetch.Content) { c.Size = -1 }, errAny},
		{"a digest that is a path", func(c *fetch.Content) { c.Digest = "sha256:../../x" }, errAny},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := Start(t, Options{Writable: true})
			for _, ref := range []string{reg.Host + "/a/b:t", "oci:" + t.TempDir() + "/new"} {
				blob := content(t, data, nil)
				c.change(&blob)
				s, err := fetch.Create(context.Background(), ref, fetch.Options{Retry: impatient})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				u := pushable(t, data, nil)
				u.Blobs = []fetch.Content{blob}
				_, err = s.Push(context.Background(), u)
				checkErr(t, err, c.err)
				_, err = s.Document(context.Background(), ocispec.Descriptor{Digest: digest.FromBytes(u.Manifest)})
				checkErr(t, err, fetch.ErrNotFound)
				if b, err := s.Blob(context.Background(), ocispec.Descriptor{Digest: digest.FromBytes(data), Size: small}); err == nil {
					_, err = b.ReadAt(make([]byte, 1), 0)
					checkErr(t, err, fetch.ErrNotFound)
				}
			}
			if n := reg.Count(Upload); n > 2 {
				t.Errorf("%d requests for uploads", n)
			}
		})
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// TestPushManifestWrong refuses manifests before anybody is asked.
func TestPushManifestWrong(t *testing.T) {
	reg := Start(t, Options{Writable: true})
	for _, c := range []struct {
		name string
		u    fetch.Upload
		err  error
	}{
		{"nothing", fetch.Upload{}, errAny},
		{"not JSON", fetch.Upload{Manifest: []byte("x"), MediaType: ocispec.MediaTypeImageManifest}, errAny},
		{"no type", fetch.Upload{Manifest: []byte(`{}`)}, fetch.ErrUnsupported},
		{"another type", fetch.Upload{Manifest: []byte(`{"mediaType":"` + ocispec.MediaTypeImageIndex + `"}`), MediaType: ocispec.MediaTypeImageManifest}, errAny},
		{"no manifest's type", fetch.Upload{Manifest: []byte(`{}`), MediaType: "text/plain"}, fetch.ErrUnsupported},
		{"a subject that is a path", fetch.Upload{Manifest: []byte(`{"subject":{"digest":"sha256:../x"}}`), MediaType: ocispec.MediaTypeImageManifest}, errAny},
		{"too large", fetch.Upload{Manifest: []byte(`{"x":"` + strings.Repeat("x", fetch.MaxDocument) + `"}`), MediaType: ocispec.MediaTypeImageManifest}, fetch.ErrUnsupported},
		{"a tag where there is none", fetch.Upload{Manifest: []byte(`{}`), MediaType: ocispec.MediaTypeImageManifest, Tagged: true}, errAny},
	} {
		_, err := open(t, reg.Host+"/a/b@"+digest.FromString("x").String(), fetch.Options{}).Push(context.Background(), c.u)
		if checkErr(t, err, c.err); t.Failed() {
			t.Fatal(c.name)
		}
	}
	expect(t, reg, nil)
}

// TestPushStalled gives an upload up that makes no progress, and tries again.
func TestPushStalled(t *testing.T) {
	t.Parallel()
	reg := Start(t, Options{Writable: true})
	release := make(chan struct{})
	defer close(release)
	reg.Use(On(Upload, Method("PUT", Times(1, Answer(func(_ http.ResponseWriter, req *http.Request) {
		io.CopyN(io.Discard, req.Body, 1000)
		<-release
	})))))
	o := fetch.Options{Retry: impatient}
	o.Retry.Stall = 2 * time.Second // of which a loaded machine takes some to send a little
	data := noise(32 << 20)         // more than fits into the buffers on the way
	_, err := open(t, reg.Host+"/a/b:t", o).Push(context.Background(), pushable(t, data, nil))
	checkErr(t, err, nil)
}

// TestPushSlowCommit waits for a registry that takes its time once it has all.
func TestPushSlowCommit(t *testing.T) {
	t.Parallel()
	reg := Start(t, Options{Writable: true})
	reg.Use(On(Upload, Method("PUT", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			time.Sleep(5 * time.Second)
			next.ServeHTTP(w, r)
		})
	})))
	o := fetch.Options{Retry: impatient}
	o.Retry.Stall = 4 * time.Second      // of which a loaded machine takes some to send a little
	u := pushable(t, noise(16<<20), nil) // which a registry may take 4 s more to store
	reg.PutBlob("", []byte(`{}`))
	_, err := open(t, reg.Host+"/a/b:t", o).Push(context.Background(), u)
	checkErr(t, err, nil)
	if n := reg.Count(Upload); n != 2 {
		t.Errorf("%d requests for the upload", n)
	}
}

// TestPushTLS pushes by HTTP/2, what is right and what is not.
func TestPushTLS(t *testing.T) {
	ctx := context.Background()
	reg, ca := startTLS(t, Options{Writable: true, Referrers: ReferrersAPI{API: true, Page: 1}})
	s := open(t, reg.Host+"/a/b:t", fetch.Options{CAFile: ca})
	data := noise(1 << 20)
	d, err := s.Push(ctx, tagged(pushable(t, data, nil)))
	checkErr(t, err, nil)
	readAll(t, openBlob(t, s, manifest(t, s).Layers[0]), data)
	for i := range 3 {
		_, err = s.Push(ctx, pushable(t, fmt.Append(nil, i), &d))
		checkErr(t, err, nil)
	}
	if list, err := s.Referrers(ctx, d, ""); err != nil || len(list) != 3 {
		t.Error(list, err)
	}
	reg.Reset()
	for _, change := range []func(*fetch.Content){
		func(c *fetch.Content) { c.Size++ },
		func(c *fetch.Content) { c.Size-- },
		func(c *fetch.Content) { c.Digest = digest.FromString("x") },
	} {
		u := pushable(t, append(data, 1), nil)
		change(&u.Blobs[1])
		_, err = s.Push(ctx, u)
		checkErr(t, err, errDigest)
	}
	reg.Use(On(Upload, Method("PUT", Times(1, CutUpload(1000)))))
	_, err = s.Push(ctx, pushable(t, append(data, 2), nil))
	checkErr(t, err, nil)
}

// TestPushCanceled ends with its context.
func TestPushCanceled(t *testing.T) {
	reg := Start(t, Options{Writable: true})
	ctx, cancel := context.WithCancel(context.Background())
	release := make(chan struct{})
	defer close(release)
	reg.Use(On(Upload, Method("PUT", Answer(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release
	}))))
	_, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Push(ctx, pushable(t, noise(small), nil))
	checkErr(t, err, context.Canceled)
}

// TestScopes asks for a token that allows what is to be done, and only then
// for one that allows more.
func TestScopes(t *testing.T) {
	ctx := context.Background()
	reg := Start(t, Options{Writable: true, Auth: Auth{Mode: Bearer, Username: "u", Password: "p"}, Referrers: ReferrersAPI{API: true}})
	subject := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	s := open(t, reg.Host+"/a/b:t", fetch.Options{Auth: user})
	var d ocispec.Descriptor
	for _, step := range []struct {
		name   string
		do     func() error
		tokens []string // the scopes asked for
	}{
		{"read", func() error { _, err := s.Resolve(ctx); return err }, []string{"pull"}},
		{"push", func() (err error) { d, err = s.Push(ctx, pushable(t, []byte("x"), &subject)); return err }, []string{"pull,push"}},
		{"push more", func() error { _, err := s.Push(ctx, pushable(t, []byte("y"), &subject)); return err }, nil},
		{"read again", func() error { _, err := s.Referrers(ctx, subject, ""); return err }, nil},
		{"delete", func() error { return s.Delete(ctx, d) }, []string{"delete,pull,push"}},
		{"read after all", func() error { _, err := s.Resolve(ctx); return err }, nil},
	} {
		reg.Reset()
		checkErr(t, step.do(), nil)
		var tokens []string
		for _, r := range reg.Requests(Token) {
			query, err := url.ParseQuery(r.Query)
			checkErr(t, err, nil)
			tokens = append(tokens, strings.TrimPrefix(query.Get("scope"), "repository:a/b:"))
		}
		if !slices.Equal(tokens, step.tokens) {
			t.Errorf("%s: tokens for %q, want %q", step.name, tokens, step.tokens)
		}
	}
}

// TestPushMany pushes many blobs side by side, while tokens run out and others
// read, who need less of a token.
func TestPushMany(t *testing.T) {
	ctx := context.Background()
	// Some 210 requests: who has asked for a token, and doesn't come to use it before
	// the others have used it up, is refused for good.
	reg := Start(t, Options{Writable: true, Auth: Auth{Mode: Bearer, Uses: 80}})
	data := noise(small)
	d := reg.PutBlob("", data)
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	var u fetch.Upload
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: ocispec.DescriptorEmptyJSON}
	u.Blobs = []fetch.Content{{Descriptor: ocispec.DescriptorEmptyJSON}}
	var size int64 = 2
	for i := range 30 {
		blob := content(t, data[i*10:i*1000], nil)
		size += blob.Size
		m.Layers = append(m.Layers, blob.Descriptor)
		u.Blobs = append(u.Blobs, blob)
	}
	u.Manifest = []byte(encode(t, m))
	u.Progress = func(n int64) { size -= n }
	b := openBlob(t, s, d)
	concurrently(t, 5, func(i int) error {
		if i == 0 {
			_, err := s.Push(ctx, u)
			return err
		}
		for range 30 {
			if _, err := b.ReadAt(make([]byte, 100), int64(i)*100); err != nil {
				return err
			}
		}
		return nil
	})
	if size != 0 {
		t.Errorf("progress: %d missing", size)
	}
}

// TestPushRefused may read and not write.
func TestPushRefused(t *testing.T) {
	reg := Start(t, Options{})
	subject := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	_, err := s.Push(context.Background(), pushable(t, []byte("x"), nil))
	checkErr(t, err, fetch.ErrUnsupported)
	_, err = s.Push(context.Background(), fetch.Upload{Manifest: []byte(`{}`), MediaType: ocispec.MediaTypeImageManifest})
	checkErr(t, err, fetch.ErrUnsupported)
	checkErr(t, s.Delete(context.Background(), subject), fetch.ErrUnsupported)
	archive := open(t, save(t, simple(t, "one").tar(t)), fetch.Options{})
	_, err = archive.Push(context.Background(), pushable(t, []byte("x"), nil))
	checkErr(t, err, fetch.ErrUnsupported)
	checkErr(t, archive.Delete(context.Background(), subject), fetch.ErrUnsupported)
}
