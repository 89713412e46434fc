package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// ask sends one request to the registry's API and returns what it answers,
// which may be a redirect or a refusal. path is relative to the repository and
// may have a query.
func (r *registry) ask(ctx context.Context, method, path string, h http.Header) (*http.Response, error) {
	path, query, _ := strings.Cut(path, "?")
	if r.ns != "" {
		query = strings.TrimPrefix(query+"&ns="+url.QueryEscape(r.ns), "&")
	}
	u := &url.URL{Host: r.host, Path: r.root + "/" + r.ref.repo + "/" + path, RawQuery: query}
	send := func(scheme string) (*http.Response, error) {
		u.Scheme = scheme
		return r.send(ctx, method, u, h)
	}
	r.mu.Lock()
	if len(r.schemes) > 1 {
		defer r.mu.Unlock()
		return r.settle(send)
	}
	scheme := r.schemes[0]
	r.mu.Unlock()
	return send(scheme)
}

// maxAuthTries bounds how often one request is sent anew because the
// credential it carried, which others had used too, was refused.
const maxAuthTries = 4

// send sends a request to the registry with the credentials it wants. A
// credential that has worked and is refused now has run out: it is dropped
// and the request sent again, also if the registry answers 403, as some do,
// instead of asking for a new one.
func (r *registry) send(ctx context.Context, method string, u *url.URL, h http.Header) (*http.Response, error) {
	return r.sendBody(ctx, method, u, h, nil)
}

// sendBody is send for a request with content, nil if it has none.
func (r *registry) sendBody(ctx context.Context, method string, u *url.URL, h http.Header, p *payload) (*http.Response, error) {
	for try, nobody := 1, false; ; try++ {
		ctx, a := withAttempt(ctx)
		req, err := newRequest(ctx, method, u, h, r.header)
		if err == nil {
			err = p.attach(req)
		}
		if err != nil {
			return nil, err
		}
		resp, err := r.authed.Do(req)
		if withheld := (*WithheldError)(nil); errors.As(err, &withheld) && !nobody {
			r.withheld.Store(withheld)
			nobody = true
			continue
		}
		if err != nil {
			return nil, r.failed(ctx, err)
		}
		if status := resp.StatusCode; try < maxAuthTries &&
			(status == http.StatusUnauthorized || status == http.StatusForbidden) && r.tokens.spent(a) {
			discard(resp)
			r.tokens.forget(a)
			continue
		}
		return resp, nil
	}
}

func newRequest(ctx context.Context, method string, u *url.URL, headers ...http.Header) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		for k, v := range h {
			req.Header[k] = v
		}
	}
	req.Header.Set("Accept-Encoding", "identity")
	return req, nil
}

// get is ask for GET that follows redirects. moved, if not nil, is told each
// address outside the registry that it is sent to.
func (r *registry) get(ctx context.Context, path string, h http.Header, moved func(*url.URL)) (*http.Response, error) {
	resp, err := r.ask(ctx, http.MethodGet, path, h)
	if err != nil {
		return nil, err
	}
	return r.follow(ctx, resp, h, moved, false)
}

// getAway gets a resource from where the registry has sent us before.
func (r *registry) getAway(ctx context.Context, u *url.URL, h http.Header) (*http.Response, error) {
	resp, err := r.leave(ctx, u, h)
	if err != nil {
		return nil, err
	}
	return r.follow(ctx, resp, h, nil, true)
}

// leave sends a request without credentials.
func (r *registry) leave(ctx context.Context, u *url.URL, h http.Header) (*http.Response, error) {
	req, err := newRequest(ctx, http.MethodGet, u, h)
	if err != nil {
		return nil, err
	}
	resp, err := r.plain.Do(req)
	if err != nil {
		return nil, r.failed(ctx, err)
	}
	return resp, nil
}

// follow follows redirects from resp to the answer at their end. Credentials
// go along only while all hops stay at the registry: away says that they have
// not.
func (r *registry) follow(ctx context.Context, resp *http.Response, h http.Header, moved func(*url.URL), away bool) (*http.Response, error) {
	for hops := 1; isRedirect(resp); hops++ {
		from := resp.Request.URL
		discard(resp)
		to, err := resp.Location()
		if err != nil {
			return nil, &answerError{fmt.Sprintf("%s: redirect to nowhere: %v", clean(from.String()), err)}
		}
		if err := checkHop(from, to, hops); err != nil {
			return nil, fmt.Errorf("%s: %w", clean(from.String()), err)
		}
		if away = away || !sameOrigin(from, to); !away {
			resp, err = r.send(ctx, http.MethodGet, to, h)
		} else {
			if moved != nil {
				moved(to)
			}
			resp, err = r.leave(ctx, to, h)
		}
		if err != nil {
			return nil, err
		}
	}
	return resp, nil
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}

// failed sorts the errors of a request that had no answer from the registry.
// What the registry's token server answers is among them.
func (r *registry) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return r.broken(ctx, err)
	}
	if token := (*errcode.ErrorResponse)(nil); errors.As(err, &token) {
		e := &statusError{method: token.Method, url: clean(token.URL.String()), status: token.StatusCode, withheld: r.withheld.Load()}
		if len(token.Errors) > 0 {
			e.text = clean(clipTo(token.Errors[0].Error(), 300))
		}
		if e.status == http.StatusBadRequest || e.status == http.StatusNotFound {
			return fmt.Errorf("%w: %s", ErrUnauthorized, e.Error()) // no token for us, in other words
		}
		return e
	}
	if errors.Is(err, auth.ErrBasicCredentialNotFound) {
		return fmt.Errorf("%w: %s wants a user name and a password", ErrUnauthorized, r.host)
	}
	if transport := (*url.Error)(nil); errors.As(err, &transport) {
		return &networkError{err: transport}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &networkError{err} // a token's body was cut
	}
	return fmt.Errorf("%w: %w", ErrUnauthorized, err)
}
