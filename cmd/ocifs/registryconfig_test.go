package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestConfigFlags reaches an image by each kind of configuration, and by what
// the environment says of proxies.
func TestConfigFlags(t *testing.T) {
	w := newWorld(t)
	reg := registrytest.Start(t, registrytest.Options{})
	blob := lt.GzipLayer(lt.Tar(lt.File("f", "content")))
	reg.Push("team/app", "v1", registrytest.Layer{Blob: blob.Blob, DiffID: blob.DiffID})
	w.put("conf", fmt.Sprintf("[[registry]]\nprefix='r.example'\nlocation=%q\n", reg.Host))
	w.put("hosts/r.example/hosts.toml", fmt.Sprintf("server='http://%s'\n", reg.Host))
	w.put("broken", "x = [")
	w.put(".config/containers/registries.conf", fmt.Sprintf("[aliases]\n'mine'='%s/team/app'\n", reg.Host))
	proxy := &registrytest.Proxy{To: reg.Host}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)

	for _, args := range [][]string{
		{"--registries-conf=" + w.in("conf"), "r.example/team/app:v1"},
		{"--registries-conf=conf", "r.example/team/app:v1"},
		{"--hosts-dir=" + w.in("hosts"), "r.example/team/app:v1"},
		{"--hosts-dir=hosts", "--range-align=1MiB", "r.example/team/app:v1"},
		{"mine:v1"},
	} {
		if got := w.ok(append([]string{"cat"}, append(args, "/f")...)...); got != "content" {
			t.Errorf("%q: %q", args, got)
		}
	}
	w.fails(exitFailure, "broken: line 1", "cat", "--registries-conf="+w.in("broken"), "mine:v1", "/f")
	w.fails(exitFailure, "no such file", "cat", "--registries-conf="+w.in("none"), "mine:v1", "/f")
	w.fails(exitFailure, "no such file", "cat", "--hosts-dir="+w.in("none"), "mine:v1", "/f")
	w.fails(exitUsage, "--range-align", "cat", "--range-align=1GiB", "mine:v1", "/f")
	if r := w.run("cat", "--log-level=debug", "--hosts-dir=hosts", "r.example/team/app:v1", "/f"); strings.Contains(r.errors, "not from") || r.code != exitOK {
		t.Errorf("%+v", r)
	}
	w.put("hosts/r.example/hosts.toml", fmt.Sprintf("[host.'http://%s']\ncapabilities=['pull']\n[host.'http://localhost:%s']\n", reg.Host, strings.TrimPrefix(reg.Host, "127.0.0.1:")))
	if r := w.run("digest", "--log-level=debug", "--hosts-dir=hosts", "r.example/team/app:v1"); !strings.Contains(r.errors, "tag v1: from localhost:") || r.code != exitOK {
		t.Errorf("%+v does not tell who was asked", r)
	}

	w.env = append(w.env, "HTTP_PROXY="+server.URL, "OCIFS_REGISTRIES_CONF=/dev/null")
	w.ok("digest", "--plain-http", "other.example/team/app:v1")
	if n := proxy.Count(); n == 0 {
		t.Error("no request went through the proxy")
	}
	proxy.Reset()
	w.ok("digest", reg.Host+"/team/app:v1")
	if n := proxy.Count(); n != 0 {
		t.Errorf("%d requests to a loopback address went through the proxy", n)
	}
	w.env = append(w.env, "NO_PROXY=.example")
	w.fails(exitUnreachable, "other.example", "digest", "--plain-http", "other.example/team/app:v1")
}
