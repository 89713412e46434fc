package fetch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// TestResolve resolves a tag, then reads the document it points at, through
// all that can go wrong with either.
func TestResolve(t *testing.T) {
	head := func(f Fault) Fault { return Method(http.MethodHead, f) }
	for _, c := range []struct {
		name     string
		fault    Fault
		err      error
		requests string
	}{
		{"plain", nil, nil, "HEAD tag, GET digest"},
		{"HEAD not allowed", head(Status(405)), nil, "HEAD tag, GET tag"},
		{"HEAD refused", head(Status(403)), nil, "HEAD tag, GET tag"},
		{"HEAD not found", head(Status(404)), nil, "HEAD tag, GET tag"},
		{"HEAD fails twice", head(Times(2, Status(502))), nil, "HEAD tag, HEAD tag, HEAD tag, GET digest"},
		{"HEAD redirected", head(Redirect(307, func(*http.Request) string { return "http://127.0.0.1:1/" })), nil, "HEAD tag, GET tag"},
		{"HEAD without a digest", head(Header("Docker-Content-Digest", "")), nil, "HEAD tag, GET tag"},
		{"HEAD with a malformed digest", head(Header("Docker-Content-Digest", "sha256:../../x")), nil, "HEAD tag, GET tag"},
		{"HEAD with another type", head(Header("Content-Type", "text/html")), nil, "HEAD tag, GET tag"},
		{"HEAD with a wrong length", head(Header("Content-Length", "1")), nil, "HEAD tag, GET digest"},
		{"HEAD with a wrong digest", head(Header("Docker-Content-Digest", digest.FromString("x").String())), fetch.ErrNotFound, "HEAD tag, GET digest"},
		{"no digest at all", Header("Docker-Content-Digest", ""), nil, "HEAD tag, GET tag"},
		{"a wrong digest", Header("Docker-Content-Digest", digest.FromString("x").String()), fetch.ErrNotFound, "HEAD tag, GET digest"},
		{"a wrong digest without HEAD", All(Header("Docker-Content-Digest", digest.FromString("x").String()), head(Status(405))), errDigest, "HEAD tag, GET tag"},
		{"a wrong body", Flip(3), errDigest, "HEAD tag, GET digest"},
		{"a wrong body without HEAD", All(Flip(3), head(Status(405))), errDigest, "HEAD tag, GET tag"},
		{"cut once", Method("GET", Times(1, Cut(10))), nil, "HEAD tag, GET digest, GET digest"},
		{"short", Method("GET", Short(1)), errDigest, "HEAD tag, GET digest"},
		{"a page", Page(), fetch.ErrUnsupported, "HEAD tag, GET tag"},
		{"a page by digest", Method("GET", Page()), errDigest, "HEAD tag, GET digest"},
		{"endless", Method("GET", Endless("application/json")), fetch.ErrUnsupported, "HEAD tag, GET digest"},
		{"endless without HEAD", All(head(Status(405)), Endless("application/json")), fetch.ErrUnsupported, "HEAD tag, GET tag"},
		{"encoded", Gzip(), fetch.ErrUnsupported, "HEAD tag, GET digest"},
		{"not there", Status(404), fetch.ErrNotFound, "HEAD tag, GET tag"},
		{"down", Status(503), fetch.ErrUnreachable, "HEAD tag, HEAD tag, HEAD tag"},
		{"rate limited", RetryAfter(429, "86400"), fetch.ErrUnreachable, "HEAD tag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := Start(t, Options{})
			want := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
			if c.fault != nil {
				reg.Use(On(Manifest, c.fault))
			}
			ctx := context.Background()
			s := open(t, reg.Host+"/a/b:t", fetch.Options{})
			d, err := s.Resolve(ctx)
			var body []byte
			if err == nil {
				d, body, err = s.Complete(ctx, d)
			}
			checkErr(t, err, c.err)
			if got := sequence(reg); got != c.requests {
				t.Errorf("requests: %s, want %s", got, c.requests)
			}
			if err == nil && (d.Digest != want.Digest || d.Size != want.Size || d.MediaType != want.MediaType) {
				t.Errorf("resolved to %v, want %v", d, want)
			}
			if err == nil && digest.FromBytes(body) != want.Digest {
				t.Error("wrong document")
			}
		})
	}
}

// sequence tells what was asked for manifests, in order.
func sequence(reg *Server) string {
	var list []string
	for _, r := range reg.Requests() {
		name := "tag"
		if strings.Contains(r.Path, "/sha256:") {
			name = "digest"
		}
		list = append(list, r.Method+" "+name)
	}
	return strings.Join(list, ", ")
}

// TestByDigest needs no request to resolve, and learns the rest from the
// answer.
func TestByDigest(t *testing.T) {
	reg := Start(t, Options{})
	want := reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	for _, ref := range []string{"/a/b@" + want.Digest.String(), "/a/b:other@" + want.Digest.String()} {
		reg.Reset()
		s := open(t, reg.Host+ref, fetch.Options{})
		d, err := s.Resolve(context.Background())
		if err != nil || d.Digest != want.Digest || reg.Count() != 0 {
			t.Error(d, err, reg.Count())
		}
		d, _, err = s.Complete(context.Background(), d)
		if err != nil || d.Size != want.Size || d.MediaType != want.MediaType {
			t.Error(d, err)
		}
		expect(t, reg, map[Kind]int{Manifest: 1})
	}
}

// TestMountBudget counts what it takes to get at an image's first byte.
func TestMountBudget(t *testing.T) {
	reg := Start(t, Options{CDN: true, Auth: Auth{Mode: Bearer, Username: "u", Password: "p"}})
	reg.Push("a/b", "t", Layer{Blob: noise(small)}, Layer{Blob: noise(small - 1)})
	s := open(t, reg.Host+"/a/b:t", fetch.Options{Auth: fetch.Auth{Username: "u", Password: "p"}})
	m := manifest(t, s)
	if _, err := s.Document(context.Background(), m.Config); err != nil {
		t.Fatal(err)
	}
	for _, l := range m.Layers {
		b := openBlob(t, s, l)
		readMany(t, b, noise(int(l.Size)), 3)
	}
	expect(t, reg, map[Kind]int{Manifest: 3, Token: 1, Blob: 3, CDN: 7})
	var bytes int64
	for _, r := range reg.Requests() {
		if r.Status != http.StatusUnauthorized { // which nobody reads
			bytes += r.Bytes
		}
	}
	if got := s.Stats(); got.Requests != 14 || got.Bytes != bytes {
		t.Errorf("%+v, want 14 requests, %d bytes", got, bytes)
	}
	noAuthorization(t, reg)
}

// TestConfigIsBlob reads documents from where registries keep them.
func TestConfigIsBlob(t *testing.T) {
	reg := Start(t, Options{})
	manifest, config := []byte(`{"schemaVersion":2}`), []byte(`{}`)
	m := reg.PutManifest("a/b", "", ocispec.MediaTypeImageManifest, manifest)
	c := reg.PutBlob(ocispec.MediaTypeImageConfig, config)
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	for _, d := range []ocispec.Descriptor{m, {Digest: m.Digest}, c} {
		if _, err := s.Document(context.Background(), d); err != nil {
			t.Error(err)
		}
	}
	expect(t, reg, map[Kind]int{Manifest: 2, Blob: 1})
}

// TestSchema1 gets a manifest whose digest its registry counts without what is
// signed to it; any other with another digest is refused.
func TestSchema1(t *testing.T) {
	body := []byte(`{"schemaVersion":1,"signatures":[]}`)
	for mediaType, want := range map[string]error{
		"application/vnd.docker.distribution.manifest.v1+prettyjws": nil,
		"application/vnd.docker.distribution.manifest.v1+json":      errDigest,
	} {
		reg := Start(t, Options{})
		reg.Use(Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.Header().Set("Docker-Content-Digest", digest.FromString("the payload").String())
			w.Write(body)
		}))
		d, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Resolve(context.Background())
		if checkErr(t, err, want); want == nil && (d.MediaType != mediaType || d.Digest != digest.FromBytes(body)) {
			t.Errorf("%+v", d)
		}
	}
}

// TestDocumentChecks refuses descriptors before anybody is asked.
func TestDocumentChecks(t *testing.T) {
	reg := Start(t, Options{})
	body := []byte(`{}`)
	good := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(body), Size: 2}
	with := func(f func(*ocispec.Descriptor)) ocispec.Descriptor { d := good; f(&d); return d }
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	for _, c := range []struct {
		name string
		d    ocispec.Descriptor
		err  error
	}{
		{"embedded", with(func(d *ocispec.Descriptor) { d.Data = body }), nil},
		{"embedded, of unknown size", with(func(d *ocispec.Descriptor) { d.Data, d.Size = body, 0 }), nil},
		{"embedded, wrong", with(func(d *ocispec.Descriptor) { d.Data = []byte("[]") }), errDigest},
		{"embedded, wrong size", with(func(d *ocispec.Descriptor) { d.Data, d.Size = body, 3 }), errDigest},
		{"too big", with(func(d *ocispec.Descriptor) { d.Size = fetch.MaxDocument + 1 }), fetch.ErrUnsupported},
		{"negative", with(func(d *ocispec.Descriptor) { d.Size = -1 }), fetch.ErrUnsupported},
		{"no digest", with(func(d *ocispec.Descriptor) { d.Digest = "" }), errAny},
		{"upper case", with(func(d *ocispec.Descriptor) {
			d.Digest = digest.Digest("sha256:" + strings.ToUpper(d.Digest.Encoded()))
		}), errAny},
		{"too short", with(func(d *ocispec.Descriptor) { d.Digest = d.Digest[:70] }), errAny},
		{"a path", with(func(d *ocispec.Descriptor) { d.Digest = "sha256:../../../etc/passwd" }), errAny},
		{"unknown algorithm", with(func(d *ocispec.Descriptor) { d.Digest = digest.Digest("md5:" + strings.Repeat("0", 32)) }), errAny},
	} {
		got, err := s.Document(context.Background(), c.d)
		checkErr(t, err, c.err)
		if err == nil && !bytes.Equal(got, body) {
			t.Errorf("%s: %q", c.name, got)
		}
		if c.d.Size >= 0 && c.err != nil && c.err != fetch.ErrUnsupported {
			_, err = s.Blob(context.Background(), c.d)
			checkErr(t, err, c.err)
		}
	}
	expect(t, reg, nil)
}

// TestBlobEmpty knows what an empty blob's digest is.
func TestBlobEmpty(t *testing.T) {
	reg := Start(t, Options{})
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	for content, want := range map[string]error{"": nil, "x": errDigest} {
		_, err := s.Blob(context.Background(), ocispec.Descriptor{Digest: digest.FromString(content)})
		checkErr(t, err, want)
	}
	expect(t, reg, nil)
}

// TestEmbeddedBlob reads a blob that is within its descriptor.
func TestEmbeddedBlob(t *testing.T) {
	reg := Start(t, Options{})
	data := []byte("hello")
	d := ocispec.Descriptor{Digest: digest.FromBytes(data), Size: 5, Data: data}
	b := openBlob(t, open(t, reg.Host+"/a/b:t", fetch.Options{}), d)
	readAll(t, b, data)
	expect(t, reg, nil)
}

// TestAlgorithms verifies by each of the algorithms.
func TestAlgorithms(t *testing.T) {
	reg := Start(t, Options{})
	body := []byte(`{}`)
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		d := a.FromBytes(body)
		reg.PutContent(d, bytes.NewReader(body))
		_, err := s.Document(context.Background(), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: d, Size: 2})
		checkErr(t, err, nil)
		reg.PutContent(d, bytes.NewReader([]byte(`[]`)))
		_, err = s.Document(context.Background(), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: d, Size: 2})
		checkErr(t, err, errDigest)
	}
}

// TestErrorText holds errors to one line that names the place and gives no
// secrets away.
func TestErrorText(t *testing.T) {
	secrets := []string{"s3cr3t", "pa55word", "dTpwYTU1d29yZA"}
	for _, c := range []struct {
		name  string
		fault Fault
		want  []string
	}{
		{"refused", On(Blob, Answer(func(w http.ResponseWriter, _ *http.Request) {
			Fail(w, 403, "DENIED", "no \x1b[31mentry\r\nhere "+strings.Repeat("x", 5000))
		})), []string{"status 403", "DENIED", `no \x1b[31mentry\r\nhere`}},
		{"plain text", On(Blob, Answer(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "go away\nnow", 404)
		})), []string{"status 404", "go away"}},
		{"signed", On(CDN, Status(404)), []string{"status 404"}},
		{"signed, hung up", On(CDN, HangUp()), []string{"EOF"}},
		{"to a bad place", On(Blob, Redirect(307, func(*http.Request) string {
			return "http://u:pa55word@169.254.169.254/?sig=s3cr3t"
		})), []string{"169.254.169.254"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := Start(t, Options{CDN: true, Auth: Auth{Mode: Basic, Username: "u", Password: "pa55word"}})
			d := reg.PutBlob("", noise(100))
			reg.Use(c.fault)
			b := openBlob(t, open(t, reg.Host+"/a/b:tag", fetch.Options{Auth: fetch.Auth{Username: "u", Password: "pa55word"}}), d)
			_, err := b.ReadAt(make([]byte, 10), 0)
			if err == nil {
				t.Fatal("no error")
			}
			text := err.Error()
			for _, want := range append(c.want, reg.Host+"/a/b:tag", d.Digest.String()) {
				if !strings.Contains(text, want) {
					t.Errorf("%q does not say %q", text, want)
				}
			}
			for _, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%q gives %q away", text, secret)
				}
			}
			if strings.ContainsAny(text, "\n\r\x1b") || len(text) > 1100 {
				t.Errorf("not a line: %q", text)
			}
			if n := strings.Count(text, "/a/b:tag"); n != 1 {
				t.Errorf("%q names the source %d times", text, n)
			}
		})
	}
}

// TestName tells what a reference stands for.
func TestName(t *testing.T) {
	for ref, want := range map[string]string{
		"alpine":                 "docker.io/library/alpine:latest",
		"docker://ghcr.io/x/y:1": "ghcr.io/x/y:1",
	} {
		if got := open(t, ref, fetch.Options{}).Name(); got != want {
			t.Errorf("%s is %s, want %s", ref, got, want)
		}
	}
}

// TestIndex walks from an index to an image.
func TestIndex(t *testing.T) {
	reg := Start(t, Options{})
	reg.PushIndex("a/b", "t", reg.Push("a/b", "", Layer{Blob: []byte("layer")}))
	s := open(t, reg.Host+"/a/b:t", fetch.Options{})
	d, err := s.Resolve(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	body, err := s.Document(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Document(context.Background(), index.Manifests[0]); err != nil {
		t.Error(err)
	}
}
