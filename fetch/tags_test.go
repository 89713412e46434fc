package fetch_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// TestTags lists a repository's tags, page by page, and asks for no more pages
// than it takes.
func TestTags(t *testing.T) {
	for _, c := range []struct {
		name            string
		page, limit, of int
		requests        int
	}{
		{"one page", 0, 0, 5, 1},
		{"pages", 2, 0, 5, 3},
		{"a full last page", 5, 0, 5, 1},
		{"limit", 2, 3, 5, 2},
		{"limit on a page's end", 2, 2, 5, 1},
		{"limit beyond", 2, 100, 5, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := Start(t, Options{TagPage: c.page})
			var want []string
			for i := range c.of {
				want = append(want, fmt.Sprintf("v%d", i))
				reg.Push("app", want[i], Layer{Blob: []byte("x")})
			}
			if c.limit > 0 {
				want = want[:min(c.limit, len(want))]
			}
			name, tags, err := fetch.Tags(context.Background(), reg.Host+"/app:v3", fetch.Options{Retry: impatient}, c.limit)
			if err != nil || !slices.Equal(tags, want) || name != reg.Host+"/app" {
				t.Errorf("%s: %q, %v; want %q", name, tags, err, want)
			}
			if n := reg.Count(Tags); n != c.requests || reg.Count() != n {
				t.Errorf("%d requests, %d of them for tags; want %d", reg.Count(), n, c.requests)
			}
		})
	}
}

// TestTagsAnswers reads answers as they shouldn't be.
func TestTagsAnswers(t *testing.T) {
	for _, c := range []struct {
		name, body, link string
		tags             []string
		err              error
	}{
		{"null", `{"name":"app","tags":null}`, "", nil, nil},
		{"no tags", `{"tags":["../x","a\nb","","good","-a","` + strings.Repeat("x", 129) + `"]}`, "", []string{"good"}, nil},
		{"a web page", `<html>`, "", nil, fetch.ErrUnsupported},
		{"no strings", `{"tags":[1]}`, "", nil, fetch.ErrUnsupported},
		{"without end", `{"tags":["a"]}`, `</v2/app/tags/list?last=a>; rel="next"`, nil, fetch.ErrUnsupported},
		{"elsewhere", `{"tags":["a"]}`, `<http://192.0.2.1/v2/app/tags/list>; rel="next"`, nil, fetch.ErrUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := Start(t, Options{})
			reg.Use(On(Tags, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if c.link != "" {
						w.Header().Set("Link", c.link)
					}
					io.WriteString(w, c.body)
				})
			}))
			_, tags, err := fetch.Tags(context.Background(), reg.Host+"/app", fetch.Options{Retry: impatient}, 0)
			if !slices.Equal(tags, c.tags) {
				t.Errorf("%q", tags)
			}
			checkErr(t, err, c.err)
		})
	}
	reg := Start(t, Options{})
	if _, _, err := fetch.Tags(context.Background(), reg.Host+"/nope", fetch.Options{}, 0); !errors.Is(err, fetch.ErrNotFound) {
		t.Errorf("no such repository: %v", err)
	}
}

// TestTagsLocal lists the names in layouts and archives.
func TestTagsLocal(t *testing.T) {
	dir := t.TempDir()
	write := func(name, body string) string {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
		return at
	}
	archive := func(member, body string) string {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		w.WriteHeader(&tar.Header{Name: member, Size: int64(len(body)), Mode: 0o644})
		io.WriteString(w, body)
		w.Close()
		return b.String()
	}
	sum := "sha256:" + strings.Repeat("0", 64)
	index := `{"schemaVersion":2,"manifests":[
		{"digest":"` + sum + `","size":1,"annotations":{"org.opencontainers.image.ref.name":"b"}},
		{"digest":"` + sum + `","size":1},
		{"digest":"` + sum + `","size":1,"annotations":{"org.opencontainers.image.ref.name":"a"}},
		{"digest":"` + sum + `","size":1,"annotations":{"org.opencontainers.image.ref.name":"b"}}]}`
	write("layout/oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	write("layout/index.json", index)
	oci := write("oci.tar", archive("index.json", index))
	docker := write("docker.tar", archive("manifest.json", `[{"RepoTags":["x:1","x:2"]},{},{"RepoTags":["y:1"]}]`))
	bad := write("bad.tar", archive("manifest.json", `{`))
	inLayout, inDocker := []string{"b", "@" + sum, "a"}, []string{"x:1", "x:2", "@1", "y:1"}
	for _, c := range []struct {
		ref  string
		tags []string
		ok   bool
	}{
		{"oci:" + dir + "/layout", inLayout, true}, {"oci:" + dir + "/layout:b", inLayout, true}, {dir + "/layout", inLayout, true},
		{"oci-archive:" + oci, inLayout, true}, {oci, inLayout, true},
		{"docker-archive:" + docker, inDocker, true}, {docker, inDocker, true}, {docker + ":x:2", inDocker, true},
		{bad, nil, false}, {"oci:" + dir, nil, false}, {"oci:" + dir + "/nowhere", nil, false}, {"docker-archive:" + oci, nil, false},
	} {
		_, tags, err := fetch.Tags(context.Background(), c.ref, fetch.Options{}, 0)
		if !slices.Equal(tags, c.tags) || (err == nil) != c.ok {
			t.Errorf("%s: %q, %v", c.ref, tags, err)
		}
	}
	if _, tags, err := fetch.Tags(context.Background(), docker, fetch.Options{}, 2); len(tags) != 2 || err != nil {
		t.Errorf("with a limit: %q, %v", tags, err)
	}
}
