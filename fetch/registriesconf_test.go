package fetch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree puts files, by their paths below a directory of the test's, and
// returns that directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tell lists where a plan leads, in a line: the last one is the place itself.
func tell(p plan) string {
	var list []string
	for _, e := range p.endpoints {
		s := e.host + "/" + strings.TrimPrefix(e.ref.String(), e.ref.domain+"/")
		if e.root != "/v2" {
			s = strings.Join(e.schemes, ",") + "://" + e.host + e.root + " " + e.ref.repo
		}
		for _, flag := range []struct {
			on   bool
			name string
		}{
			{e.insecure, "insecure"}, {e.skipVerify, "unverified"}, {!e.pull, "no pull"}, {!e.resolve, "no resolve"}, {!e.push && !e.mirror, "no push"}, {e.push && e.mirror, "pushed to"},
			{e.ns != "", "ns=" + e.ns}, {slices.Equal(e.schemes, []string{"http"}), "http"}, {e.named && e.mirror, "itself"},
		} {
			if flag.on {
				s += " " + flag.name
			}
		}
		list = append(list, s)
	}
	return strings.Join(list, " | ")
}

// led is where a reference leads by a configuration, or the error.
func led(t *testing.T, c Config, ref string) string {
	t.Helper()
	r, err := parseRegistry(ref)
	if err != nil {
		t.Fatal(err)
	}
	plans, _, _, err := c.plans(r)
	if err != nil {
		return "error: " + err.Error()
	}
	var list []string
	for _, p := range plans {
		list = append(list, tell(p))
	}
	return strings.Join(list, " || ")
}

// manual is the example of containers-registries.conf(5).
const manual = `
unqualified-search-registries = ["example.com"]

[[registry]]
prefix = "example.com/foo"
insecure = false
blocked = false
location = "internal-registry-for-example.com/bar"

[[registry.mirror]]
location = "example-mirror-0.local/mirror-for-foo"

[[registry.mirror]]
location = "example-mirror-1.local/mirrors/foo"
insecure = true

[[registry]]
location = "registry.com"

[[registry.mirror]]
location = "mirror.registry.com"
`

// TestRegistriesConf follows what containers-registries.conf(5) says, with its
// own examples.
func TestRegistriesConf(t *testing.T) {
	at := "@" + string(someDigest)
	for _, c := range []struct{ conf, ref, want string }{
		{manual, "example.com/foo/image:latest", "example-mirror-0.local/mirror-for-foo/image:latest | example-mirror-1.local/mirrors/foo/image:latest insecure | internal-registry-for-example.com/bar/image:latest"},
		{manual, "registry.com/image:latest", "mirror.registry.com/image:latest | registry.com/image:latest"},
		{manual, "example.com/foobar:1", "example.com/foobar:1"},
		{manual, "example.com/foo:1", "example-mirror-0.local/mirror-for-foo:1 | example-mirror-1.local/mirrors/foo:1 insecure | internal-registry-for-example.com/bar:1"},
		{manual, "image", "example.com/image:latest"},
		{manual, "quay.io/x/y:1", "quay.io/x/y:1"},
		// choosing a table: the longest prefix, a whole part of the name
		{"[[registry]]\nlocation='a.io'\ninsecure=true\n[[registry]]\nprefix='a.io/x'\nlocation='b.io/y'", "a.io/x/z:1", "b.io/y/z:1"},
		{"[[registry]]\nlocation='a.io'\ninsecure=true\n[[registry]]\nprefix='a.io/x'\nlocation='b.io/y'", "a.io/xx/z:1", "a.io/xx/z:1 insecure"},
		{"[[registry]]\nlocation='a.io'\ninsecure=true", "a.io:5000/x:1", "a.io:5000/x:1"},
		{"[[registry]]\nlocation='a.io:5000'\ninsecure=true", "a.io:5000/x:1", "a.io:5000/x:1 insecure"},
		{"[[registry]]\nprefix='a.io/x:1'\nlocation='b.io/x:2'", "a.io/x:1", "b.io/x:2"},
		{"[[registry]]\nprefix='a.io/x:1'\nlocation='b.io/x:2'", "a.io/x:11", "a.io/x:11"},
		{"[[registry]]\nprefix='a.io/'\nlocation='b.io/'", "a.io/x:1", "b.io/x:1"},
		{"[[registry]]\nprefix='a.io'\nlocation='b.io/a'", "a.io/x" + at, "b.io/a/x" + at},
		// the same prefix twice: the first counts
		{"[[registry]]\nlocation='a.io'\ninsecure=true\n[[registry]]\nprefix='a.io'\nlocation='b.io'", "a.io/x:1", "a.io/x:1 insecure"},
		// wildcards
		{"[[registry]]\nprefix='*.example.com'\ninsecure=true", "blah.example.com/foo/myimage:latest", "blah.example.com/foo/myimage:latest insecure"},
		{"[[registry]]\nprefix='*.example.com'\ninsecure=true", "foo.bar.example.com/x:1", "foo.bar.example.com/x:1 insecure"},
		{"[[registry]]\nprefix='*.example.com'\ninsecure=true", "example.com/x:1", "example.com/x:1"},
		{"[[registry]]\nprefix='*.example.com'\ninsecure=true", "blah.example.com.evil.org/x:1", "blah.example.com.evil.org/x:1"},
		{"[[registry]]\nprefix='*.example.com'\ninsecure=true", "evil.org/a.example.com/x:1", "evil.org/a.example.com/x:1"},
		{"[[registry]]\nlocation='a.example.com'\n[[registry]]\nprefix='*.example.com'\ninsecure=true", "a.example.com/x:1", "a.example.com/x:1 insecure"},
		{"[[registry]]\nlocation='ab.example.com'\n[[registry]]\nprefix='*.example.com'\ninsecure=true", "ab.example.com/x:1", "ab.example.com/x:1"},
		{"[[registry]]\nprefix='*.example.com'\nlocation='all.org/e'", "blah.example.com/foo:1", "all.org/e/foo:1"},
		{"[[registry]]\nprefix='example.*.com'\nlocation='b.io'", "x/y:1", "error: wildcard"},
		{"[[registry]]\nprefix='*.example.com/foo'\nlocation='b.io'", "x/y:1", "error: wildcard"},
		{"[[registry]]\nprefix='*.example.com:5000/foo/bar:baz'\nlocation='b.io'", "x/y:1", "error: wildcard"},
		// Docker Hub has a namespace of its own
		{"[[registry]]\nprefix='docker.io/library/alpine'\nlocation='m.io/alpine'", "docker.io/alpine:3", "m.io/alpine:3"},
		{"[[registry]]\nprefix='docker.io/alpine'\nlocation='m.io/alpine'", "docker.io/alpine:3", "registry-1.docker.io/library/alpine:3"},
		{"[[registry]]\nlocation='docker.io'\n[[registry.mirror]]\nlocation='m.io'", "alpine:3", "m.io/library/alpine:3 | registry-1.docker.io/library/alpine:3"},
		// mirrors for tags and for digests
		{"[[registry]]\nlocation='a.io'\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation='m.io'", "a.io/x:1", "a.io/x:1"},
		{"[[registry]]\nlocation='a.io'\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation='m.io'", "a.io/x" + at, "m.io/x" + at + " | a.io/x" + at},
		{"[[registry]]\nlocation='a.io'\n[[registry.mirror]]\nlocation='m.io'\npull-from-mirror='tag-only'\n[[registry.mirror]]\nlocation='n.io'\npull-from-mirror='digest-only'\n[[registry.mirror]]\nlocation='o.io'\npull-from-mirror='all'", "a.io/x:1", "m.io/x:1 | o.io/x:1 | a.io/x:1"},
		{"[[registry]]\nlocation='a.io'\n[[registry.mirror]]\nlocation='m.io'\npull-from-mirror='tag-only'\n[[registry.mirror]]\nlocation='n.io'\npull-from-mirror='digest-only'", "a.io/x" + at, "n.io/x" + at + " | a.io/x" + at},
		{"[[registry]]\nlocation='a.io'\n[[registry.mirror]]\nlocation='m.io'\nnamespace-proxy='a.io'", "a.io/x:1", "m.io/x:1 ns=a.io | a.io/x:1"},
		{"[[registry]]\nlocation='a.io'\nblocked=true", "a.io/x:1", "error: blocked"},
		{"[[registry]]\nlocation='a.io'\nblocked=true", "b.io/x:1", "b.io/x:1"},
		// what makes no sense
		{"[registries.search]\nregistries = ['registry1.com', 'registry2.com']\n[registries.insecure]\nregistries = ['registry3.com']", "x/y", "error: version 1"},
		{"[[registry]]\ninsecure=true", "x/y", "error: neither prefix nor location"},
		{"[[registry]]\nprefix='a.io'", "x/y", "error: no location"},
		{"[[registry]]\nlocation='https://a.io'", "x/y", "error: no scheme"},
		{"[[registry]]\nlocation='a.io'\n[[registry.mirror]]\ninsecure=true", "x/y", "error: without a location"},
		{"[[registry]]\nlocation='a.io'\n[[registry.mirror]]\nlocation='m.io'\npull-from-mirror='never'", "x/y", "error: not all, digest-only or tag-only"},
		{"[[registry]]\nlocation='a.io'\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation='m.io'\npull-from-mirror='all'", "x/y", "error: exclude"},
		{"[[registry]]\nprefix='a.io'\nlocation='team/x'", "a.io/y:1", "error: names no registry"},
		{"short-name-mode='sometimes'", "x/y", "error: short-name-mode"},
		{"unqualified-search-registries=['a.io/team']", "x/y", "error: not a registry's name"},
		{"x = [", "x/y", "error: line 1"},
		{"[[registry]]\nlocation=3", "x/y", "error: location"},
	} {
		dir := tree(t, map[string]string{"registries.conf": c.conf})
		got := led(t, Config{Registries: []string{filepath.Join(dir, "registries.conf")}}, c.ref)
		if what, ok := strings.CutPrefix(c.want, "error: "); ok {
			if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, what) || !strings.Contains(got, dir) {
				t.Errorf("%q\n%s: %s, want an error about %q that names the file", c.conf, c.ref, got, what)
			}
		} else if got != c.want {
			t.Errorf("%q\n%s leads to\n%s, want\n%s", c.conf, c.ref, got, c.want)
		}
	}
}

// TestShortNames says what names without a registry mean.
func TestShortNames(t *testing.T) {
	const aliases = "[aliases]\n'alpine'='a.io/team/alpine'\n'team/app'='b.io/app'\n"
	for _, c := range []struct{ conf, ref, want string }{
		{"", "alpine", "registry-1.docker.io/library/alpine:latest"},
		{"", "team/app:1", "registry-1.docker.io/team/app:1"},
		{aliases, "alpine", "a.io/team/alpine:latest"},
		{aliases, "alpine:3", "a.io/team/alpine:3"},
		{aliases, "alpine@" + string(someDigest), "a.io/team/alpine@" + string(someDigest)},
		{aliases, "team/app", "b.io/app:latest"},
		{aliases, "docker.io/library/alpine", "registry-1.docker.io/library/alpine:latest"},
		{aliases, "docker.io/alpine", "registry-1.docker.io/library/alpine:latest"},
		{aliases, "other", "registry-1.docker.io/library/other:latest"},
		{"unqualified-search-registries=['s.io']", "x:1", "s.io/x:1"},
		{"unqualified-search-registries=['docker.io']", "x:1", "registry-1.docker.io/library/x:1"},
		{"unqualified-search-registries=['s.io','localhost:5000']", "x:1", "s.io/x:1 || localhost:5000/x:1"},
		{"unqualified-search-registries=['s.io','docker.io']\nshort-name-mode='disabled'", "x:1", "s.io/x:1 || registry-1.docker.io/library/x:1"},
		{"unqualified-search-registries=['s.io','docker.io']\nshort-name-mode='enforcing'", "x:1", "error: any of s.io, docker.io"},
		{"unqualified-search-registries=['s.io','docker.io']\nshort-name-mode='enforcing'\n" + aliases, "alpine:1", "a.io/team/alpine:1"},
		{"unqualified-search-registries=['s.io']\nshort-name-mode='enforcing'", "x:1", "s.io/x:1"},
		{"unqualified-search-registries=[]", "x:1", "error: short name"},
		{"unqualified-search-registries=[]", "docker.io/library/x:1", "registry-1.docker.io/library/x:1"},
		{"[aliases]\n'x:1'='a.io/x'", "x", "error: not a short name"},
		{"[aliases]\n'a.io/x'='a.io/x'", "x", "error: not a short name"},
		{"[aliases]\n'x'='a.io/x:1'", "x", "error: without a tag"},
		{"[aliases]\n'x'='team/x'", "x", "error: with a registry"},
		{"unqualified-search-registries=['s.io']\n[[registry]]\nprefix='s.io'\nlocation='t.io/s'", "x:1", "t.io/s/x:1"},
	} {
		dir := tree(t, map[string]string{"registries.conf": c.conf})
		got := led(t, Config{Registries: []string{filepath.Join(dir, "registries.conf")}}, c.ref)
		if what, ok := strings.CutPrefix(c.want, "error: "); ok {
			if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, what) || !strings.Contains(got, dir) {
				t.Errorf("%q\n%s: %s, want an error about %q that names the file", c.conf, c.ref, got, what)
			}
		} else if got != c.want {
			t.Errorf("%q\n%s leads to %s, want %s", c.conf, c.ref, got, c.want)
		}
	}
}

// TestNamesInFull has all that a Source tells of itself be about what a short
// name, or a path, stands for.
func TestNamesInFull(t *testing.T) {
	t.Chdir(tree(t, map[string]string{"registries.conf": "[aliases]\n'app'='a.io/team/app'\n", "l/index.json": "{}"}))
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	by := "@" + string(someDigest)
	for ref, want := range map[string][3]string{
		"app":                     {"a.io/team/app:latest", "a.io/team/app" + by, "a.io/team/app"},
		"app" + by:                {"a.io/team/app" + by, "a.io/team/app" + by, "a.io/team/app"},
		"docker.io/library/app:1": {"docker.io/library/app:1", "docker.io/library/app" + by, "docker.io/library/app"},
		"oci:l:t":                 {"oci:l:t", "oci:l" + by, "oci:" + filepath.Join(wd, "l")},
	} {
		s, err := Open(t.Context(), ref, Options{Config: Config{Registries: []string{"registries.conf"}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]string{s.Name(), s.At(someDigest), s.Home()}; got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
		s.Close()
	}
}

// TestDropIns lays files over one another as containers-registries.conf(5)
// says: the first registries.conf there is, then drop-ins by name.
func TestDropIns(t *testing.T) {
	dir := tree(t, map[string]string{
		"etc/registries.conf":                "unqualified-search-registries=['etc.io']\n[[registry]]\nlocation='a.io'\ninsecure=true\n[[registry]]\nlocation='b.io'\n[aliases]\n'x'='etc.io/x'\n'y'='etc.io/y'",
		"usr/registries.conf":                "unqualified-search-registries=['usr.io']",
		"usr/rootless.d/50-middle.conf":      "unqualified-search-registries=['middle.io']\n[aliases]\n'x'=''",
		"etc/rootless.d/20-first.conf":       "unqualified-search-registries=['first.io']\n[[registry]]\nlocation='a.io'",
		"etc/rootless.d/70-last.conf":        "[aliases]\n'z'='last.io/z'",
		"etc/registries.conf.d/70-last.conf": "[aliases]\n'z'='hidden.io/z'",
		"etc/registries.conf.d/readme":       "not TOML",
		"aliases":                            "[aliases]\n'y'='mine.io/y'",
		"override":                           "short-name-mode='enforcing'\n[[registry]]\nprefix='b.io'\nlocation='c.io'",
	})
	in := func(names ...string) (list []string) {
		for _, name := range names {
			list = append(list, filepath.Join(dir, name))
		}
		return list
	}
	c := Config{
		Registries: in("home/registries.conf", "etc/registries.conf", "usr/registries.conf"),
		DropIns:    in("home/registries.conf.d", "etc/rootless.d", "etc/registries.conf.d", "usr/rootless.d"),
		Override:   in("override")[0],
		Aliases:    in("aliases")[0],
	}
	files, err := c.registriesFiles()
	want := in("etc/registries.conf", "etc/rootless.d/20-first.conf", "usr/rootless.d/50-middle.conf", "etc/rootless.d/70-last.conf", "override", "aliases")
	if err != nil || !slices.Equal(files, want) {
		t.Errorf("read %v, %v, want %v", files, err, want)
	}
	for ref, want := range map[string]string{
		"a.io/i:1": "a.io/i:1",
		"b.io/i:1": "c.io/i:1",
		"i:1":      "middle.io/i:1",
		"x:1":      "middle.io/x:1",
		"y:1":      "mine.io/y:1",
		"z:1":      "last.io/z:1",
	} {
		if got := led(t, c, ref); got != want {
			t.Errorf("%s leads to %s, want %s", ref, got, want)
		}
	}
	c.Needed = in("home/registries.conf")
	if _, err := c.registriesFiles(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that somebody asked for: %v", err)
	}
}

// TestDefaultConfig looks where Podman, containerd and Docker do.
func TestDefaultConfig(t *testing.T) {
	env := map[string]string{}
	getenv := func(key string) string { return env[key] }
	root := DefaultConfig(getenv, "/root", 0)
	user := DefaultConfig(getenv, "/home/u", 1000)
	for _, c := range []struct{ got, want any }{
		{root.Registries, []string{"/root/.config/containers/registries.conf", "/etc/containers/registries.conf", "/usr/share/containers/registries.conf"}},
		{root.DropIns, []string{"/root/.config/containers/registries.conf.d", "/etc/containers/registries.rootful.conf.d", "/etc/containers/registries.conf.d", "/usr/share/containers/registries.rootful.conf.d", "/usr/share/containers/registries.conf.d"}},
		{user.DropIns, []string{
			"/home/u/.config/containers/registries.conf.d", "/etc/containers/registries.rootless.conf.d/1000", "/etc/containers/registries.rootless.conf.d", "/etc/containers/registries.conf.d",
			"/usr/share/containers/registries.rootless.conf.d/1000", "/usr/share/containers/registries.rootless.conf.d", "/usr/share/containers/registries.conf.d",
		}},
		{root.Certs, []string{"/root/.config/containers/certs.d", "/etc/containers/certs.rootful.d", "/etc/containers/certs.d", "/usr/share/containers/certs.rootful.d", "/usr/share/containers/certs.d", "/etc/docker/certs.d"}},
		{root.Hosts, []string{"/etc/containerd/certs.d"}},
		{user.Hosts, []string{"/home/u/.config/containerd/certs.d", "/etc/containerd/certs.d"}},
		{root.Aliases, "/var/cache/containers/short-name-aliases.conf"},
		{user.Aliases, "/home/u/.cache/containers/short-name-aliases.conf"},
	} {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
	env["CONTAINERS_REGISTRIES_CONF"], env["CONTAINERS_REGISTRIES_CONF_OVERRIDE"], env["XDG_CONFIG_HOME"] = "/x", "/y", "/c"
	user = DefaultConfig(getenv, "", 1000)
	if got := fmt.Sprintln(user.Registries, user.DropIns, user.Needed, user.Override, user.Hosts[0], user.Aliases); got != "[/x] [] [/x] /y /c/containerd/certs.d \n" {
		t.Errorf("with variables: %s", got)
	}
}

func FuzzRegistriesConf(f *testing.F) {
	f.Add([]byte(manual), "example.com/foo/image:latest")
	f.Add([]byte("[aliases]\n'alpine'='a.io/alpine'\n[[registry]]\nprefix='*.a.io'\nlocation='b.io'"), "alpine")
	f.Add([]byte("[[registry]]\nlocation='a.io'\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation='m.io'"), "a.io/x@"+string(someDigest))
	f.Add([]byte("[registries.search]\nregistries = ['registry1.com']"), "x")
	f.Fuzz(func(t *testing.T, body []byte, name string) {
		if len(body) > 4<<10 {
			return // depth costs the library more than its square
		}
		conf, err := parseRegistriesConf(body, "f")
		if err != nil {
			return
		}
		ref, err := parseRegistry(name)
		if err != nil {
			return
		}
		list, _, err := conf.names(ref)
		if err != nil {
			return
		}
		for _, ref := range list {
			r, ok := conf.find(ref.String())
			if !ok {
				continue
			}
			endpoints, err := r.endpoints(ref)
			if err != nil {
				continue
			}
			for _, e := range endpoints {
				if e.host == "" || e.ref.tag != ref.tag && !strings.Contains(r.Prefix, ":") || e.ref.repo == "" {
					t.Errorf("%s leads to %+v", ref, e)
				}
			}
		}
	})
}
