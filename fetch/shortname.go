package fetch

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// names lists what a reference may mean. One that names a registry means
// itself. A short name (alpine, team/app) is what an alias says; else it is
// looked for in the registries that a registries.conf lists for that; and
// where no file says anything about it, it is of Docker Hub. file is the one
// that decided, "" if none did.
//
// Who is asked which of several registries is meant is nobody: this never
// prompts. Where short-name-mode is "enforcing", several are an error.
func (c *registriesConf) names(ref Reference) (list []Reference, file string, err error) {
	if ref.short == "" {
		return []Reference{ref}, "", nil
	}
	if a := c.aliases[ref.short]; a.name != "" {
		named, err := ref.in(a.name)
		return []Reference{named}, a.file, err
	}
	switch {
	case c.search == nil:
		return []Reference{ref}, "", nil
	case len(c.search) == 0:
		return nil, "", fmt.Errorf("%w: %q is a short name, and %s has no registries for those", ErrShortName, clip(ref.short), c.searchFile)
	case len(c.search) > 1 && c.mode == "enforcing":
		return nil, "", fmt.Errorf("%w: %q is a short name, and %s lets it be in any of %s", ErrShortName, clip(ref.short), c.searchFile, strings.Join(c.search, ", "))
	}
	for _, host := range c.search {
		named, err := ref.in(host + "/" + ref.short)
		if err != nil {
			return nil, "", err
		}
		list = append(list, named)
	}
	return list, c.searchFile, nil
}

// in is the reference with its tag or digest, under another name.
func (r Reference) in(name string) (Reference, error) {
	named, err := parseRegistry(name)
	named.tag, named.digest = r.tag, r.digest
	return named, err
}

// shortName is the name in a reference that names no registry, without its
// tag and digest; "" if it does name one. What comes before the first slash is
// a registry if it looks like a host: Docker's rule.
func shortName(s string) string {
	host, _, ok := strings.Cut(s, "/")
	if ok && (strings.ContainsAny(host, ".:") || host == "localhost" || strings.ToLower(host) != host) {
		return ""
	}
	s, _, _ = strings.Cut(s, "@")
	s, _, _ = strings.Cut(s, ":")
	return s
}

// checkAlias refuses aliases of what is no short name, and for what is no
// name in full.
func checkAlias(short, name string) error {
	if shortName(short) != short || short == "" {
		return fmt.Errorf("aliases: %q is not a short name without a tag", clip(short))
	}
	if name == "" {
		return nil
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil || shortName(name) != "" || !reference.IsNameOnly(named) {
		return fmt.Errorf("aliases: %q is %q, which is not a name with a registry and without a tag", clip(short), clip(name))
	}
	return nil
}

// isDomain reports whether s is a host, or a host and a port.
func isDomain(s string) bool {
	named, err := reference.ParseNormalizedNamed(s + "/x")
	return err == nil && (reference.Domain(named) == s || s == "index.docker.io")
}
