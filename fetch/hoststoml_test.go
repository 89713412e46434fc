package fetch

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestHosts follows what containerd's documentation says of hosts.toml, with
// its own examples.
func TestHosts(t *testing.T) {
	for _, c := range []struct{ name, toml, ref, want string }{
		{"simple", `
server = "https://docker.io"

[host."https://registry-1.docker.io"]
  capabilities = ["pull", "resolve"]
`, "docker.io/library/x:1", "registry-1.docker.io/library/x:1 itself | registry-1.docker.io/library/x:1"},
		{"local mirror", `
server = "https://registry-1.docker.io"    # Exclude this to not use upstream

[host."https://public-mirror.example.com"]
  capabilities = ["pull"]                  # Requires less trust, won't resolve tag to digest from this host
[host."https://docker-mirror.internal"]
  capabilities = ["pull", "resolve"]
  ca = "docker-mirror.crt"                 # Or absolute path
`, "x:1", "public-mirror.example.com/library/x:1 no resolve ns=docker.io | docker-mirror.internal/library/x:1 ns=docker.io | registry-1.docker.io/library/x:1"},
		{"default mirror", `
[host."https://registry.example.com"]
  capabilities = ["pull", "resolve"]
`, "quay.io/a/b:1", "registry.example.com/a/b:1 ns=quay.io | quay.io/a/b:1"},
		{"only the mirror", `server = "https://registry.example.com"`, "quay.io/a/b:1", "registry.example.com/a/b:1 ns=quay.io"},
		{"no verification", `
server = "https://registry-1.docker.io"

[host."http://192.168.31.250:5000"]
  capabilities = ["pull", "resolve", "push"]
  skip_verify = true
`, "x:1", "192.168.31.250:5000/library/x:1 unverified pushed to ns=docker.io | registry-1.docker.io/library/x:1"},
		{"all there is", `
[host."https://mirror.registry"]
  capabilities = ["pull"]
  ca = "/etc/certs/mirror.pem"
  skip_verify = false
  [host."https://mirror.registry".header]
    x-custom-2 = ["value1", "value2"]

[host."https://mirror-bak.registry/us"]
  capabilities = ["pull"]
  skip_verify = true

[host."http://mirror.registry"]
  capabilities = ["pull"]

[host."https://test-1.registry"]
  capabilities = ["pull", "resolve", "push"]
  ca = ["/etc/certs/test-1-ca.pem", "/etc/certs/special.pem"]
  client = [["/etc/certs/client.cert", "/etc/certs/client.key"],["/etc/certs/client.pem", ""]]

[host."https://test-2.registry"]
  client = "/etc/certs/client.pem"

[host."https://test-3.registry"]
  client = ["/etc/certs/client-1.pem", "/etc/certs/client-2.pem"]

[host."https://non-compliant-mirror.registry/v2/upstream"]
  capabilities = ["pull"]
  override_path = true
`, "r.io/x:1", "mirror.registry/x:1 no resolve ns=r.io | https://mirror-bak.registry/us/v2 x unverified no resolve ns=r.io" +
			" | mirror.registry/x:1 no resolve ns=r.io http | test-1.registry/x:1 pushed to ns=r.io | test-2.registry/x:1 ns=r.io" +
			" | test-3.registry/x:1 ns=r.io | https://non-compliant-mirror.registry/v2/upstream x no resolve ns=r.io | r.io/x:1"},
		{"order", "[host.'https://z']\n[host.'https://a']\n[host.'https://m']\n", "r.io/x:1", "z/x:1 ns=r.io | a/x:1 ns=r.io | m/x:1 ns=r.io | r.io/x:1"},
		{"inline", `host = {"https://z" = {}, "https://a" = {capabilities = ["pull"]}}`, "r.io/x:1", "z/x:1 ns=r.io | a/x:1 no resolve ns=r.io | r.io/x:1"},
		{"dotted", "host.'https://z'.skip_verify = true\nhost.'https://a'.skip_verify = false", "r.io/x:1", "z/x:1 unverified ns=r.io | a/x:1 ns=r.io | r.io/x:1"},
		{"no scheme", "server = 'r.example'", "r.io/x:1", "r.example/x:1 ns=r.io"},
		{"a path with /v2", "server = 'https://r.example/proxy/v2/'", "r.io/x:1", "https://r.example/proxy/v2 x ns=r.io"},
		{"a server that may not resolve", "capabilities = ['pull']", "r.io/x:1", "r.io/x:1 no resolve no push"},
		{"a server that may only resolve", "capabilities = ['resolve']", "r.io/x:1", "r.io/x:1 no pull no push"},
		{"unknown keys are containerd's own", "x = 1\n[host.'https://m']\ny = 2", "r.io/x:1", "m/x:1 ns=r.io | r.io/x:1"},
		{"empty", "", "r.io/x:1", "r.io/x:1"},

		{"not TOML", "[host", "r.io/x:1", "error: line 1"},
		{"no such capability", "[host.'https://m']\ncapabilities=['fly']", "r.io/x:1", "error: not pull, resolve or push"},
		{"no such type", "ca = 3", "r.io/x:1", "error: ca"},
		{"no such pair", "client = [['a','b','c']]", "r.io/x:1", "error: client"},
		{"no such header", "[header]\nx = 3", "r.io/x:1", "error: header"},
		{"no such time", "dial_timeout = 'soon'", "r.io/x:1", "error: dial_timeout"},
		{"no such proxy", "proxy = 'ftp://p'", "r.io/x:1", "error: proxy"},
		{"no host", "server = 'https:///x'", "r.io/x:1", "error: server"},
		{"a password", "server = 'https://u:pa55word@h'", "r.io/x:1", "error: server"},
		{"a URL that is none", "[host.'http://[']", "r.io/x:1", "error: host"},
	} {
		dir := tree(t, map[string]string{"_default/hosts.toml": c.toml})
		got := led(t, Config{Hosts: []string{dir}}, c.ref)
		if what, ok := strings.CutPrefix(c.want, "error: "); ok {
			if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, what) || !strings.Contains(got, dir) || strings.Contains(got, "pa55word") {
				t.Errorf("%s: %s, want an error about %q that names the file", c.name, got, what)
			}
		} else if got != c.want {
			t.Errorf("%s: %s leads to\n%s, want\n%s", c.name, c.ref, got, c.want)
		}
	}
}

// TestHostsFiles reads the paths, headers and the like of a hosts.toml.
func TestHostsFiles(t *testing.T) {
	const text = `
ca = ["ca.pem", "/etc/ca.pem"]
client = [["a.cert", "a.key"], ["b.pem", ""], "c.pem"]
dial_timeout = "1s"
proxy = "http://my-proxy:8080"
[header]
  x-custom-1 = "custom header"
  x-custom-2 = ["custom header part a","part b"]
`
	ref, err := parseRegistry("r.io/x:1")
	if err != nil {
		t.Fatal(err)
	}
	list, err := parseHosts([]byte(text), "/d", ref)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	e := list[0]
	got := fmt.Sprintln(e.ca, e.client, e.dialTimeout, e.proxy, e.header)
	want := "[/d/ca.pem /etc/ca.pem] [[/d/a.cert /d/a.key] [/d/b.pem /d/b.pem] [/d/c.pem /d/c.pem]] 1s http://my-proxy:8080 map[X-Custom-1:[custom header] X-Custom-2:[custom header part a part b]]\n"
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestHostsDirectory finds a host's directory as containerd does, and takes
// what governs: registries.conf, where it has the reference, or else this.
func TestHostsDirectory(t *testing.T) {
	dir := tree(t, map[string]string{
		"a/myregistry.io_5000_/hosts.toml": "server = 'https://under.score'",
		"a/myregistry.io:5000/hosts.toml":  "server = 'https://co.lon'",
		"a/other.io:5000/hosts.toml":       "server = 'https://co.lon'",
		"a/plain.io/hosts.toml":            "server = 'https://pla.in'",
		"a/_default/hosts.toml":            "server = 'https://de.fault'",
		"b/second.io/hosts.toml":           "server = 'https://sec.ond'",
		"c/second.io/hosts.toml":           "server = 'https://thi.rd'",
		"registries.conf":                  "[[registry]]\nprefix='plain.io/team'\nlocation='r.io'",
	})
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	conf := []string{filepath.Join(dir, "registries.conf")}
	for _, x := range []struct {
		config    Config
		ref, want string
	}{
		{Config{Hosts: []string{a}}, "myregistry.io:5000/x:1", "under.score/x:1 ns=myregistry.io:5000"},
		{Config{Hosts: []string{a}}, "other.io:5000/x:1", "co.lon/x:1 ns=other.io:5000"},
		{Config{Hosts: []string{a}}, "plain.io/x:1", "pla.in/x:1 ns=plain.io"},
		{Config{Hosts: []string{a}}, "plain.io:5000/x:1", "de.fault/x:1 ns=plain.io:5000"},
		{Config{Hosts: []string{a}}, "[::1]:5000/x:1", "de.fault/x:1 ns=[::1]:5000"},
		{Config{Hosts: []string{b, c}}, "second.io/x:1", "sec.ond/x:1 ns=second.io"},
		{Config{Hosts: []string{b, c}}, "third.io/x:1", "third.io/x:1"},
		{Config{Hosts: []string{a + "none"}}, "third.io/x:1", "third.io/x:1"},
		{Config{Hosts: []string{a}, Registries: conf}, "plain.io/team/x:1", "r.io/x:1"},
		{Config{Hosts: []string{a}, Registries: conf}, "plain.io/x:1", "pla.in/x:1 ns=plain.io"},
	} {
		if got := led(t, x.config, x.ref); got != x.want {
			t.Errorf("%s leads to %s, want %s", x.ref, got, x.want)
		}
	}
}

// TestCertsDirectory finds certificates where Docker and Podman keep them.
func TestCertsDirectory(t *testing.T) {
	dir := tree(t, map[string]string{
		"first/my-registry.com:5000/client.cert": "", "first/my-registry.com:5000/client.key": "", "first/my-registry.com:5000/ca.crt": "",
		"first/my-registry.com:5000/README": "",
		"second/my-registry.com:5000/x.crt": "", "second/my-registry.com/y.crt": "",
		"bad/nokey.io/c.cert": "", "bad/nocert.io/c.key": "",
		"hosts/h.io/h.crt": "", "second/h.io/x.crt": "",
		"hosts/m.io/hosts.toml": "[host.'https://my-registry.com:5000']\n[host.'https://o.io']\nca='o.pem'", "second/o.io/x.crt": "",
	})
	c := Config{
		Certs: []string{filepath.Join(dir, "first"), filepath.Join(dir, "second"), filepath.Join(dir, "bad")},
		Hosts: []string{filepath.Join(dir, "hosts")},
	}
	for ref, want := range map[string]string{
		"my-registry.com:5000/x:1": "[first/my-registry.com:5000/ca.crt] [[first/my-registry.com:5000/client.cert first/my-registry.com:5000/client.key]]",
		"my-registry.com/x:1":      "[second/my-registry.com/y.crt] []",
		"my-registry.com:443/x:1":  "[] []",
		"h.io/x:1":                 "[hosts/h.io/h.crt] []",
		"m.io/x:1":                 "[first/my-registry.com:5000/ca.crt] [[first/my-registry.com:5000/client.cert first/my-registry.com:5000/client.key]] [hosts/m.io/o.pem] [] [] []",
		"nokey.io/x:1":             "bad/nokey.io/c.cert: there is no c.key",
		"nocert.io/x:1":            "bad/nocert.io/c.key: there is no c.cert",
	} {
		r, err := parseRegistry(ref)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		plans, _, _, err := c.plans(r)
		if err != nil {
			list = []string{err.Error()}
		} else {
			for _, e := range plans[0].endpoints {
				list = append(list, fmt.Sprint(e.ca, e.client))
			}
		}
		if got := strings.ReplaceAll(strings.Join(list, " "), dir+"/", ""); got != want && (err == nil || !strings.HasPrefix(got, want)) {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
	}
}

func FuzzHosts(f *testing.F) {
	f.Add([]byte("server = 'https://registry-1.docker.io'\n[host.'https://m.io/us']\ncapabilities=['pull']\nca='x'\n[host.'https://m.io/us'.header]\nx=['a','b']"), "x")
	f.Add([]byte("[host.'http://192.168.31.250:5000']\nskip_verify=true\noverride_path=true\nclient=[['a','b'],'c']"), "a.io/x:1")
	f.Add([]byte("host = {'https://z' = {}, 'a' = {proxy='http://p', dial_timeout='1s'}}"), "a.io/x:1")
	f.Fuzz(func(t *testing.T, body []byte, name string) {
		if len(body) > 4<<10 {
			return // depth costs the library more than its square
		}
		ref, err := parseRegistry(name)
		if err != nil {
			return
		}
		list, err := parseHosts(body, "/d", ref)
		if err == nil && len(list) == 0 {
			t.Error("nowhere to go")
		}
		for _, e := range list {
			if e.host == "" || e.ref.repo != ref.repo || strings.HasSuffix(e.root, "/") || len(e.schemes) > 0 && e.schemes[0] != "http" && e.schemes[0] != "https" {
				t.Errorf("%+v", e)
			}
		}
	})
}
