package fetch

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var linkSeeds = []string{
	`</next>; rel="next"`, `</next>; rel=next`, `</first>; rel=first, </next>; rel=next`, `</next>; title="a, b; c\"d"; rel="next"`,
	`</next>; rel="prev Next"`, `<>; rel=next`, `</a>, </b>; rel=next`, `</a>;rel="next`, `</a`, ``, `rel=next`, `</a>;;;;rel = "next"`,
}

func TestNextLink(t *testing.T) {
	for s, want := range map[string]string{
		`</next>; rel="next"`:                               "/next",
		`</next>; rel=next`:                                 "/next",
		`</next>;rel=NEXT`:                                  "/next",
		`  </next> ; rel = "next" `:                         "/next",
		`</next>; rel="prev next"`:                          "/next",
		`</first>; rel="first", </next>; rel="next"`:        "/next",
		`</next>; rel="next", </last>; rel="last"`:          "/next",
		`</a>, </next>; rel=next`:                           "/next",
		`</next>; title="a, <b>; rel=x"; rel="next"`:        "/next",
		`</next>; title="\", rel=x"; rel="next"`:            "/next",
		`<https://h/v2/a?n=1&last=2,3;4>; rel="next"`:       "https://h/v2/a?n=1&last=2,3;4",
		`</next>; hreflang=en; rel=next; type="text/plain"`: "/next",
		`</a>; rel="nextish"`:                               "",
		`</a>; rev="next"`:                                  "",
		`</a>; title="rel=next"`:                            "",
		`</a>; next`:                                        "",
		`</a>; rel`:                                         "",
		`</a`:                                               "",
		`/a; rel=next`:                                      "",
		``:                                                  "",
	} {
		if got := nextLink([]string{s}); got != want {
			t.Errorf("%s: %q, want %q", s, got, want)
		}
	}
	if got := nextLink([]string{`</a>; rel=last`, `</b>; rel=next`}); got != "/b" {
		t.Errorf("two headers: %q", got)
	}
}

// FuzzNextLink holds what is found to be within the header, and to be found
// again in the form that everybody writes.
func FuzzNextLink(f *testing.F) {
	for _, s := range linkSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := nextLink([]string{s})
		if !strings.Contains(s, got) || strings.Contains(got, ">") {
			t.Errorf("%q: %q", s, got)
		}
		if got != "" && nextLink([]string{"<" + got + `>; rel="next"`}) != got {
			t.Errorf("%q: %q is not found again", s, got)
		}
	})
}

func TestStaying(t *testing.T) {
	at := &url.URL{Scheme: "https", Host: "reg.example:8443", Path: "/v2/a/b/x"}
	for ref, want := range map[string]string{
		"/v2/y?z=1":                    "https://reg.example:8443/v2/y?z=1",
		"y":                            "https://reg.example:8443/v2/a/b/y",
		"?n=2":                         "https://reg.example:8443/v2/a/b/x?n=2",
		"http://reg.example:8443/y":    "https://reg.example:8443/y",
		"https://REG.example:8443/y":   "https://REG.example:8443/y",
		"https://reg.example/y":        "",
		"http://reg.example/y":         "",
		"//reg.example:8443/y":         "https://reg.example:8443/y",
		"//evil.example:8443/y":        "",
		"https://u:p@reg.example:8443": "",
		"ftp://reg.example:8443/y":     "https://reg.example:8443/y",
		"file:///etc/passwd":           "",
		"mailto:x":                     "",
		"http://[":                     "",
		":":                            "",
	} {
		u, err := staying(at, at, ref)
		if got := ""; err == nil {
			if got = u.String(); got != want {
				t.Errorf("%s: %s, want %q", ref, got, want)
			}
		} else if want != "" {
			t.Errorf("%s: %v", ref, err)
		}
	}
	plain := &url.URL{Scheme: "https", Host: "reg.example", Path: "/v2/"}
	for _, ref := range []string{"http://reg.example/y", "https://reg.example:443/y"} {
		if _, err := staying(plain, plain, ref); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	away := &url.URL{Scheme: "https", Host: "cdn.example", Path: "/x"}
	if u, err := staying(at, away, "/y"); err == nil {
		t.Errorf("from elsewhere to %s", u)
	}
}

// FuzzStaying never leaves the registry, whatever it says, nor loses the
// digest of what it is sent.
func FuzzStaying(f *testing.F) {
	for _, s := range append(linkSeeds, "/v2/y?z=1", "//evil/y", "https://u:p@reg.example", "\x00", "/%zz", "?a#b", "https://reg.example:443/x?a=b&digest=c") {
		f.Add(s)
	}
	home := &url.URL{Scheme: "https", Host: "reg.example", Path: "/v2/a/b/"}
	d := digest.FromString("x")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := uploadURL(home, home, s, d)
		if err != nil {
			return
		}
		if u.Scheme != "https" || !strings.EqualFold(u.Hostname(), "reg.example") || u.Port() != "" && u.Port() != "443" || u.User != nil {
			t.Errorf("%q: %s", s, u)
		}
		if !strings.HasSuffix(u.String(), "digest=sha256%3A"+d.Encoded()) {
			t.Errorf("%q: %s", s, u)
		}
	})
}

// FuzzListing holds a list of referrers to be the same list after a change,
// but for that; and what parseIndex makes of it to what Referrers promises.
func FuzzListing(f *testing.F) {
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1}
	for _, s := range []string{
		`{}`, `{"manifests":null}`, `{"manifests":[]}`, `{"manifests":[{},null,1,"x",[]]}`, `null`, `[]`, `<html>`,
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
			`"digest":"` + string(digest.FromString("y")) + `","size":7,"artifactType":"a","annotations":{"k":"v"},"x":1}],"annotations":{"<":"&"}}`,
	} {
		f.Add([]byte(s))
	}
	subject := ocispec.Descriptor{Digest: digest.FromString("subject")}
	f.Fuzz(func(t *testing.T, body []byte) {
		entries, _, _ := parseIndex(document{body, ocispec.MediaTypeImageIndex})
		for _, d := range acceptable(entries, subject, "") {
			if checkDigest(d.Digest) != nil || d.Size < 0 || d.Size > MaxDocument || d.Digest == subject.Digest {
				t.Errorf("%q: accepted %v", body, d)
			}
		}
		l, err := parseListing(body)
		if err != nil {
			return
		}
		n := len(l.entries)
		had := l.has(d.Digest)
		if err := l.add(d); err != nil {
			t.Fatal(err)
		}
		out, err := l.encode()
		if err != nil {
			return // too large
		}
		again, err := parseListing(out)
		if err != nil || len(again.entries) != n+1 || !again.has(d.Digest) || !json.Valid(out) {
			t.Fatalf("%q became %q: %v", body, out, err)
		}
		again.remove(func(e ocispec.Descriptor) bool { return e.Digest == d.Digest })
		if !had && len(again.entries) != n {
			t.Errorf("%q: %d entries, then %d", body, n, len(again.entries))
		}
	})
}

func TestFallbackTag(t *testing.T) {
	for d, want := range map[digest.Digest]string{
		digest.FromString("x"):        "sha256-" + digest.FromString("x").Encoded(),
		digest.SHA512.FromString("x"): "sha512-" + digest.SHA512.FromString("x").Encoded()[:64],
	} {
		if got := fallbackTag(d); got != want || len(got) > 128 {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
