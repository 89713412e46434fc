package registrytest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A Mode is a way of letting people in.
type Mode int

// The modes.
const (
	Open   Mode = iota // everybody
	Basic              // by user name and password in every request
	Bearer             // by tokens, to be had from the token server
)

// Auth says whom a registry lets in, and how.
type Auth struct {
	Mode Mode
	// Username and Password are what Basic and the token server ask for. With
	// Bearer and no Username, everybody is given tokens.
	Username, Password string
	// IdentityToken, if set, is what the token server takes instead, by POST.
	IdentityToken string
	// Uses is how many requests a token is good for; 0: for ever.
	Uses int
	// Forbid makes it answer 403 instead of 401 to a wrong credential.
	Forbid bool
}

// SetPassword changes the password; tokens that were given remain good.
func (r *Registry) SetPassword(password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.options.Auth.Password = password
}

// ExpireTokens makes all tokens given up to now worthless.
func (r *Registry) ExpireTokens() {
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	clear(r.tokens.given)
}

// tokens are the tokens that were given.
type tokens struct {
	mu    *sync.Mutex // guards given
	given map[string]*token
}

type token struct {
	scopes []string
	uses   int
}

func newTokens() tokens { return tokens{new(sync.Mutex), make(map[string]*token)} }

// admit lets a request in or answers it.
func (r *Registry) admit(w http.ResponseWriter, req *http.Request, repo string) bool {
	r.mu.Lock()
	auth, realm := r.options.Auth, r.realm
	r.mu.Unlock()
	header := req.Header.Get("Authorization")
	var challenge string
	switch auth.Mode {
	case Open:
		return true
	case Basic:
		user, password, ok := req.BasicAuth()
		if ok && user == auth.Username && password == auth.Password {
			return true
		}
		challenge = `Basic realm="registrytest"`
	case Bearer:
		given, _ := strings.CutPrefix(header, "Bearer ")
		if r.tokens.use(given, repo, actions(req), auth.Uses) {
			return true
		}
		if realm == "" {
			realm = "http://" + req.Host + "/token"
		}
		challenge = fmt.Sprintf(`Bearer realm="%s",service="registrytest"`, realm)
		if repo != "" {
			challenge += fmt.Sprintf(`,scope="repository:%s:%s"`, repo, strings.Join(actions(req), ","))
		}
	}
	if auth.Forbid && header != "" {
		Fail(w, http.StatusForbidden, "DENIED", "your authorization token has expired")
		return false
	}
	w.Header().Set("WWW-Authenticate", challenge)
	Fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return false
}

// actions is what a token must allow for a request.
func actions(req *http.Request) []string {
	switch {
	case req.Method == http.MethodDelete:
		return []string{"delete"}
	case reading(req):
		return []string{"pull"}
	}
	return []string{"pull", "push"}
}

// allows reports whether scopes, like repository:a/b:pull,push, include
// actions on a repository.
func allows(scopes []string, repo string, actions []string) bool {
	var allowed []string
	for _, scope := range scopes {
		if list, ok := strings.CutPrefix(scope, "repository:"+repo+":"); ok {
			allowed = append(allowed, strings.Split(list, ",")...)
		}
	}
	for _, a := range actions {
		if !slices.Contains(allowed, a) {
			return false
		}
	}
	return true
}

func (t *tokens) use(s, repo string, actions []string, uses int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	token := t.given[s]
	if token == nil || repo != "" && !allows(token.scopes, repo, actions) {
		return false
	}
	token.uses++
	return uses == 0 || token.uses <= uses
}

// token answers for the token server.
func (r *Registry) token(w http.ResponseWriter, req *http.Request) {
	if err := req.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	auth := r.options.Auth
	r.mu.Unlock()
	user, password, _ := req.BasicAuth()
	if req.Method == http.MethodPost {
		user, password = req.PostForm.Get("username"), req.PostForm.Get("password")
	}
	ok := user == auth.Username && password == auth.Password
	if auth.IdentityToken != "" {
		ok = req.PostForm.Get("grant_type") == "refresh_token" && req.PostForm.Get("refresh_token") == auth.IdentityToken
	}
	if !ok {
		Fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	s := rand.Text()
	r.tokens.mu.Lock()
	r.tokens.given[s] = &token{scopes: strings.Fields(strings.Join(req.Form["scope"], " "))}
	r.tokens.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"token": s, "access_token": s, "expires_in": 300})
}
