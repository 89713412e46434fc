package fetch

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// A registriesConf is what files in the form of containers-registries.conf(5)
// say, one laid over the other.
type registriesConf struct {
	search     []string // registries for short names; nil: nobody has said
	searchFile string   // that says so
	mode       string   // short-name-mode; "": nobody has said
	helpers    []string // for credentials; nil: nobody has said
	aliases    map[string]alias
	rules      map[string]rule // by prefix
	files      []string        // that were read
}

// An alias is what a short name stands for: a name without a tag, "" if it is
// no alias any more.
type alias struct{ name, file string }

// A rule is a [[registry]] table.
type rule struct {
	confPlace
	Prefix             string
	Blocked            bool
	MirrorByDigestOnly bool `toml:"mirror-by-digest-only"`
	Mirror             []confMirror
	file               string
}

// A confPlace is what registries and their mirrors have in common.
type confPlace struct {
	Location  string
	Insecure  bool
	Namespace string `toml:"namespace-proxy"`
}

// A confMirror is a [[registry.mirror]] table.
type confMirror struct {
	confPlace
	PullFromMirror string `toml:"pull-from-mirror"`
}

// readRegistriesConf reads files, of which each replaces what those before it
// have said of the same things.
func readRegistriesConf(files []string) (*registriesConf, error) {
	all := &registriesConf{aliases: make(map[string]alias), rules: make(map[string]rule), files: files}
	for _, file := range files {
		body, err := readFile(file, maxConfig)
		if err != nil {
			return nil, err
		}
		one, err := parseRegistriesConf(body, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all.add(one, file)
	}
	return all, nil
}

func (c *registriesConf) add(one *registriesConf, file string) {
	if one.search != nil {
		c.search, c.searchFile = one.search, file
	}
	if one.mode != "" {
		c.mode = one.mode
	}
	if one.helpers != nil {
		c.helpers = one.helpers
	}
	maps.Copy(c.aliases, one.aliases)
	maps.Copy(c.rules, one.rules)
}

// parseRegistriesConf parses one file.
func parseRegistriesConf(body []byte, file string) (*registriesConf, error) {
	var doc struct {
		Search   []string `toml:"unqualified-search-registries"`
		Mode     string   `toml:"short-name-mode"`
		Helpers  []string `toml:"credential-helpers"`
		Aliases  map[string]string
		Registry []rule
		V1       map[string]any `toml:"registries"`
	}
	if err := decodeTOML(body, &doc); err != nil {
		return nil, err
	}
	if len(doc.V1) > 0 {
		return nil, fmt.Errorf("%w: it is in version 1 of the format, which Podman does not read either; write [[registry]] tables", ErrUnsupported)
	}
	c := &registriesConf{search: doc.Search, mode: doc.Mode, helpers: doc.Helpers, aliases: make(map[string]alias), rules: make(map[string]rule)}
	for i, s := range c.search {
		if c.search[i] = strings.TrimRight(s, "/"); !isDomain(c.search[i]) {
			return nil, fmt.Errorf("unqualified-search-registries: %q is not a registry's name", clip(s))
		}
	}
	if !slices.Contains([]string{"", "enforcing", "permissive", "disabled"}, c.mode) {
		return nil, fmt.Errorf("short-name-mode: %q is not enforcing, permissive or disabled", clip(c.mode))
	}
	for short, name := range doc.Aliases {
		if err := checkAlias(short, name); err != nil {
			return nil, err
		}
		c.aliases[short] = alias{name, file}
	}
	for _, r := range doc.Registry {
		if err := r.check(); err != nil {
			return nil, err
		}
		r.file = file
		if _, twice := c.rules[r.Prefix]; !twice {
			c.rules[r.Prefix] = r
		}
	}
	return c, nil
}

// check refuses a table that makes no sense, and fills in what may be left out.
func (r *rule) check() error {
	if err := r.confPlace.check(); err != nil {
		return err
	}
	r.Prefix = strings.TrimRight(r.Prefix, "/")
	if r.Prefix == "" {
		r.Prefix = r.Location
	}
	wild := strings.HasPrefix(r.Prefix, "*.")
	switch {
	case r.Prefix == "":
		return errors.New("[[registry]]: neither prefix nor location")
	case strings.Contains(r.Prefix, "://"):
		return fmt.Errorf("prefix %q: it has no scheme", clip(r.Prefix))
	case wild && strings.ContainsAny(r.Prefix, "/@:"), !wild && strings.Contains(r.Prefix, "*"):
		return fmt.Errorf("prefix %q: a wildcard is *.HOST and nothing else", clip(r.Prefix))
	case !wild && r.Location == "":
		return fmt.Errorf("prefix %q: it has no location", clip(r.Prefix))
	}
	for i := range r.Mirror {
		m := &r.Mirror[i]
		if err := m.confPlace.check(); err != nil {
			return err
		}
		switch {
		case m.Location == "":
			return fmt.Errorf("prefix %q: a mirror without a location", clip(r.Prefix))
		case !slices.Contains([]string{"", "all", "digest-only", "tag-only"}, m.PullFromMirror):
			return fmt.Errorf("mirror %q: pull-from-mirror: %q is not all, digest-only or tag-only", clip(m.Location), clip(m.PullFromMirror))
		case r.MirrorByDigestOnly && m.PullFromMirror != "":
			return fmt.Errorf("mirror %q: pull-from-mirror and mirror-by-digest-only exclude one another", clip(m.Location))
		}
	}
	return nil
}

func (p *confPlace) check() error {
	if strings.Contains(p.Location, "://") {
		return fmt.Errorf("location %q: it has no scheme", clip(p.Location))
	}
	p.Location = strings.TrimRight(p.Location, "/")
	return nil
}

// find returns the rule for a name in full: that with the longest prefix. Of a
// host and a wildcard of the same length it is the wildcard's, as in Podman.
func (c *registriesConf) find(name string) (best rule, ok bool) {
	for _, prefix := range slices.Sorted(maps.Keys(c.rules)) {
		if matchPrefix(name, prefix) > 0 && (!ok || len(prefix) > len(best.Prefix)) {
			best, ok = c.rules[prefix], true
		}
	}
	return best, ok
}

// matchPrefix returns how much of a name in full a prefix stands for, 0 if it
// does not fit: host, host/path, host/path:tag or *.host. A prefix ends where
// a part of the name does.
func matchPrefix(name, prefix string) int {
	host, _, _ := strings.Cut(name, "/")
	if suffix, wild := strings.CutPrefix(prefix, "*"); wild {
		if i := strings.LastIndexByte(host, ':'); i >= 0 {
			host = host[:i]
		}
		if len(host) > len(suffix) && strings.HasSuffix(host, suffix) {
			return len(host)
		}
		return 0
	}
	rest, ok := strings.CutPrefix(name, prefix)
	switch {
	case !ok || prefix == "":
		return 0
	case rest == "" || rest[0] == '/':
		return len(prefix)
	case strings.ContainsRune(prefix, '/') && (rest[0] == ':' || rest[0] == '@'):
		return len(prefix)
	}
	return 0
}

// endpoints lists where to ask for a reference, in order, the mirrors before
// the place itself.
func (r *rule) endpoints(ref Reference) ([]endpoint, error) {
	var list []endpoint
	for _, m := range r.Mirror {
		only := m.PullFromMirror
		if r.MirrorByDigestOnly {
			only = "digest-only"
		}
		if only == "digest-only" && ref.digest == "" || only == "tag-only" && ref.digest != "" {
			continue
		}
		e, err := m.endpoint(ref, r.Prefix)
		if err != nil {
			return nil, err
		}
		e.mirror, e.push = true, false
		list = append(list, e)
	}
	e, err := r.confPlace.endpoint(ref, r.Prefix)
	return append(list, e), err
}

// endpoint is where a reference that a prefix fits is to be found here.
func (p *confPlace) endpoint(ref Reference, prefix string) (endpoint, error) {
	at := ref
	if p.Location != "" {
		name := ref.String()
		var err error
		if at, err = parseRegistry(p.Location + name[matchPrefix(name, prefix):]); err != nil {
			return endpoint{}, fmt.Errorf("location %q for %s: %w", clip(p.Location), clip(prefix), err)
		}
		if at.short != "" {
			return endpoint{}, fmt.Errorf("location %q for %s: it names no registry", clip(p.Location), clip(prefix))
		}
	}
	e := endpointOf(at)
	e.insecure, e.ns = p.Insecure, p.Namespace
	return e, nil
}

// decodeTOML decodes a document, and says where it is wrong.
func decodeTOML(body []byte, v any) error {
	_, err := toml.Decode(string(body), v)
	if wrong := (toml.ParseError{}); errors.As(err, &wrong) {
		return fmt.Errorf("line %d: %s", wrong.Position.Line, clean(wrong.Message))
	}
	return err
}
