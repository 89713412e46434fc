package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A network is how requests leave this machine: to the registry's own host
// freely, to the hosts it names (storage, token servers) only at addresses
// that a registry may name. The addresses are checked as they are dialled, so
// that no name can resolve to one thing first and to another thing later.
type network struct {
	home        string   // the registry's host name
	tokenHosts  []string // Auth.TokenHosts
	registry    *http.Transport
	others      *http.Transport
	proxied     *http.Transport                     // the address dialled is the proxy's
	proxiedHome *http.Transport                     // and behind it is the registry, which may know us by a certificate
	patient     map[*http.Transport]*http.Transport // for each of them, one that waits for answers as long as its caller does
	proxy       func(*http.Request) (*url.URL, error)
	meter       *meter

	// What the registry's own addresses turned out to be.
	atLoopback, atLinkLocal atomic.Bool
}

func newNetwork(home string, e endpoint, o Options, m *meter) (*network, error) {
	n := &network{home: home, tokenHosts: o.Auth.TokenHosts, proxy: o.Proxy, meter: m}
	if e.proxy != nil {
		n.proxy = func(*http.Request) (*url.URL, error) { return e.proxy, nil }
	}
	n.atLoopback.Store(isLoopback(home))
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.SkipVerify || e.skipVerify}
	files := e.ca
	if o.CAFile != "" {
		files = append([]string{o.CAFile}, files...)
	}
	var err error
	if config.RootCAs, err = trust(nil, files); err != nil {
		return nil, err
	}
	ours := config.Clone()
	if ours.Certificates, err = ourselves(e.client); err != nil {
		return nil, err
	}
	stall := o.Retry.withDefaults().Stall
	dial := min(stall, 15*time.Second)
	if e.dialTimeout > 0 {
		dial = e.dialTimeout
	}
	unchecked := func(netip.Addr) error { return nil } // it is the proxy's
	n.registry = newTransport(ours, n.proxy, dial, stall, n.note)
	n.others = newTransport(config, n.proxy, dial, stall, n.check)
	n.proxied = newTransport(config.Clone(), n.proxy, dial, stall, unchecked)
	n.proxiedHome = newTransport(ours.Clone(), n.proxy, dial, stall, unchecked)
	n.patient = make(map[*http.Transport]*http.Transport)
	for _, t := range []*http.Transport{n.registry, n.others, n.proxied, n.proxiedHome} {
		n.patient[t] = t.Clone()
		n.patient[t].ResponseHeaderTimeout = 0
		n.patient[t].WriteBufferSize = 64 << 10
	}
	return n, nil
}

// maxUnread is how much of an answer that nobody reads HTTP/2 takes in: so much
// comes in a round trip, at most, 50 MB/s where that takes 20 ms. The default is
// 4 MiB, for each of a stream's pieces.
const maxUnread = 1 << 20

func newTransport(config *tls.Config, proxy func(*http.Request) (*url.URL, error), dial, stall time.Duration, control func(netip.Addr) error) *http.Transport {
	dialer := &net.Dialer{
		Timeout:   dial,
		KeepAlive: 30 * time.Second,
		Control: func(_, address string, _ syscall.RawConn) error {
			addr, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return control(addr.Addr().Unmap().WithZone(""))
		},
	}
	return &http.Transport{
		Proxy:                 proxy,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   min(stall, 15*time.Second),
		ResponseHeaderTimeout: stall,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{MaxReceiveBufferPerStream: maxUnread, SendPingTimeout: stall / 2, PingTimeout: stall / 2},
		DisableCompression:    true, // it would break ranges and digests
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       90 * time.Second,
		ReadBufferSize:        64 << 10,
	}
}

// RoundTrip sends a request on its way and counts it.
func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	err := n.withhold(req)
	var t *http.Transport
	if err == nil {
		t, err = n.transport(req)
	}
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	if req.Method == http.MethodPut {
		t = n.patient[t]
	}
	sending := n.meter.begun(req)
	var shake handshake
	resp, err := t.RoundTrip(shake.watch(req))
	err = shake.explain(err)
	if noTLS := (tls.RecordHeaderError{}); errors.As(err, &noTLS) {
		n.meter.requests.Add(-1) // the server has seen a connection, but no request
		return resp, err
	}
	if err != nil {
		sending.ended(fmt.Errorf("no answer: %w", err))
		return resp, err
	}
	sending.r.Status = resp.StatusCode
	resp.Body = &metered{resp.Body, sending}
	preferBearer(resp.Header)
	return resp, nil
}

// preferBearer puts the challenge that can best be met before the others,
// since only the first is looked at.
func preferBearer(h http.Header) {
	const key = "Www-Authenticate"
	for _, scheme := range []string{"bearer", "basic"} {
		for _, challenge := range h[key] {
			if first, _, _ := strings.Cut(challenge, " "); strings.EqualFold(first, scheme) {
				h.Set(key, challenge)
				return
			}
		}
	}
}

// transport chooses the way for a request. What goes through a proxy can only
// be checked if its address is written out.
func (n *network) transport(req *http.Request) (*http.Transport, error) {
	home := strings.EqualFold(req.URL.Hostname(), n.home)
	if n.proxy != nil {
		u, err := n.proxy(req)
		if err != nil {
			return nil, err
		}
		if u != nil && home {
			return n.proxiedHome, nil
		}
		if u != nil {
			if addr, err := netip.ParseAddr(req.URL.Hostname()); err == nil {
				return n.proxied, n.check(addr.Unmap().WithZone(""))
			}
			return n.proxied, nil
		}
	}
	if home {
		return n.registry, nil
	}
	return n.others, nil
}

// note remembers where the registry is.
func (n *network) note(addr netip.Addr) error {
	if addr.IsLoopback() {
		n.atLoopback.Store(true)
	}
	if forbidden(addr) {
		n.atLinkLocal.Store(true)
	}
	return nil
}

// check refuses an address that no registry should send us to, unless the
// registry is at such an address itself.
func (n *network) check(addr netip.Addr) error {
	switch {
	case (addr.IsLoopback() || addr.IsUnspecified()) && !n.atLoopback.Load():
		return &refusal{fmt.Sprintf("the registry names this machine itself, %s: refused", addr)}
	case forbidden(addr) && !n.atLinkLocal.Load():
		return &refusal{fmt.Sprintf("the registry names a link-local or metadata address, %s: refused", addr)}
	}
	return nil
}

// metadata lists the addresses at which clouds give credentials to whoever
// asks from within a machine, beyond those that are link-local.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("100.100.100.200/32"),
	netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("fd00:ec2::/64"),
	netip.MustParsePrefix("fd20:ce::254/128"),
}

func forbidden(addr netip.Addr) bool {
	addr = embedded(addr)
	if addr.IsLinkLocalUnicast() || addr.IsMulticast() {
		return true
	}
	for _, p := range metadata {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// embedded returns the IPv4 address within a NAT64 or a 6to4 address.
func embedded(addr netip.Addr) netip.Addr {
	b := addr.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case netip.MustParsePrefix("2002::/16").Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return addr
}

// isLoopback reports whether a host's name says that it is this machine.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

func (n *network) close() {
	for t, patient := range n.patient {
		t.CloseIdleConnections()
		patient.CloseIdleConnections()
	}
}

// checkHop decides whether to follow a redirect.
func checkHop(from, to *url.URL, hops int) error {
	switch {
	case hops > maxHops:
		return &refusal{fmt.Sprintf("more than %d redirects", maxHops)}
	case to.Scheme != "https" && to.Scheme != "http":
		return &refusal{fmt.Sprintf("redirect to a %q URL: refused", clip(to.Scheme))}
	case from.Scheme == "https" && to.Scheme == "http":
		return &refusal{"redirect from https to http: refused"}
	case to.Host == "":
		return &refusal{"redirect to a URL without a host: refused"}
	}
	return nil
}

// maxHops is what net/http allows.
const maxHops = 10

// A stalled body is given up: watch returns a context for one request, which
// ends when keep has not been called for a while.
type watch struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	after  time.Duration
}

func newWatch(ctx context.Context, after time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancel: cancel, after: after}
	w.timer = time.AfterFunc(after, func() { cancel(errStalled) })
	w.timer.Stop()
	return ctx, w
}

func (w *watch) start() { w.timer.Reset(w.after) }
func (w *watch) stop()  { w.timer.Stop(); w.cancel(context.Canceled) }
