package registrytest_test

import (
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	. "ocifs.dev/ocifs/tests/registrytest"
)

// TestUpload pushes a blob in pieces, in the wrong order first.
func TestUpload(t *testing.T) {
	reg := Start(t, Options{Writable: true})
	d := digest.FromString("hello, world")
	at := reg.URL + "/v2/a/b/blobs/uploads/"
	for _, step := range []struct {
		method, query, span, body string
		status                    int
		done                      string // the answer's Range
	}{
		{"POST", "", "", "", 202, "0-0"},
		{"PATCH", "", "0-4", "hello", 202, "0-4"},
		{"PATCH", "", "7-11", "world", 416, ""},
		{"PATCH", "", "0-4", "hello", 416, ""},
		{"GET", "", "", "", 204, "0-4"},
		{"PATCH", "", "5-6", ", ", 202, "0-6"},
		{"PUT", "digest=" + digest.FromString("x").String(), "7-11", "world", 400, ""},
		{"PUT", "digest=" + d.String(), "", "", 201, ""},
		{"PUT", "digest=" + d.String(), "", "", 404, ""},
	} {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		if step.query != "" {
			u.RawQuery += "&" + step.query
		}
		req, err := http.NewRequest(step.method, u.String(), strings.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		if step.span != "" {
			req.Header.Set("Content-Range", step.span)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != step.status || resp.Header.Get("Range") != step.done {
			t.Fatalf("%s %s: %s, Range %q", step.method, step.span, resp.Status, resp.Header.Get("Range"))
		}
		if to, err := resp.Location(); err == nil && resp.StatusCode == 202 {
			at = to.String()
		}
	}
	resp, err := http.Get(reg.URL + "/v2/a/b/blobs/" + d.String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "hello, world" || reg.Uploads() != 0 {
		t.Errorf("%q, %d uploads open", body, reg.Uploads())
	}
}

// TestSkopeo lets another client push to it, and read from it.
func TestSkopeo(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("skopeo is not installed")
	}
	reg := Start(t, Options{Writable: true, Auth: Auth{Mode: Bearer, Username: "u", Password: "p"}})
	reg.Push("a/b", "t", Layer{Blob: []byte("layer")}, Layer{Blob: []byte("another")})
	from, to := "docker://"+reg.Host+"/a/b:t", "docker://"+reg.Host+"/c/d:t"
	out, err := exec.Command(skopeo, "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
		"--src-creds=u:p", "--dest-creds=u:p", from, to).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if tags := reg.Tags("c/d"); len(tags) != 1 || tags[0] != "t" {
		t.Errorf("tags %q", tags)
	}
}
