package fetch

import (
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// An endpoint is a server that may be asked for what a reference names, and
// how it is to be asked.
type endpoint struct {
	ref     Reference // what it is called there; its domain is whom credentials are looked up for
	host    string    // host or host:port
	root    string    // the path before the repository's name: /v2
	mirror  bool      // it stands in for the place itself
	named   bool      // it is the registry that the reference names, by that name
	pull    bool      // it may be asked for content by digest
	resolve bool      // it is believed about what a tag points at, and what refers to a manifest
	push    bool      // it may be pushed to; of several that may, the first is

	schemes     []string // to be tried in this order; nil: what is usual for the host
	insecure    bool     // any certificate will do, and http if there is no TLS
	skipVerify  bool     // any certificate will do
	ca          []string // files of certificates to trust, too
	client      [][2]string
	header      http.Header
	ns          string // registry that it is asked on behalf of: ?ns=
	proxy       *url.URL
	dialTimeout time.Duration // 0: the usual one
	helpers     []string      // Podman's credential-helpers
	certs       string        // the directory that ca and client are from; "": none
}

// endpointOf is where a reference's own name says that it is.
func endpointOf(ref Reference) endpoint {
	return endpoint{ref: ref, host: hostOf(ref.domain), root: "/v2", pull: true, resolve: true, push: true}
}

// hub is where the registry is that is called docker.io.
const hub = "registry-1.docker.io"

// hostOf is the host of the registry that references call domain.
func hostOf(domain string) string {
	if domain == "docker.io" {
		return hub
	}
	return domain
}

// domainOf is hostOf the other way round.
func domainOf(host string) string {
	if host == hub || host == "index.docker.io" {
		return "docker.io"
	}
	return host
}

// A plan is where a reference leads, by all the configuration there is.
type plan struct {
	ref       Reference // in full
	endpoints []endpoint
	file      string // that governs; "": none does
	rule      string // what in that file; "": all of it
}

// plans reads the configuration and says where a reference leads: to one
// place, or, if it is a short name, perhaps to one of several, in order. short
// is the file that says what the short name means.
func (c *Config) plans(ref Reference) (list []plan, short string, files []string, err error) {
	files, err = c.registriesFiles()
	if err != nil {
		return nil, "", nil, err
	}
	conf, err := readRegistriesConf(files)
	if err != nil {
		return nil, "", nil, err
	}
	names, short, err := conf.names(ref)
	if err != nil {
		return nil, "", nil, err
	}
	for _, name := range names {
		p, err := c.plan(conf, name)
		if err != nil {
			return nil, "", nil, err
		}
		list = append(list, p)
	}
	return list, short, files, nil
}

// openRegistry opens the place, or the places, where a reference leads, and
// says what the reference is in full, as far as that is known.
func openRegistry(ref Reference, o Options, m *meter) (place, Reference, error) {
	plans, _, _, err := o.Config.plans(ref)
	if err != nil {
		return nil, ref, err
	}
	s := new(searched)
	for _, p := range plans {
		at, err := p.open(o, m)
		if err != nil {
			s.Close()
			return nil, p.ref, err
		}
		s.list = append(s.list, candidate{p.ref, at})
	}
	if len(s.list) == 1 {
		return s.list[0].place, s.list[0].ref, nil
	}
	return s, ref, nil
}

func (p *plan) open(o Options, m *meter) (place, error) {
	if e := p.endpoints[0]; len(p.endpoints) == 1 && e.pull && e.resolve && e.push {
		return newRegistry(e, o, m)
	}
	return newMirrored(*p, o, m)
}

func (c *Config) plan(conf *registriesConf, ref Reference) (p plan, err error) {
	p = plan{ref: ref}
	if r, ok := conf.find(ref.String()); ok {
		p.file, p.rule = r.file, fmt.Sprintf("[[registry]] prefix %q", r.Prefix)
		if r.Blocked {
			return p, fmt.Errorf("%w by %s, %s", ErrBlocked, p.file, p.rule)
		}
		if p.endpoints, err = r.endpoints(ref); err != nil {
			return p, fmt.Errorf("%s: %w", p.file, err)
		}
	} else if dir := findHosts(c.Hosts, ref.domain); dir != "" {
		if p.endpoints, p.file, err = readHosts(dir, ref); err != nil {
			return p, err
		}
	}
	if p.endpoints == nil {
		p.endpoints = []endpoint{endpointOf(ref)}
	}
	for i := range p.endpoints {
		e := &p.endpoints[i]
		e.named, e.helpers = e.ref.domain == ref.domain, conf.helpers
		if err := c.certify(e); err != nil {
			return p, err
		}
	}
	return p, nil
}

// certify gives an endpoint the certificates that are kept for its host,
// unless it has been given others.
func (c *Config) certify(e *endpoint) (err error) {
	if e.ca != nil || e.client != nil {
		return nil
	}
	if e.certs = findHosts(c.Hosts, e.ref.domain); e.certs != "" {
		if e.ca, e.client, err = readCerts(e.certs); err != nil || e.ca != nil || e.client != nil {
			return err
		}
	}
	if e.certs = findCerts(c.Certs, e.ref.domain); e.certs != "" {
		e.ca, e.client, err = readCerts(e.certs)
	}
	return err
}
