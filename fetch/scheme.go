package fetch

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"syscall"
)

// schemes are the ways to speak to a registry at home, the one to be tried
// first in front. All registries get https. What may not speak TLS is given a
// second chance: a registry on the loopback interface, as nobody is on the way
// there, and one whose certificate would not be looked at either.
func (o *Options) schemes(home string) []string {
	switch {
	case o.Scheme != "":
		return []string{o.Scheme}
	case isLoopback(home), o.SkipVerify:
		return []string{"https", "http"}
	}
	return []string{"https"}
}

// settle makes a first request by https, and by http if it turns out that
// the server does not speak TLS. It remembers what it has learnt. Others wait:
// r.mu is held. send sends the request by a scheme.
//
// One that ends the connection may have none, too; what it says to http decides.
//
// To a server without TLS that costs a connection, on which no request was
// sent. A server with TLS that is not to be trusted is no reason for http.
func (r *registry) settle(send func(scheme string) (*http.Response, error)) (*http.Response, error) {
	resp, err := send("https")
	switch {
	case err == nil:
		r.schemes = []string{"https"}
	case withoutTLS(err):
		r.schemes = []string{"http"}
		return send("http")
	case errors.Is(err, ErrHandshake):
		if resp, err := send("http"); err == nil && resp.StatusCode != http.StatusBadRequest {
			r.schemes = []string{"http"}
			return resp, nil
		} else if err == nil { // what has TLS answers so
			discard(resp)
		}
	case silent(err):
		if resp, err := send("http"); err == nil {
			r.schemes = []string{"http"}
			return resp, nil
		}
	}
	return resp, err
}

// withoutTLS reports whether a server answered in something that isn't TLS: in
// HTTP, with or without a status line.
func withoutTLS(err error) bool {
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, new(tls.RecordHeaderError))
}

// silent reports whether a server did not say a word of TLS, and so perhaps
// has none: where no port is named, http has another one than https.
func silent(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "TLS handshake timeout")
}
