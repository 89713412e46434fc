package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// A hostTable is what containerd's hosts.toml says of one server: the file's
// own top, or one of its [host."URL"] tables.
type hostTable struct {
	Capabilities []string
	CA           any            // a path, or several
	Client       any            // a path, several, or several pairs of paths
	SkipVerify   *bool          `toml:"skip_verify"`
	OverridePath bool           `toml:"override_path"`
	Header       map[string]any // each a string, or several
	DialTimeout  string         `toml:"dial_timeout"`
	Proxy        string
}

// findHosts finds the first directory of a host below dirs: host_port_ and
// host:port for a host with a port, host for one without, then _default. ""
// if there is none.
func findHosts(dirs []string, host string) string {
	names := []string{host, "_default"}
	if i := strings.LastIndexByte(host, ':'); i > 0 {
		names = slices.Insert(names, 0, host[:i]+"_"+host[i+1:]+"_")
	}
	for _, dir := range dirs {
		for _, name := range names {
			if fi, err := os.Stat(filepath.Join(dir, name)); err == nil && fi.IsDir() {
				return filepath.Join(dir, name)
			}
		}
	}
	return ""
}

// readHosts lists where to ask for a reference as the hosts.toml in dir says.
// file is "" if there is no such file.
func readHosts(dir string, ref Reference) (list []endpoint, file string, err error) {
	file = filepath.Join(dir, "hosts.toml")
	body, err := readFile(file, maxConfig)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(body) == 0 {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if list, err = parseHosts(body, dir, ref); err != nil {
		return nil, file, fmt.Errorf("%s: %w", file, err)
	}
	return list, file, nil
}

// parseHosts parses a hosts.toml. Its hosts come in the order in which they
// are written, its server last.
func parseHosts(body []byte, dir string, ref Reference) (list []endpoint, err error) {
	var doc struct {
		hostTable
		Server string
		Host   map[string]hostTable
	}
	meta, err := decodeTOMLKeys(body, &doc)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for _, key := range meta {
		if len(key) < 2 || key[0] != "host" || seen[key[1]] {
			continue
		}
		name := key[1]
		seen[name] = true
		t := doc.Host[name]
		e, err := t.endpoint(name, dir, ref)
		if err != nil {
			return nil, fmt.Errorf("host %q: %w", clip(clean(name)), err)
		}
		e.mirror, e.push = true, e.push && len(t.Capabilities) > 0
		list = append(list, e)
	}
	e, err := doc.endpoint(doc.Server, dir, ref)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", clip(clean(doc.Server)), err)
	}
	return append(list, e), nil
}

// endpoint is the server at an address, "" for the one that ref names.
func (t *hostTable) endpoint(server, dir string, ref Reference) (e endpoint, err error) {
	e = endpointOf(ref)
	if server != "" {
		if err := e.setServer(server, t.OverridePath); err != nil {
			return e, err
		}
		if e.ref.domain != ref.domain {
			e.ns = ref.domain
		}
	}
	if err := t.capable(&e); err != nil {
		return e, err
	}
	if e.ca, err = texts("ca", t.CA, inDir(dir)); err != nil {
		return e, err
	}
	if e.client, err = pairs(t.Client, dir); err != nil {
		return e, err
	}
	if t.SkipVerify != nil {
		e.skipVerify = *t.SkipVerify
	}
	if tls := t.SkipVerify != nil || len(e.ca) > 0 || len(e.client) > 0; tls && slices.Equal(e.schemes, []string{"http"}) && !strings.HasSuffix(e.host, ":80") {
		e.schemes = []string{"https", "http"} // as containerd: why else talk of TLS?
	}
	for key, v := range t.Header {
		values, err := texts("header "+clip(key), v, nil)
		if err != nil {
			return e, err
		}
		if e.header == nil {
			e.header = make(http.Header)
		}
		e.header[http.CanonicalHeaderKey(key)] = values
	}
	if t.DialTimeout != "" {
		if e.dialTimeout, err = time.ParseDuration(t.DialTimeout); err != nil || e.dialTimeout <= 0 {
			return e, fmt.Errorf("dial_timeout: %q is not a time", clip(t.DialTimeout))
		}
	}
	e.proxy, err = proxyURL(t.Proxy)
	return e, err
}

// setServer takes a server's address: scheme, host, and perhaps a path that
// comes before /v2, or instead of it. https is understood.
func (e *endpoint) setServer(server string, override bool) error {
	if !strings.HasPrefix(server, "http://") && !strings.HasPrefix(server, "https://") {
		server = "https://" + server
	}
	u, err := url.Parse(server)
	switch {
	case err != nil:
		return errors.New("not a URL")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("not a URL of a scheme, a host and perhaps a path")
	}
	e.ref.domain, e.schemes = domainOf(u.Host), []string{u.Scheme}
	e.host = hostOf(e.ref.domain)
	e.root = strings.TrimSuffix(path.Clean("/"+u.Path), "/")
	if !override && !strings.HasSuffix(e.root, "/v2") {
		e.root += "/v2"
	}
	return nil
}

// capable reads what a server may be asked. Nothing said is everything
// allowed, but that a mirror is pushed to only if it says so.
func (t *hostTable) capable(e *endpoint) error {
	if len(t.Capabilities) == 0 {
		return nil
	}
	e.pull, e.resolve, e.push = false, false, false
	for _, c := range t.Capabilities {
		switch strings.ToLower(c) {
		case "pull":
			e.pull = true
		case "resolve":
			e.resolve = true
		case "push":
			e.push = true
		default:
			return fmt.Errorf("capabilities: %q is not pull, resolve or push", clip(c))
		}
	}
	return nil
}

// inDir makes paths that are relative to a file's directory absolute.
func inDir(dir string) func(string) string {
	return func(p string) string {
		if filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(dir, p)
	}
}

// texts reads a value that is a string or a list of strings.
func texts(what string, v any, each func(string) string) (list []string, err error) {
	values, ok := v.([]any)
	if !ok && v != nil {
		values = []any{v}
	}
	for _, v := range values {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("%s: neither a string nor a list of strings", what)
		}
		if each != nil {
			s = each(s)
		}
		list = append(list, s)
	}
	return list, nil
}

// pairs reads certificates of ours, with their keys. Where a file has both,
// there is one path.
func pairs(v any, dir string) (list [][2]string, err error) {
	values, ok := v.([]any)
	if !ok && v != nil {
		values = []any{v}
	}
	for _, v := range values {
		two, err := texts("client", v, nil)
		if err != nil || len(two) < 1 || len(two) > 2 {
			return nil, errors.New("client: neither a path, nor a list of paths or of pairs of them")
		}
		pair := [2]string{inDir(dir)(two[0]), inDir(dir)(two[0])}
		if len(two) == 2 && two[1] != "" {
			pair[1] = inDir(dir)(two[1])
		}
		list = append(list, pair)
	}
	return list, nil
}

// proxyURL parses a proxy's address; "" is none.
func proxyURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return nil, errors.New("proxy: not the URL of a proxy")
	}
	return u, nil
}

// decodeTOMLKeys is decodeTOML, and says in which order the keys came.
func decodeTOMLKeys(body []byte, v any) ([]toml.Key, error) {
	var keys struct{}
	meta, err := toml.Decode(string(body), &keys)
	if err != nil {
		return nil, decodeTOML(body, v)
	}
	return meta.Keys(), decodeTOML(body, v)
}
