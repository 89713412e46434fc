package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// linking is what a registry's client knows of how manifests are linked there.
type linking struct {
	absent atomic.Bool // it has no referrers API
	mu     sync.Mutex  // held while the list under a fallback tag is changed
}

func (r *registry) referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	if !r.linking.absent.Load() {
		list, err := r.askReferrers(ctx, subject, artifactType)
		if !errors.Is(err, errNoAPI) {
			return list, err
		}
		r.linking.absent.Store(true)
	}
	doc, ok, err := r.fallback(ctx, subject)
	if err != nil || !ok {
		return nil, err
	}
	list, _, err := parseIndex(doc)
	return list, err
}

// errNoAPI: the registry has no referrers API.
var errNoAPI = errors.New("no referrers API")

// askReferrers asks the API. The registry may apply the filter or not.
func (r *registry) askReferrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) (list []ocispec.Descriptor, err error) {
	path := "referrers/" + string(subject.Digest) // relative to the repository
	if artifactType != "" {
		path += "?artifactType=" + url.QueryEscape(artifactType)
	}
	header := http.Header{"Accept": {ocispec.MediaTypeImageIndex}}
	var next *url.URL
	for page, size := 1, 0; page == 1 || next != nil; page++ {
		if page > maxReferrerPages {
			return nil, errTooMany
		}
		var at *url.URL // of the page, where it came from in the end
		doc, answer, err := r.load(ctx, func(ctx context.Context) (*http.Response, error) {
			resp, err := r.getPage(ctx, path, next, header)
			if err == nil {
				at = resp.Request.URL
			}
			return resp, err
		})
		if page == 1 && noAPI(err) {
			return nil, errNoAPI
		}
		if err != nil {
			return nil, err
		}
		entries, ok, err := parseIndex(doc)
		switch {
		case err != nil:
			return nil, err
		case !ok && page == 1:
			return nil, errNoAPI // a web page, or the like
		case !ok:
			return nil, fmt.Errorf("%w: a page of the list is not an image index", ErrUnsupported)
		}
		list = append(list, entries...)
		if size += len(doc.body); size > maxReferrersBytes || len(list) > maxReferrers {
			return nil, errTooMany
		}
		if next, err = r.nextPage(at, answer); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// getPage gets the list's page at next or, if that is nil, its first one.
func (r *registry) getPage(ctx context.Context, path string, next *url.URL, h http.Header) (*http.Response, error) {
	if next == nil {
		return r.get(ctx, path, h, nil)
	}
	resp, err := r.send(ctx, http.MethodGet, next, h)
	if err != nil {
		return nil, err
	}
	return r.follow(ctx, resp, h, nil, false)
}

// noAPI reports whether an answer means that the registry does not know the
// endpoint: it has to answer by an empty list even if it does not know the
// subject, or the repository.
func noAPI(err error) bool {
	status := (*statusError)(nil)
	if !errors.As(err, &status) {
		return false
	}
	switch status.status {
	case 401, 403, 407, 408, 429:
		return false
	case 501:
		return true
	}
	return status.status >= 400 && status.status < 500
}

// nextPage is where the answer of at says that the list goes on: nil at its
// end.
func (r *registry) nextPage(at *url.URL, answer http.Header) (*url.URL, error) {
	link := nextLink(answer.Values("Link"))
	if link == "" {
		return nil, nil
	}
	return staying(r.home(), at, link)
}

// staying resolves an address in an answer of at, which must be at home: what
// follows is sent there with credentials. Behind a proxy that ends TLS,
// registries believe that they are at http, so home's scheme is kept.
func staying(home, at *url.URL, ref string) (*url.URL, error) {
	u, err := at.Parse(ref)
	if err != nil {
		return nil, &answerError{fmt.Sprintf("%s: malformed address %q", clean(at.Host), clip(clean(ref)))}
	}
	if strings.EqualFold(u.Host, home.Host) {
		u.Scheme = home.Scheme
	}
	if !sameOrigin(home, u) || u.User != nil {
		return nil, &refusal{fmt.Sprintf("the registry goes on at %s: refused", clean(u.Scheme+"://"+u.Host))}
	}
	return u, nil
}

// nextLink finds the target of the relation "next" in Link headers (RFC 8288,
// section 3): <URI>; rel="next", <URI>; rel=other. "" if there is none.
func nextLink(headers []string) string {
	for _, rest := range headers {
		for {
			_, after, ok := strings.Cut(rest, "<")
			if !ok {
				break
			}
			target, params, ok := strings.Cut(after, ">")
			if !ok {
				break
			}
			var next bool
			if next, rest = parseRel(params); next {
				return target
			}
		}
	}
	return ""
}

// parseRel reads the parameters of one link: whether its relation is "next",
// and what follows the link.
func parseRel(s string) (next bool, rest string) {
	for {
		s = strings.TrimLeft(s, " \t;")
		if s == "" || s[0] == ',' {
			return next, s
		}
		end := strings.IndexAny(s, "=;,")
		if end < 0 {
			return next, ""
		}
		name := strings.TrimSpace(s[:end])
		if s[end] != '=' {
			s = s[end:]
			continue
		}
		var value string
		value, s = paramValue(strings.TrimLeft(s[end+1:], " \t"))
		if strings.EqualFold(name, "rel") {
			for rel := range strings.FieldsSeq(value) {
				next = next || strings.EqualFold(rel, "next")
			}
		}
	}
}

// paramValue cuts a parameter's value off, a token or a quoted string.
func paramValue(s string) (value, rest string) {
	if quoted, ok := strings.CutPrefix(s, `"`); ok {
		for i := 0; i < len(quoted); i++ {
			switch quoted[i] {
			case '\\':
				i++
			case '"':
				return quoted[:i], quoted[i+1:]
			}
		}
		return quoted, ""
	}
	if end := strings.IndexAny(s, ";,"); end >= 0 {
		return s[:end], s[end:]
	}
	return s, ""
}
