package registrytest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	. "ocifs.dev/ocifs/tests/registrytest"
)

// do sends a request and returns the answer with its body, which may be cut.
func do(t *testing.T, method, url string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

func TestProtocol(t *testing.T) {
	reg := Start(t, Options{})
	d := reg.Push("a/b", "t", Layer{Blob: []byte("0123456789")})
	for _, c := range []struct {
		method, path, ranges string
		status               int
		body                 string // or a part of it
	}{
		{"GET", "/v2/", "", 200, "{}"},
		{"GET", "/v2/a/b/manifests/t", "", 200, `"schemaVersion":2`},
		{"GET", "/v2/a/b/manifests/" + d.Digest.String(), "", 200, `"schemaVersion":2`},
		{"HEAD", "/v2/a/b/manifests/t", "", 200, ""},
		{"GET", "/v2/a/b/manifests/x", "", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/a/c/manifests/t", "", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/a/b/tags/list", "", 200, `{"name":"a/b","tags":["t"]}`},
		{"GET", "/v2/a/b/blobs/sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882", "", 200, "0123456789"},
		{"GET", "/v2/a/b/blobs/sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882", "bytes=2-4", 206, "234"},
		{"GET", "/v2/a/b/blobs/sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882", "bytes=8-100", 206, "89"},
		{"GET", "/v2/a/b/blobs/sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882", "bytes=10-", 416, ""},
		{"GET", "/v2/a/b/blobs/x", "", 404, "BLOB_UNKNOWN"},
		{"PUT", "/v2/a/b/manifests/t", "", 405, "UNSUPPORTED"},
		{"GET", "/v2/a/b/what", "", 404, ""},
		{"GET", "/", "", 404, ""},
	} {
		reg.Reset()
		resp, body, err := do(t, c.method, reg.URL+c.path, "Range", c.ranges)
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.body) {
			t.Errorf("%s %s: %v, %q, %v", c.method, c.path, resp, body, err)
		}
		if log := reg.Requests(); len(log) != 1 || log[0].Status != c.status || log[0].Bytes != int64(len(body)) || log[0].Range != c.ranges {
			t.Errorf("%s %s: logged as %+v", c.method, c.path, log)
		}
	}
}

// TestFaults checks that each fault does what it says.
func TestFaults(t *testing.T) {
	const url = "/v2/a/b/blobs/sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
	for _, c := range []struct {
		name   string
		fault  Fault
		ranges string
		status int // 0: no answer
		body   string
		cut    bool
		header string // Key: value
	}{
		{"none", All(), "", 200, "0123456789", false, "Content-Length: 10"},
		{"status", Status(503), "", 503, "Service Unavailable", false, ""},
		{"retry after", RetryAfter(429, "7"), "", 429, "TOOMANYREQUESTS", false, "Retry-After: 7"},
		{"hang up", HangUp(), "", 0, "", false, ""},
		{"cut", Cut(4), "", 200, "0123", true, "Content-Length: 10"},
		{"cut a range", Cut(2), "bytes=3-8", 206, "34", true, "Content-Range: bytes 3-8/10"},
		{"short", Short(3), "", 200, "0123456", false, "Content-Length: 7"},
		{"flip", Flip(1), "", 200, "0\xce23456789", false, ""},
		{"range ignored", IgnoreRange(), "bytes=3-8", 200, "0123456789", false, ""},
		{"range as 200", RangeAs200(), "bytes=3-8", 200, "345678", false, "Content-Range: bytes 3-8/10"},
		{"shift", ShiftRange(1), "bytes=3-7", 206, "45678", false, "Content-Range: bytes 4-8/10"},
		{"lie", LieAboutRange(1), "bytes=3-7", 206, "45678", false, "Content-Range: bytes 3-7/10"},
		{"multipart", Multipart(), "bytes=3-7", 206, "34567", false, ""},
		{"redirect", Redirect(307, func(*http.Request) string { return "/x" }), "", 307, "", false, "Location: /x"},
		{"page", Page(), "", 200, "<!DOCTYPE html>", false, "Content-Type: text/html; charset=utf-8"},
		{"header", Header("Docker-Content-Digest", "x"), "", 200, "0123456789", false, "Docker-Content-Digest: x"},
		{"on another kind", On(Manifest, Status(503)), "", 200, "0123456789", false, ""},
		{"on this kind", On(Blob, Status(503)), "", 503, "", false, ""},
		{"another method", Method("HEAD", Status(503)), "", 200, "", false, ""},
		{"outermost first", All(Status(500), Status(501)), "", 500, "", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := Start(t, Options{})
			reg.PutBlob("", []byte("0123456789"))
			reg.Use(c.fault)
			resp, body, err := do(t, "GET", reg.URL+url, "Range", c.ranges)
			if c.status == 0 {
				if err == nil {
					t.Error("an answer")
				}
				return
			}
			if resp == nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.body) || (err != nil) != c.cut {
				t.Fatalf("%v, %q, %v", resp, body, err)
			}
			if key, value, ok := strings.Cut(c.header, ": "); ok && resp.Header.Get(key) != value {
				t.Errorf("%s: %s, want %s", key, resp.Header.Get(key), value)
			}
			reg.Heal()
			if _, body, err := do(t, "GET", reg.URL+url); err != nil || string(body) != "0123456789" {
				t.Errorf("healed: %q, %v", body, err)
			}
		})
	}
}

// TestCounting checks the faults that come and go.
func TestCounting(t *testing.T) {
	reg := Start(t, Options{})
	reg.Use(Times(2, Status(503)), After(3, Status(500)))
	var got []int
	for range 6 {
		resp, _, _ := do(t, "GET", reg.URL+"/v2/")
		got = append(got, resp.StatusCode)
	}
	if fmt.Sprint(got) != "[503 503 200 200 200 500]" {
		t.Error(got)
	}
}

// TestCDN follows a redirect by hand.
func TestCDN(t *testing.T) {
	reg := Start(t, Options{CDN: true, CDNLife: time.Hour})
	d := reg.PutBlob("", []byte("0123456789"))
	resp, _, _ := do(t, "GET", reg.URL+"/v2/a/b/blobs/"+d.Digest.String())
	to := resp.Header.Get("Location")
	for _, c := range []struct {
		method, url, auth string
		status            int
	}{
		{"GET", to, "", 200},
		{"GET", to, "Bearer x", 400},
		{"HEAD", to, "", 403},
		{"GET", strings.Replace(to, "signature", "x", 1), "", 403},
		{"GET", strings.Replace(to, "expires=", "expires=1&x=", 1), "", 403},
	} {
		resp, _, err := do(t, c.method, c.url, "Authorization", c.auth)
		if err != nil || resp.StatusCode != c.status {
			t.Errorf("%s %s with %q: %v, %v", c.method, c.url, c.auth, resp, err)
		}
	}
	if reg.Count(CDN) != 5 || reg.Bytes(CDN) < 10 || reg.Count() != 6 {
		t.Error(reg.Requests())
	}
}

// TestTokens gets in by a token, for the repository that it is for.
func TestTokens(t *testing.T) {
	reg := Start(t, Options{Auth: Auth{Mode: Bearer, Username: "u", Password: "p", Uses: 2}})
	reg.Push("a/b", "t", Layer{Blob: []byte("x")})
	resp, _, _ := do(t, "GET", reg.URL+"/v2/a/b/manifests/t")
	challenge := resp.Header.Get("WWW-Authenticate")
	if resp.StatusCode != 401 || !strings.Contains(challenge, `scope="repository:a/b:pull"`) {
		t.Fatal(resp)
	}
	realm := strings.Split(challenge, `"`)[1]
	if resp, _, _ := do(t, "GET", realm+"?scope=repository:a/b:pull"); resp.StatusCode != 401 {
		t.Error(resp)
	}
	_, body, _ := do(t, "GET", realm+"?scope=repository:a/b:pull", "Authorization", "Basic dTpw")
	var answer struct{ Token string }
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]int{
		"/v2/c/manifests/t":   {401},
		"/v2/a/b/manifests/t": {200, 200, 401},
	} {
		for _, want := range want {
			if resp, _, _ := do(t, "GET", reg.URL+path, "Authorization", "Bearer "+answer.Token); resp.StatusCode != want {
				t.Errorf("%s: %v, want %d", path, resp, want)
			}
		}
	}
}

// TestPushLayout serves what is in a directory.
func TestPushLayout(t *testing.T) {
	from := Start(t, Options{})
	image := from.Push("x", "t", Layer{Blob: []byte("layer")})
	index := from.PushIndex("x", "i", image)
	dir := t.TempDir()
	put := func(name string, body []byte) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, manifest, _ := do(t, "GET", from.URL+"/v2/x/manifests/t")
	var m ocispec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	_, list, _ := do(t, "GET", from.URL+"/v2/x/manifests/i")
	_, config, _ := do(t, "GET", from.URL+"/v2/x/blobs/"+m.Config.Digest.String())
	put("blobs/sha256/"+image.Digest.Encoded(), manifest)
	put("blobs/sha256/"+index.Digest.Encoded(), list)
	put("blobs/sha256/"+m.Config.Digest.Encoded(), config)
	put("blobs/sha256/"+m.Layers[0].Digest.Encoded(), []byte("layer"))
	body, _ := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{index}})
	put("index.json", body)

	to := Start(t, Options{})
	if err := to.PushLayout("y", "tag", dir); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{
		"/v2/y/manifests/tag":                        list,
		"/v2/y/manifests/" + image.Digest.String():   manifest,
		"/v2/y/blobs/" + m.Config.Digest.String():    config,
		"/v2/y/blobs/" + m.Layers[0].Digest.String(): []byte("layer"),
	} {
		if _, got, err := do(t, "GET", to.URL+path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

// TestServeLink serves a registry over a slow link.
func TestServeLink(t *testing.T) {
	reg := Serve(New(Options{CDN: true}), NewLink(time.Millisecond, 1e9))
	defer reg.Close()
	d := reg.PutBlob("", bytes.Repeat([]byte("x"), 1_000_000))
	resp, err := http.Get(reg.URL + "/v2/a/blobs/" + d.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); n != 1_000_000 || err != nil {
		t.Error(n, err)
	}
}
