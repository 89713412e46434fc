package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
)

// ErrHandshake says that a server ended the connection when TLS was begun, without
// a word of it; perhaps it speaks http only.
var ErrHandshake = errors.New("connection closed when TLS was begun")

// A handshakeError is the end of a connection in the TLS handshake.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return ErrHandshake.Error() + ": " + e.err.Error() }

// Unwrap hides the end of the connection, as networkError does.
func (e *handshakeError) Unwrap() error { return ErrHandshake }

// handshake notices how the TLS handshakes of one request end.
type handshake struct{ broken atomic.Bool }

// watch gives a request a handshake that notices.
func (h *handshake) watch(req *http.Request) *http.Request {
	return req.WithContext(h.on(req.Context()))
}

func (h *handshake) on(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) { h.broken.Store(closed(err)) },
	})
}

// explain says of a request's error that it is that of a handshake.
func (h *handshake) explain(err error) error {
	if h.broken.Load() && closed(err) {
		return &handshakeError{err}
	}
	return err
}

// closed says whether the other side ended a connection.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
