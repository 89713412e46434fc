package fetch_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// An internet has a registry at registry.example.com, and its token server at
// every other host, behind one proxy.
type internet struct {
	*Registry
	proxy func(*http.Request) (*url.URL, error)

	mu    sync.Mutex
	shown map[string]bool // hosts that were shown credentials with a request for a token
}

func newInternet(t *testing.T, o Options) *internet {
	n := &internet{Registry: New(o), shown: make(map[string]bool)}
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	proxy, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	n.proxy = http.ProxyURL(proxy)
	return n
}

func (n *internet) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/token" && (req.Method == http.MethodPost || req.Header.Get("Authorization") != "") {
		n.mu.Lock()
		n.shown[req.URL.Hostname()] = true
		n.mu.Unlock()
	}
	if req.URL.Host == "registry.example.com" {
		n.Registry.ServeHTTP(w, req)
	} else {
		n.TokenServer().ServeHTTP(w, req)
	}
}

// TestRealm gives credentials to token servers that are the registry's, and
// asks others for tokens for nobody.
func TestRealm(t *testing.T) {
	private, public := Auth{Mode: Bearer, Username: "u", Password: "p"}, Auth{Mode: Bearer}
	identity := Auth{Mode: Bearer, IdentityToken: "id"}
	listed := fetch.Auth{Username: "u", Password: "p", TokenHosts: []string{"Tokens.Example.NET"}}
	for _, c := range []struct {
		name, realm string
		server      Auth
		client      fetch.Auth
		shown       bool
		err         error
		manifest    int
	}{
		{"same host", "http://registry.example.com/token", private, user, true, nil, 3},
		{"same host, other port", "http://registry.example.com:8080/token", private, user, true, nil, 3},
		{"same domain", "http://auth.example.com/token", private, user, true, nil, 3},
		{"another domain", "http://tokens.example.net/token", private, user, false, fetch.ErrUnauthorized, 2},
		{"another domain, listed", "http://tokens.example.net/token", private, listed, true, nil, 3},
		{"another domain, not the listed one", "http://tokens.example.org/token", private, listed, false, fetch.ErrUnauthorized, 2},
		{"another domain, public image", "http://tokens.example.net/token", public, user, false, nil, 4},
		{"another domain, nobody", "http://tokens.example.net/token", public, fetch.Auth{}, false, nil, 3},
		{"identity token", "http://auth.example.com/token", identity, fetch.Auth{IdentityToken: "id"}, true, nil, 3},
		{"identity token, another domain", "http://tokens.example.net/token", identity, fetch.Auth{IdentityToken: "id"}, false, fetch.ErrUnauthorized, 2},
		{"an address", "http://203.0.113.5/token", private, user, false, fetch.ErrUnauthorized, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := newInternet(t, Options{Auth: c.server})
			reg.SetRealm(c.realm)
			reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
			s := open(t, "registry.example.com/a/b:t", fetch.Options{Scheme: "http", Auth: c.client, Proxy: reg.proxy})
			d, err := s.Resolve(context.Background())
			if err == nil {
				_, err = s.Document(context.Background(), d)
			}
			checkErr(t, err, c.err)
			if withheld := (*fetch.WithheldError)(nil); c.err != nil && (!errors.As(err, &withheld) || !strings.Contains(c.realm, withheld.TokenHost)) {
				t.Errorf("%v: nothing of why", err)
			}
			if n := len(reg.Requests(Manifest)); len(reg.shown) > 0 != c.shown || n != c.manifest {
				t.Errorf("credentials shown: %v, want %v; %d requests for manifests, want %d", reg.shown, c.shown, n, c.manifest)
			}
		})
	}
}

// TestRealmRedirects keeps credentials from where a token server redirects to.
func TestRealmRedirects(t *testing.T) {
	for _, auth := range []Auth{{Mode: Bearer, Username: "u", Password: "p"}, {Mode: Bearer, IdentityToken: "id"}} {
		reg := newInternet(t, Options{Auth: auth})
		reg.SetRealm("http://auth.example.com/token")
		reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
		reg.Use(If(func(r *http.Request) bool { return r.URL.Host == "auth.example.com" },
			Redirect(307, func(r *http.Request) string { return "http://tokens.example.net/token?" + r.URL.RawQuery })))
		o := fetch.Options{Scheme: "http", Auth: fetch.Auth{Username: auth.Username, Password: auth.Password, IdentityToken: auth.IdentityToken}, Proxy: reg.proxy}
		_, err := open(t, "registry.example.com/a/b:t", o).Resolve(context.Background())
		checkErr(t, err, errWhatever)
		if !reg.shown["auth.example.com"] || len(reg.shown) > 1 {
			t.Errorf("credentials were shown to %v", reg.shown)
		}
	}
}
