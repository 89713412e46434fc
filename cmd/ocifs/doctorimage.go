package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
)

// configChecks are the files that there are for any image.
func configChecks(ctx context.Context, cc *cli.Context) []check {
	s, err := registrySpecOf(cc)
	if err != nil {
		return []check{failedCheck(ctx, "configuration", "flags", err)}
	}
	note := func(name string, paths []string) check {
		there := slices.DeleteFunc(slices.Clone(paths), func(p string) bool {
			_, err := os.Stat(p)
			return p == "" || err != nil
		})
		if len(there) == 0 {
			return check{Group: "configuration", Name: name, State: checkNote, Text: "none"}
		}
		return check{Group: "configuration", Name: name, State: checkNote, Text: strings.Join(there, ", ")}
	}
	conf, hosts, err := s.Config.Check()
	list := []check{note("registries.conf", conf), note("hosts.toml", hosts), note("certificates", s.Config.Certs), note("credentials", s.Auth.Files)}
	if err != nil {
		list = append(list, failedCheck(ctx, "configuration", "files", err))
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"} {
		if v := os.Getenv(name); v != "" {
			list = append(list, check{Group: "configuration", Name: name, State: checkNote, Text: withoutUser(v)})
		}
	}
	return list
}

// withoutUser drops a name and a password from a proxy's address.
func withoutUser(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if scheme != "" {
		return scheme + "://" + rest
	}
	return rest
}

// imageChecks are where an image comes from, and whether it can.
func imageChecks(ctx context.Context, u *ui, s imageSpec) []check {
	routes, err := fetch.Diagnose(ctx, s.Ref, s.Registry.options(uiHooks(u)))
	if err != nil {
		c := failedCheck(ctx, s.Ref, "configuration", err)
		c.Hint = "" // it would be to ask the doctor
		return []check{c}
	}
	if routes == nil {
		return localChecks(ctx, u, s)
	}
	var list []check
	found := false
	for i, r := range routes {
		list = append(list, routeChecks(ctx, s.Ref, r, found || leads(routes[i:]))...)
		found = found || works(r)
	}
	return list
}

// leads says whether the image can be had by one of the names that may be
// meant: all before that one must have been told not to be there.
func leads(routes []fetch.Route) bool {
	for _, r := range routes {
		if works(r) {
			return true
		}
		err := r.Servers[len(r.Servers)-1].Trial.Err
		if !errors.Is(err, fetch.ErrNotFound) {
			return false
		}
	}
	return false
}

// works says whether one of the servers gives the image.
func works(r fetch.Route) bool {
	return slices.ContainsFunc(r.Servers, func(s fetch.Server) bool { return s.Trial.Err == nil && s.Pull })
}

// localChecks are of an image that is in no registry.
func localChecks(ctx context.Context, u *ui, s imageSpec) []check {
	src, err := fetch.Open(ctx, s.Ref, s.Registry.options(uiHooks(u)))
	if err != nil {
		return []check{failedCheck(ctx, s.Ref, "open", err)}
	}
	defer src.Close()
	d, err := src.Resolve(ctx)
	if err != nil {
		return []check{failedCheck(ctx, s.Ref, "image", err)}
	}
	return []check{{Group: s.Ref, Name: "image", State: checkOK, Text: src.Name() + ", " + shortDigest(d.Digest.String())}}
}

// routeChecks are of one name. leads says whether the image can be had, from
// one of its servers or by another of the names that may be meant.
func routeChecks(ctx context.Context, group string, r fetch.Route, leads bool) []check {
	name := check{Group: group, Name: "name", State: checkNote, Text: r.Name}
	if r.Short != "" {
		name.Text += ", as " + r.Short + " says"
	}
	governed := check{Group: group, Name: "governed by", State: checkNote, Text: "nothing: it is where its name says"}
	if r.File != "" {
		governed.Text = strings.TrimSuffix(r.File+", "+r.Rule, ", ")
	}
	list := []check{name, governed}
	for _, s := range r.Servers {
		list = append(list, serverChecks(ctx, group, s, leads)...)
	}
	return list
}

// serverChecks are of one server. That a mirror is of no use is a pity; that
// the registry itself is, too, if nobody can do in its place.
func serverChecks(ctx context.Context, group string, s fetch.Server, spare bool) []check {
	t := s.Trial
	first := check{Group: group, Server: s.Host, Name: "registry", State: checkOK, Text: s.Host + s.Name}
	if s.Mirror {
		first.Name = "mirror"
	}
	if t.Err != nil {
		first.State = checkFailed
		if spare || s.Mirror {
			first.State = checkWarning
		}
		failed := failedCheck(ctx, group, "", t.Err)
		first.Text += ": " + failed.Text
		first.Hint, first.code = failed.Hint, failed.code
	} else if t.Digest != "" {
		first.Text += ": " + shortDigest(t.Digest.String())
	}
	list := []check{first}
	part := func(on bool, name string, v verdict, format string, a ...any) {
		if on {
			list = append(list, check{Group: group, Server: s.Host, Name: name, State: v, Text: fmt.Sprintf(format, a...), part: true})
		}
	}
	part(t.Scheme != "", "spoken", checkNote, "%s", t.Scheme)
	part(s.Unverified, "TLS", checkWarning, "its certificate is not looked at")
	part(len(s.Certs) > 0, "certificates", checkNote, "%s", strings.Join(s.Certs, ", "))
	part(s.Proxy != "", "proxy", checkNote, "%s", s.Proxy)
	part(!s.Pull, "may", checkNote, "say what tags point at, not give content")
	part(!s.Resolve, "may", checkNote, "give content, not say what tags point at")
	part(true, "credentials", checkNote, "%s%s", cmp.Or(s.Login, "none"), wanted(t.Auth))
	part(t.Ranges == fetch.Yes, "ranges", checkOK, "it gives parts of blobs")
	part(t.Ranges == fetch.No, "ranges", checkWarning, "it gave a whole blob for a part; a cache may do so the first time only")
	part(t.Referrers == fetch.Yes, "referrers", checkNote, "API")
	part(t.Referrers == fetch.No, "referrers", checkNote, "no API: by tags")
	return list
}

// wanted says what a server wanted to see.
func wanted(auth string) string {
	switch auth {
	case "none":
		return " (it asked for none)"
	case "basic":
		return " (it asked for a password)"
	case "bearer":
		return " (it asked for a token)"
	}
	return ""
}
