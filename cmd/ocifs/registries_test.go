package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/tests/registrytest"
)

// A traffic is what a registry was asked.
type traffic interface {
	Requests(...registrytest.Kind) []registrytest.Request
	Reset()
}

// registries are all kinds that an index is pushed to differently.
var registries = []struct {
	name  string
	start func(t *testing.T) (host string, log traffic)
}{
	{"referrers API", func(t *testing.T) (string, traffic) {
		return inProcess(t, registrytest.Options{Writable: true, Referrers: registrytest.ReferrersAPI{API: true, Filter: true}})
	}},
	{"fallback tag", func(t *testing.T) (string, traffic) { return inProcess(t, registrytest.Options{Writable: true}) }},
	{"distribution", distribution},
}

func inProcess(t *testing.T, o registrytest.Options) (string, traffic) {
	reg := registrytest.Start(t, o)
	return reg.Host, reg
}

// distribution starts docker-registry, behind a proxy that writes a log.
func distribution(t *testing.T) (string, traffic) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry (Debian's package of that name) is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	dir := realDir(t)
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %q}\n", dir, host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	p := &proxy{to: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})}
	srv := &http.Server{Handler: p}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(front)
	t.Cleanup(func() { srv.Close() })
	w := &world{t: t}
	w.eventually("docker-registry to answer", func() bool {
		c, err := net.Dial("tcp", host)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return front.Addr().String(), p
}

// A proxy stands before a registry and writes down what it is asked.
type proxy struct {
	to *httputil.ReverseProxy

	mu   sync.Mutex
	list []registrytest.Request
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	kind := registrytest.Other
	if strings.Contains(req.URL.Path, "/blobs/") && !strings.Contains(req.URL.Path, "/uploads/") {
		kind = registrytest.Blob
	}
	p.mu.Lock()
	p.list = append(p.list, registrytest.Request{Kind: kind, Method: req.Method, Path: req.URL.Path, Range: req.Header.Get("Range")})
	p.mu.Unlock()
	p.to.ServeHTTP(w, req)
}

func (p *proxy) Requests(kinds ...registrytest.Kind) (list []registrytest.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.list {
		if r.Kind == kinds[0] {
			list = append(list, r)
		}
	}
	return list
}

func (p *proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = nil
}

// copyImage copies an image without an index.
func copyImage(t *testing.T, from, to string) {
	t.Helper()
	ctx := context.Background()
	src, err := fetch.Open(ctx, from, fetch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := fetch.Create(ctx, to, fetch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	d, err := src.Resolve(ctx)
	if err != nil {
		t.Fatal(err)
	}
	body, err := src.Document(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	up := fetch.Upload{Manifest: body, Tagged: true}
	for _, b := range append(m.Layers, m.Config) {
		up.Blobs = append(up.Blobs, copied(ctx, src, b))
	}
	if _, err := dst.Push(ctx, up); err != nil {
		t.Fatal(err)
	}
}
