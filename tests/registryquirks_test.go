package tests

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	lt "ocifs.dev/ocifs/tests/layertest"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// TestRegistryQuirks mounts an image that is read in pieces from registries and
// mirrors as there are: what needs nothing from the user, and what they have in
// hosts.toml.
func TestRegistryQuirks(t *testing.T) {
	needFUSE(t)
	body := text(2 << 20)
	image := lt.Image{Tag: "t", Layers: []lt.Layer{lt.ZstdChunked(lt.Tar(lt.File("large", body)), 64<<10)}}
	layout := filepath.Join(tempDir(t), "layout")
	lt.WriteLayout(t, layout, image)
	for _, c := range []struct {
		name   string
		server Options
		fault  func() Fault // anew for each use
		hosts  string       // hosts.toml, HOST being the registry, which is a mirror then
	}{
		{name: "the whole blob first, ranges later (Harbor, distribution as a proxy)", fault: PullThrough},
		{name: "ranges ignored", fault: func() Fault { return On(Blob, IgnoreRange()) }},
		{name: "ranges with status 200 (dfdaemon)", fault: func() Fault { return On(Blob, RangeAs200()) }},
		{name: "no blobs before the manifest (zot)", fault: OnDemand},
		{name: "redirects that run out (GHCR)", server: Options{CDN: true}, fault: func() Fault { return On(CDN, Times(1, Status(403))) }},
		{name: "403 for a token that has run out (ECR)", server: Options{Auth: Auth{Mode: Bearer, Uses: 2, Forbid: true}}},
		{name: "tokens from another host, and private (GitLab)", server: Options{Auth: Auth{Mode: Bearer}}},
		{name: "too many requests, come back", fault: func() Fault { return Times(1, RetryAfter(429, "0")) }},
		{name: "too many requests for blobs", fault: func() Fault { return On(Blob, Times(1, RetryAfter(429, "0"))) }},
		{name: "down for a moment, come back at", fault: func() Fault { return On(Blob, Times(1, RetryAfter(503, time.Now().UTC().Format(http.TimeFormat)))) }},
		{name: "a mirror of several registries (Spegel)", fault: func() Fault { return Namespace("r.example") }, hosts: "server = 'http://HOST'"},
		{name: "a mirror that copies as it is asked", fault: PullThrough, hosts: "server = 'http://HOST'"},
		{name: "a mirror without blobs before the manifest", fault: OnDemand, hosts: "server = 'http://HOST'"},
		{name: "a mirror that has to be told for whom (Dragonfly)", fault: func() Fault { return Wants("X-Dragonfly-Registry", "https://r.example") },
			hosts: "[host.'http://HOST']\n  capabilities = ['pull', 'resolve']\n  [host.'http://HOST'.header]\n    X-Dragonfly-Registry = 'https://r.example'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := Start(t, c.server)
			if err := reg.PushLayout("app", "", layout); err != nil {
				t.Fatal(err)
			}
			misbehave := func() {
				if reg.Heal(); c.fault != nil {
					reg.Use(c.fault())
				}
			}
			u := newUser(t)
			ref, options := reg.Host+"/app", []string{"--no-creds"}
			if c.hosts != "" {
				ref = "r.example/app"
				dir := filepath.Join(u.home, "certs.d", "r.example")
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(strings.ReplaceAll(c.hosts, "HOST", reg.Host)), 0o600); err != nil {
					t.Fatal(err)
				}
				options = append(options, "--hosts-dir="+filepath.Dir(dir), "--range-align=256KiB")
			}
			misbehave()
			m := u.mount(t, ref+"@"+digestOf(image).String(), options...)
			misbehave() // as if it had forgotten what it was asked before
			b, err := os.ReadFile(m.path("large"))
			if err != nil || string(b) != body {
				t.Errorf("%d bytes, %v\n%s", len(b), err, m.stderr)
			}
			m.unmount(t, u)
			if c.hosts != "" {
				aligned(t, reg, int64(len(image.Layers[0].Blob)), 256<<10)
			}
		})
	}
}

// aligned checks that the blob of a size was asked for by whole pieces.
func aligned(t *testing.T, reg *Server, size, piece int64) {
	t.Helper()
	for _, r := range reg.Requests(Blob) {
		var first, last int64
		if _, err := fmt.Sscanf(r.Range, "bytes=%d-%d", &first, &last); err == nil && (first%piece != 0 || (last+1)%piece != 0 && last+1 != size) {
			t.Errorf("asked for %s", r.Range)
		}
	}
}
