package registrytest

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A Server is a registry that is being served, with its CDN and its token
// server on ports of their own, if it has them.
type Server struct {
	*Registry
	Host string // host:port, for use in references
	URL  string // http://host:port

	Certificate *x509.Certificate // with ServeTLS

	servers []*httptest.Server
}

// Start serves a new registry on the loopback interface until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := Serve(New(o), nil)
	t.Cleanup(s.Close)
	return s
}

// Serve serves a registry on the loopback interface, through a link if that
// is not nil.
func Serve(r *Registry, link *Link) *Server {
	s := &Server{Registry: r}
	s.URL = s.add(r, link)
	s.Host = strings.TrimPrefix(s.URL, "http://")
	if r.options.CDN {
		r.SetCDN(s.add(r.CDN(), link))
	}
	if r.options.Auth.Mode == Bearer {
		r.SetRealm(s.add(r.TokenServer(), link) + "/token")
	}
	return s
}

func (s *Server) add(h http.Handler, link *Link) string {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = quiet
	if link != nil {
		server.Listener = link.Listener(server.Listener)
	}
	server.Start()
	s.servers = append(s.servers, server)
	return server.URL
}

// Close ends the servers and all connections to them.
func (s *Server) Close() {
	for _, server := range s.servers {
		server.CloseClientConnections()
		server.Close()
	}
}

// ServeTLS serves a registry's own host by https on the loopback interface.
// Its certificate is signed by itself.
func ServeTLS(r *Registry) *Server {
	s := &Server{Registry: r}
	server := httptest.NewUnstartedServer(r)
	server.Config.ErrorLog = quiet
	server.EnableHTTP2 = true
	server.StartTLS()
	s.servers = append(s.servers, server)
	s.URL, s.Certificate = server.URL, server.Certificate()
	s.Host = strings.TrimPrefix(s.URL, "https://")
	return s
}
