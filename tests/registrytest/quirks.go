package registrytest

import (
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
)

// PullThrough answers as a registry does that copies images from another one
// as they are asked for: the first request for a blob gets all of it, whatever
// range it is for, and later ones what they want.
func PullThrough() Fault {
	seen := newFirsts()
	return On(Blob, If(func(req *http.Request) bool {
		return req.Method == http.MethodGet && seen.first(req.URL.Path)
	}, IgnoreRange()))
}

// OnDemand answers as a registry does that copies an image as a whole, when
// its manifest is asked for: up to then it has no blobs.
func OnDemand() Fault {
	var mu sync.Mutex
	synced := false
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			if KindOf(req) == Manifest {
				synced = true
			}
			missing := KindOf(req) == Blob && !synced
			mu.Unlock()
			if missing {
				Fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
				return
			}
			next.ServeHTTP(w, req)
		})
	}
}

// Namespace answers only requests made on behalf of a registry, ?ns=, as a
// mirror of several does.
func Namespace(ns string) Fault {
	return If(func(req *http.Request) bool { return KindOf(req) != Token && req.URL.Query().Get("ns") != ns }, Status(http.StatusNotFound))
}

// Below serves the registry at a path of its own in place of /v2.
func Below(path string) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			rest, ok := strings.CutPrefix(req.URL.Path, path)
			if !ok {
				http.NotFound(w, req)
				return
			}
			req.URL.Path = "/v2" + rest
			next.ServeHTTP(w, req)
		})
	}
}

// Wants answers only requests with a header.
func Wants(key, value string) Fault {
	return If(func(req *http.Request) bool { return req.Header.Get(key) != value }, Status(http.StatusBadRequest))
}

// firsts remembers what there has been.
type firsts struct {
	mu   sync.Mutex
	seen map[string]bool
}

func newFirsts() *firsts { return &firsts{seen: make(map[string]bool)} }

func (f *firsts) first(s string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen[s] {
		return false
	}
	f.seen[s] = true
	return true
}

// A Proxy is an HTTP proxy that writes down what goes through it, and leads
// all of it to one server, whatever host it is for.
type Proxy struct {
	Log
	To string // host:port
}

// ServeHTTP passes a request on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	entry := p.begin(kindOf(req.URL.Path), w, req)
	defer entry.end()
	if !req.URL.IsAbs() {
		http.Error(entry, "this is a proxy", http.StatusBadRequest)
		return
	}
	lead := func(r *httputil.ProxyRequest) { r.Out.URL.Host = p.To }
	(&httputil.ReverseProxy{Rewrite: lead, ErrorLog: quiet}).ServeHTTP(entry, req)
}
