// Package registrytest is a registry in a box, for tests and demonstrations:
// it speaks the distribution protocol, keeps what is pushed by requests or by
// function calls, writes down every request, and misbehaves on demand.
//
//	reg := registrytest.Start(t, registrytest.Options{})
//	reg.Push("library/x", "tag", registrytest.Layer{Blob: tgz})
//	reg.Use(registrytest.On(registrytest.Blob, registrytest.Cut(1000)))
//	… reg.Host + "/library/x:tag" …
//	reg.Count(registrytest.Blob)
//
// A Registry is an http.Handler; its token server and its CDN, the host that
// blobs are redirected to, are handlers too, and Start puts each on a
// loopback port of its own. A Link between a listener and a server makes
// loopback as slow as a real network.
package registrytest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Options say what kind of registry it is.
type Options struct {
	Auth Auth // whom it lets in; the zero value: everybody

	// CDN makes it answer requests for blobs by redirects to its CDN, as
	// large registries do. The CDN answers 400 to whoever shows it an
	// Authorization header.
	CDN bool
	// CDNLife is how long the signature of such a redirect holds; 0: for
	// ever.
	CDNLife time.Duration

	// Writable lets clients push, and delete manifests.
	Writable bool
	// Keep makes it refuse to delete, as many registries do.
	Keep bool
	// Referrers says how it answers for the referrers of a manifest.
	Referrers ReferrersAPI
	// TagPage is the most tags of a page, however many are asked for; 0: as
	// many as are asked for.
	TagPage int
}

// A Registry keeps images and answers requests for them.
type Registry struct {
	Log

	options Options
	content
	tokens  tokens
	uploads uploads

	mu    sync.Mutex // guards the fields below
	cdn   string     // base URL of the CDN
	realm string     // URL of the token server
	chain []Fault
}

// New returns an empty registry. Its token server, if it needs one, is at its
// own /token until SetRealm says otherwise.
func New(o Options) *Registry {
	return &Registry{options: o, content: newContent(), tokens: newTokens(), uploads: newUploads()}
}

// SetCDN tells the registry at which URL its CDN handler is served.
func (r *Registry) SetCDN(base string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cdn = base
}

// SetRealm tells the registry at which URL its token server is served.
func (r *Registry) SetRealm(url string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.realm = url
}

// ServeHTTP is the registry's own host.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	kind := kindOf(req.URL.Path)
	handler := http.Handler(http.HandlerFunc(r.api))
	if kind == Token {
		handler = http.HandlerFunc(r.token)
	}
	r.serve(kind, handler, w, req)
}

// CDN is the host that blobs are redirected to.
func (r *Registry) CDN() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.serve(CDN, http.HandlerFunc(r.deliver), w, req)
	})
}

// TokenServer is the token server, for where it is not on the registry's host.
func (r *Registry) TokenServer() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.serve(Token, http.HandlerFunc(r.token), w, req)
	})
}

// serve writes a request down and passes it through the faults to h.
func (r *Registry) serve(kind Kind, h http.Handler, w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	chain := r.chain
	r.mu.Unlock()
	h = All(chain...)(h)
	req = req.WithContext(context.WithValue(req.Context(), kindKey{}, kind))
	entry := r.Log.begin(kind, w, req)
	h.ServeHTTP(entry, req)
	entry.end()
}

// A Kind sorts requests.
type Kind string

// The kinds of requests. CDN requests are for blobs, at the CDN.
const (
	Ping      Kind = "ping"
	Manifest  Kind = "manifest"
	Blob      Kind = "blob"
	Upload    Kind = "upload"
	Referrers Kind = "referrers"
	Tags      Kind = "tags"
	Token     Kind = "token"
	CDN       Kind = "cdn"
	Other     Kind = "other"
)

type kindKey struct{}

// KindOf returns a request's kind, within a Fault.
func KindOf(req *http.Request) Kind {
	kind, _ := req.Context().Value(kindKey{}).(Kind)
	return kind
}

func kindOf(path string) Kind {
	switch {
	case path == "/token":
		return Token
	case path == "/v2/" || path == "/v2":
		return Ping
	case strings.Contains(path, "/manifests/"):
		return Manifest
	case strings.Contains(path, "/referrers/"):
		return Referrers
	case strings.Contains(path, "/blobs/uploads/"):
		return Upload
	case strings.Contains(path, "/blobs/"):
		return Blob
	case strings.HasSuffix(path, "/tags/list"):
		return Tags
	}
	return Other
}

// api answers requests of the distribution protocol.
func (r *Registry) api(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	repo, what, name := split(req.URL.Path)
	if !r.admit(w, req, repo) {
		return
	}
	if !reading(req) {
		r.change(w, req, repo, what, name)
		return
	}
	switch what {
	case "ping":
		io.WriteString(w, "{}")
	case "referrers":
		r.referrers(w, req, repo, name)
	case "uploads":
		r.upload(w, req, repo, name)
	case "manifests":
		r.manifest(w, req, repo, name)
	case "blobs":
		r.blob(w, req, name)
	case "tags":
		r.tagList(w, req, repo)
	default:
		Fail(w, http.StatusNotFound, "UNSUPPORTED", "no such endpoint")
	}
}

// split takes /v2/REPO/manifests/NAME and its like apart.
func split(path string) (repo, what, name string) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if rest == "" {
		return "", "ping", ""
	}
	if repo, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return repo, "tags", "list"
	}
	if repo, id, ok := strings.Cut(rest, "/blobs/uploads/"); ok {
		return repo, "uploads", id
	}
	parts := strings.Split(rest, "/")
	if !ok || len(parts) < 3 {
		return "", "", ""
	}
	n := len(parts)
	return strings.Join(parts[:n-2], "/"), parts[n-2], parts[n-1]
}

func (r *Registry) manifest(w http.ResponseWriter, req *http.Request, repo, name string) {
	m, ok := r.findManifest(repo, name)
	if !ok && r.options.Referrers.SubjectTag {
		m, ok = r.findManifest(repo, strings.Replace(name, "-", ":", 1))
	}
	if !ok {
		Fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	w.Header().Set("Content-Type", m.mediaType)
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(m.body).String())
	w.Header().Set("Content-Length", strconv.Itoa(len(m.body)))
	w.WriteHeader(http.StatusOK)
	if req.Method == http.MethodGet {
		w.Write(m.body)
	}
}

func (r *Registry) blob(w http.ResponseWriter, req *http.Request, name string) {
	c, ok := r.findBlob(digest.Digest(name))
	if !ok {
		Fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
		return
	}
	r.mu.Lock()
	cdn := r.cdn
	r.mu.Unlock()
	if r.options.CDN && cdn != "" {
		query := url.Values{"signature": {"s3cr3t"}}
		if life := r.options.CDNLife; life > 0 {
			query.Set("expires", strconv.FormatInt(time.Now().Add(life).UnixNano(), 10))
		}
		http.Redirect(w, req, cdn+"/"+name+"?"+query.Encode(), http.StatusTemporaryRedirect)
		return
	}
	w.Header().Set("Docker-Content-Digest", name)
	serveBlob(w, req, c)
}

// deliver answers for the CDN.
func (r *Registry) deliver(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	expires, _ := strconv.ParseInt(query.Get("expires"), 10, 64)
	c, ok := r.findBlob(digest.Digest(strings.TrimPrefix(req.URL.Path, "/")))
	switch {
	case req.Header.Get("Authorization") != "":
		http.Error(w, "only one auth mechanism allowed", http.StatusBadRequest)
	case req.Method != http.MethodGet:
		http.Error(w, "the signature is for GET", http.StatusForbidden)
	case query.Get("signature") == "" || expires != 0 && time.Now().UnixNano() > expires:
		http.Error(w, "request has expired", http.StatusForbidden)
	case !ok:
		http.NotFound(w, req)
	default:
		serveBlob(w, req, c)
	}
}

// tagList answers for the tags of a repository, a page at a time.
func (r *Registry) tagList(w http.ResponseWriter, req *http.Request, repo string) {
	query := req.URL.Query()
	tags := slices.DeleteFunc(r.Tags(repo), func(t string) bool { return t <= query.Get("last") })
	if len(r.Tags(repo)) == 0 {
		Fail(w, http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
		return
	}
	n, err := strconv.Atoi(query.Get("n"))
	if err != nil {
		n = len(tags)
	}
	if most := r.options.TagPage; most > 0 {
		n = min(n, most)
	}
	if n < len(tags) {
		tags = tags[:n]
		next := url.URL{Path: req.URL.Path, RawQuery: url.Values{"n": {strconv.Itoa(n)}, "last": {tags[n-1]}}.Encode()}
		w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next.String()))
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"name": repo, "tags": tags})
}

func serveBlob(w http.ResponseWriter, req *http.Request, c Content) {
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, req, "", time.Time{}, io.NewSectionReader(c, 0, c.Size()))
}

// Fail answers with an error in the form of the distribution specification.
func Fail(w http.ResponseWriter, status int, code, message string) {
	body, _ := json.Marshal(map[string]any{"errors": []any{map[string]any{"code": code, "message": message}}})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}
