package fetch

import (
	"context"
	"errors"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// tokens keeps the one credential that requests to a repository carry. It is
// the auth.Cache of a client that serves a single repository. Scopes make no
// difference to it: who pushes asks for a token that allows that (see
// registry.scoped), and a token that allows too little is renewed like one
// that has run out.
//
// However many requests are refused at a time because a token has run out, a
// new one is asked for once: each request knows which generation of the token
// it has carried (see attempt), and whoever was refused with an old one gets
// the one that has come meanwhile.
type tokens struct {
	mu     sync.Mutex // guards the fields below
	scheme auth.Scheme
	token  string
	gen    int  // generation of token, from 1; 0 when there never was one
	shared bool // this generation was given to others than who asked for it
	flight *tokenFlight
}

// A tokenFlight is a token being asked for. Its results are valid when done
// is closed.
type tokenFlight struct {
	done  chan struct{}
	token string
	err   error
}

// An attempt is one request, as far as credentials are concerned.
type attempt struct {
	gen    int  // of the token that it carried last
	cached bool // whether it was given it by the cache, not by who gives tokens
}

type attemptKey struct{}

func withAttempt(ctx context.Context) (context.Context, *attempt) {
	a := new(attempt)
	return context.WithValue(ctx, attemptKey{}, a), a
}

// attemptOf returns the attempt that a context belongs to: nil when it is a
// request for a token, not one to the registry's API.
func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

var errNoToken = errors.New("no token yet")

// GetScheme implements auth.Cache.
func (t *tokens) GetScheme(context.Context, string) (auth.Scheme, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == "" {
		return auth.SchemeUnknown, errNoToken
	}
	return t.scheme, nil
}

// GetToken implements auth.Cache. It never gives the same token to the same
// attempt twice.
func (t *tokens) GetToken(ctx context.Context, _ string, scheme auth.Scheme, _ string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.give(attemptOf(ctx), scheme)
}

func (t *tokens) give(a *attempt, scheme auth.Scheme) (string, error) {
	if t.token == "" || t.scheme != scheme || a == nil || a.gen == t.gen {
		return "", errNoToken
	}
	a.gen, a.cached, t.shared = t.gen, true, true
	return t.token, nil
}

// Set implements auth.Cache: it returns a token newer than the attempt's.
func (t *tokens) Set(ctx context.Context, _ string, scheme auth.Scheme, _ string, fetch func(context.Context) (string, error)) (string, error) {
	for {
		t.mu.Lock()
		if token, err := t.give(attemptOf(ctx), scheme); err == nil {
			t.mu.Unlock()
			return token, nil
		}
		f := t.flight
		if f == nil {
			f = &tokenFlight{done: make(chan struct{})}
			t.flight = f
			t.mu.Unlock()
			return t.fly(ctx, f, scheme, fetch)
		}
		t.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		if f.err != nil && !canceled(f.err) {
			return "", f.err
		}
		// There is a token now, or its requester went away.
	}
}

// fly asks for a token, for this attempt and all that wait.
func (t *tokens) fly(ctx context.Context, f *tokenFlight, scheme auth.Scheme, fetch func(context.Context) (string, error)) (string, error) {
	f.token, f.err = fetch(context.WithValue(ctx, attemptKey{}, (*attempt)(nil)))
	t.mu.Lock()
	t.flight = nil
	if f.err == nil {
		t.scheme, t.token, t.shared = scheme, f.token, false
		t.gen++
		if a := attemptOf(ctx); a != nil {
			a.gen, a.cached = t.gen, false
		}
	}
	t.mu.Unlock()
	close(f.done)
	return f.token, f.err
}

// spent says whether the token that an attempt carried may have been good once:
// others have used it, and perhaps used it up.
func (t *tokens) spent(a *attempt) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return a.cached || a.gen > 0 && (a.gen != t.gen || t.shared)
}

// forget drops the token that an attempt carried, unless it has been replaced
// already.
func (t *tokens) forget(a *attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gen == a.gen {
		t.token = ""
	}
}
