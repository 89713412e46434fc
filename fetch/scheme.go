package fetch

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
)

// settle makes a first request by one scheme or, if the answer suggests it,
// by the other, and remembers which one it was. Others wait: r.mu is held.
// send sends the request by a scheme.
func (r *registry) settle(send func(scheme string) (*http.Response, error)) (*http.Response, error) {
	first, second := r.schemes[0], r.schemes[1]
	resp, err := send(first)
	if otherScheme(first, resp, err) {
		resp2, err2 := send(second)
		if !errors.Is(err2, http.ErrSchemeMismatch) {
			if err == nil {
				discard(resp)
			}
			first, resp, err = second, resp2, err2
		}
	}
	if err == nil {
		r.schemes = []string{first}
	}
	return resp, err
}

// otherScheme reports whether an answer, or its lack, suggests that the
// server speaks TLS where we did not, or the other way round.
func otherScheme(scheme string, resp *http.Response, err error) bool {
	if scheme == "https" {
		return errors.Is(err, http.ErrSchemeMismatch) || errors.Is(err, syscall.ECONNREFUSED)
	}
	if err != nil {
		return strings.Contains(err.Error(), "malformed HTTP")
	}
	return resp.StatusCode == http.StatusBadRequest && mediaType(resp) != "application/json"
}
