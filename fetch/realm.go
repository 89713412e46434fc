package fetch

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// A WithheldError is a refusal by a registry to whom we were nobody, though
// there are credentials: its token server is somebody else's, as far as names
// tell, and so was asked without them. See Auth.TokenHosts.
type WithheldError struct {
	Registry  string // its host
	TokenHost string // of who gives tokens for it
}

func (e *WithheldError) Error() string {
	return fmt.Sprintf("the credentials for %s were not given to the token server at %s, which is of another domain", clip(e.Registry), clip(e.TokenHost))
}

// Unwrap makes it ErrUnauthorized.
func (e *WithheldError) Unwrap() error { return ErrUnauthorized }

// withhold keeps credentials from a token server that they are not for. Only
// requests for tokens show them to anybody but the registry.
func (n *network) withhold(req *http.Request) error {
	asksForToken := attemptOf(req.Context()) == nil && (req.Method == http.MethodPost || req.Header.Get("Authorization") != "")
	host := req.URL.Hostname()
	if !asksForToken || related(n.home, host) || slices.ContainsFunc(n.tokenHosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return nil
	}
	return &WithheldError{Registry: n.home, TokenHost: host}
}

// related reports whether a token server may be given the credentials for a
// registry, by their hosts' names: they are the same, or in the same domain of
// those that people can register (registry-1.docker.io and auth.docker.io,
// registry.gitlab.com and gitlab.com), or both in an intranet.
func related(registry, realm string) bool {
	registry, realm = canonicalName(registry), canonicalName(realm)
	if registry == realm {
		return true
	}
	a, in := registrable(registry)
	b, in2 := registrable(realm)
	return in && in2 || a != "" && a == b
}

func canonicalName(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// registrable returns the part of a host's name that somebody has registered:
// example.co.uk of a.b.example.co.uk. "" if it has none, in which case intranet
// says whether nobody could have: it is a private address, a name without a
// domain, or one in a domain that is not of the Internet, like corp or local.
func registrable(host string) (domain string, intranet bool) {
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return "", addr.IsPrivate() || addr.IsLoopback()
	}
	suffix, icann := publicsuffix.PublicSuffix(host)
	if !icann && !strings.Contains(suffix, ".") { // the list does not have it
		return "", true
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return "", false
	}
	return domain, false
}
