package fetch_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// TestTLS reaches a registry by https, if it is to be trusted.
func TestTLS(t *testing.T) {
	reg, ca := startTLS(t, Options{Auth: Auth{Mode: Basic, Username: "u", Password: "p"}})
	reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	other := filepath.Join(t.TempDir(), "other.pem")
	body, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, append([]byte("a comment\n"), body...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		options fetch.Options
		err     error
	}{
		{"with its certificate", fetch.Options{CAFile: ca}, nil},
		{"with a comment in the file", fetch.Options{CAFile: other}, nil},
		{"without verification", fetch.Options{SkipVerify: true}, nil},
		{"unknown", fetch.Options{}, fetch.ErrUnreachable},
		{"by plain http", fetch.Options{Scheme: "http", CAFile: ca}, errAny},
		{"by https only", fetch.Options{Scheme: "https", CAFile: ca}, nil},
	} {
		reg.Reset()
		c.options.Auth, c.options.Retry = user, impatient
		s := open(t, reg.Host+"/a/b:t", c.options)
		_, err := s.Resolve(context.Background())
		checkErr(t, err, c.err)
		for _, r := range reg.Requests() {
			if err != nil {
				t.Errorf("%s: the registry was asked", c.name)
			}
			if r.Header.Get("Authorization") != "" && r.Proto != "HTTP/2.0" {
				t.Errorf("%s: %s", c.name, r.Proto)
			}
		}
		if err == nil {
			manifest(t, s)
		}
	}
}

// TestCAFile says what is wrong with a file of certificates.
func TestCAFile(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, empty + "none"} {
		_, err := fetch.Open(context.Background(), "localhost/a:b", fetch.Options{CAFile: file})
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Error(err)
		}
	}
}

// TestPlainHTTP speaks http to loopback addresses that have no TLS, and to
// others if told to. The server sees no more requests for that, and none is
// counted.
func TestPlainHTTP(t *testing.T) {
	for _, c := range []struct {
		name    string
		options fetch.Options
		conns   int64 // an attempt at TLS costs one
		err     error
	}{
		{"loopback", fetch.Options{}, 2, nil},
		{"http", fetch.Options{Scheme: "http"}, 1, nil},
		{"https", fetch.Options{Scheme: "https"}, 3, fetch.ErrUnreachable},
		{"without verification", fetch.Options{SkipVerify: true}, 2, nil},
		{"https without verification", fetch.Options{Scheme: "https", SkipVerify: true}, 3, fetch.ErrUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := New(Options{})
			reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
			var conns atomic.Int64
			server := httptest.NewUnstartedServer(reg)
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					conns.Add(1)
				}
			}
			server.Start()
			defer server.Close()
			s := open(t, server.Listener.Addr().String()+"/a/b:t", c.options)
			defer s.Close()
			want := 0
			for range 3 {
				_, err := s.Resolve(context.Background())
				if checkErr(t, err, c.err); err == nil {
					want++
				} else if !errors.Is(err, http.ErrSchemeMismatch) {
					t.Errorf("%v: nothing of the scheme", err)
				}
			}
			if n := reg.Count(); n != want || s.Stats().Requests != int64(want) || conns.Load() != c.conns {
				t.Errorf("%d requests, of which %d are counted, on %d connections; want %d on %d", n, s.Stats().Requests, conns.Load(), want, c.conns)
			}
		})
	}
}

// TestPlainHTTPOld falls back to http where a server answers the beginning of
// TLS as HTTP/0.9 has it, without a status line.
func TestPlainHTTPOld(t *testing.T) {
	reg := New(Options{})
	reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: reg}
	defer server.Close()
	go server.Serve(oldListener{l})
	s := open(t, l.Addr().String()+"/a/b:t", fetch.Options{})
	defer s.Close()
	if _, err := s.Resolve(context.Background()); err != nil {
		t.Error(err)
	}
}

// An oldListener answers all that is not HTTP with HTML.
type oldListener struct{ net.Listener }

func (l oldListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		r := bufio.NewReader(c)
		if b, err := r.Peek(1); err == nil && b[0] >= 'A' {
			return &peeked{c, r}, nil
		}
		io.WriteString(c, "<!DOCTYPE HTML><title>Bad request syntax</title>")
		c.Close()
	}
}

// TestPlainHTTPClosed falls back to http where a server ends the connection at
// the beginning of TLS, if it then answers as one that has no TLS does.
func TestPlainHTTPClosed(t *testing.T) {
	for _, c := range []struct {
		name   string
		reset  bool
		status int // answered to http; 0: what the registry has
		err    error
	}{{"end", false, 0, nil}, {"reset", true, 0, nil}, {"TLS after all", false, 400, fetch.ErrHandshake}} {
		t.Run(c.name, func(t *testing.T) {
			reg := New(Options{})
			reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
			if c.status != 0 {
				reg.Use(Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) }))
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: reg}
			defer server.Close()
			go server.Serve(closingListener{l, c.reset})
			s := open(t, l.Addr().String()+"/a/b:t", fetch.Options{})
			defer s.Close()
			for range 2 {
				if _, err := s.Resolve(context.Background()); !errors.Is(err, c.err) {
					t.Errorf("%v, want %v", err, c.err)
				} else if err != nil && !errors.Is(err, fetch.ErrUnreachable) {
					t.Errorf("%v: not of the network", err)
				}
			}
		})
	}
}

// A closingListener ends connections that don't begin with HTTP.
type closingListener struct {
	net.Listener
	reset bool
}

func (l closingListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		r := bufio.NewReader(c)
		b, err := r.Peek(1)
		if err == nil && b[0] >= 'A' {
			return &peeked{c, r}, nil
		}
		if l.reset {
			c.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
	}
}

// A peeked connection is read through the buffer that has its first bytes.
type peeked struct {
	net.Conn
	r io.Reader
}

func (c *peeked) Read(p []byte) (int, error) { return c.r.Read(p) }

// TestPlainHTTPAnswers passes on what a server without TLS answers.
func TestPlainHTTPAnswers(t *testing.T) {
	reg := Start(t, Options{})
	reg.Use(Answer(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad", 400) }))
	_, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Resolve(context.Background())
	if err == nil || !strings.Contains(err.Error(), "status 400") {
		t.Errorf("%v, want what the registry said", err)
	}
}

// TestTLSLoopback reaches a registry on the loopback interface by https, with
// nothing but its certificate, and pushes to it.
func TestTLSLoopback(t *testing.T) {
	reg, ca := startTLS(t, Options{Writable: true})
	reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	s := open(t, reg.Host+"/a/b:t", fetch.Options{CAFile: ca})
	m := manifest(t, s)
	readAll(t, openBlob(t, s, m.Layers[0]), []byte("layer"))
	expect(t, reg, map[Kind]int{Manifest: 2, Blob: 1})
	reg.Reset()
	if _, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Resolve(context.Background()); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("%v, want what is wrong with the certificate", err)
	}
	if n := reg.Count(); n != 0 {
		t.Errorf("%d requests to a registry that is not trusted", n)
	}
}

// TestHeaders sends what it is told to, and says who it is.
func TestHeaders(t *testing.T) {
	reg := Start(t, Options{CDN: true, Auth: Auth{Mode: Bearer}})
	reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	s := open(t, reg.Host+"/a/b:t", fetch.Options{Header: http.Header{"x-secret": {"s"}}})
	m := manifest(t, s)
	readAll(t, openBlob(t, s, m.Layers[0]), []byte("layer"))
	for _, r := range reg.Requests() {
		if got := r.Header.Get("X-Secret") != ""; got != (r.Kind == Manifest || r.Kind == Blob) {
			t.Errorf("%s request with header: %v", r.Kind, got)
		}
		if r.Kind != CDN && strings.Join(r.Header["User-Agent"], "|") != "ocifs" {
			t.Errorf("%s request from %q", r.Kind, r.Header["User-Agent"])
		}
		if a := r.Header["Accept"]; r.Kind == Manifest && (len(a) != 1 || strings.Count(a[0], "application/") < 4) {
			t.Errorf("a manifest's request accepts %q", a)
		}
		if e := r.Header.Get("Accept-Encoding"); r.Kind != Token && e != "identity" {
			t.Errorf("%s request accepts %q", r.Kind, e)
		}
	}
}

// TestHTTPToTLS passes on what a server with TLS says of requests without.
func TestHTTPToTLS(t *testing.T) {
	reg, _ := startTLS(t, Options{})
	_, err := open(t, reg.Host+"/a/b:t", fetch.Options{Scheme: "http"}).Resolve(context.Background())
	if err == nil || !strings.Contains(err.Error(), "sent an HTTP request to an HTTPS server") {
		t.Error(err)
	}
}
