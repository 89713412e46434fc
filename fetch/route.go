package fetch

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Route is where a reference leads, by all the configuration that Options
// name, and why. It is for people to read.
type Route struct {
	Name    string   // the reference in full
	Short   string   // the file that says what the short name means; "": it is none, or no file does
	Read    []string // files in the form of registries.conf that were read
	File    string   // that governs; "": none does
	Rule    string   // which part of that file; "": all of it
	Servers []Server // to be asked in this order
}

// A Server is one of those that may be asked for what a reference names.
type Server struct {
	Host       string
	Name       string   // what is asked for there
	Mirror     bool     // it stands in for the registry itself
	Pull       bool     // it may be asked for content
	Resolve    bool     // it may be asked what a tag points at, and for referrers
	Schemes    []string // https, http: to be tried in this order
	Unverified bool     // its certificate is not looked at
	Certs      []string // files of certificates to trust, or of ours to show
	Proxy      string   // its address, without credentials; "": none
	Login      string   // the file, its entry or a helper that credentials are from; "": there are none
	Trial      Trial
}

// trialTime bounds the trial of one server.
const trialTime = 20 * time.Second

// Diagnose says where a reference to a registry leads, and tries each server
// there is on the way, by a few requests, without much patience. Several routes
// are those of a short name that may be in several registries. Credentials are
// looked up, and helpers asked for them, but none is told.
//
// An error is one of the configuration or the reference; what is wrong with a
// server is in its Trial. For references of other kinds there are no routes.
func Diagnose(ctx context.Context, ref string, o Options) ([]Route, error) {
	r, err := ParseReference(ref)
	if err != nil || r.transport != transportRegistry {
		return nil, err
	}
	plans, short, read, err := o.Config.plans(r)
	if err != nil {
		return nil, &Error{Name: r.String(), Err: err}
	}
	var routes []Route
	for _, p := range plans {
		route := Route{Name: p.ref.String(), Short: short, Read: read, File: p.file, Rule: p.rule}
		if err := route.try(ctx, p, o); err != nil {
			return nil, &Error{Name: route.Name, Err: err}
		}
		routes = append(routes, route)
	}
	return routes, nil
}

// try tries a plan's servers, the last one first: it says what the reference
// points at to those that may not be asked.
func (r *Route) try(ctx context.Context, p plan, o Options) error {
	o.Retry = Retry{Attempts: 1, MaxWait: time.Second, Stall: trialTime / 4}
	r.Servers = make([]Server, len(p.endpoints))
	t := trials{ref: p.ref}
	for i := len(p.endpoints) - 1; i >= 0; i-- {
		reg, err := newRegistry(p.endpoints[i], o, new(meter))
		if err != nil {
			return err
		}
		r.Servers[i] = serverOf(ctx, reg, o)
		tctx, cancel := context.WithTimeout(ctx, trialTime)
		r.Servers[i].Trial = t.of(tctx, reg)
		cancel()
		reg.Close()
	}
	return nil
}

// serverOf tells of a registry what the configuration says.
func serverOf(ctx context.Context, r *registry, o Options) Server {
	s := Server{
		Host: r.host, Name: strings.TrimPrefix(r.root, "/v2") + "/" + r.ref.repo,
		Mirror: r.mirror, Pull: r.pull, Resolve: r.endpoint.resolve,
		Schemes: r.schemes, Unverified: o.SkipVerify || r.insecure || r.skipVerify, Certs: r.ca,
	}
	for _, pair := range r.client {
		s.Certs = append(s.Certs[:len(s.Certs):len(s.Certs)], pair[0])
	}
	u := &url.URL{Scheme: r.schemes[0], Host: r.host, Path: "/v2/"}
	if r.network.proxy != nil {
		if at, err := r.network.proxy(&http.Request{URL: u}); err == nil && at != nil {
			s.Proxy = at.Scheme + "://" + at.Host
		}
	}
	_, s.Login = r.keys.look(ctx)
	return s
}
