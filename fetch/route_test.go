package fetch_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// TestDiagnose says where a reference leads, and what is there.
func TestDiagnose(t *testing.T) {
	home := Start(t, Options{Auth: Auth{Mode: Bearer, Username: "u", Password: "s3cr3t"}, Referrers: ReferrersAPI{API: true}})
	pulls, down := Start(t, Options{CDN: true}), nowhere(t)
	var index string
	for _, reg := range []*Server{home, pulls} {
		d := reg.Push("a/b", "", Layer{Blob: noise(small)})
		index = reg.PushIndex("a/b", "t", d).Digest.String()
	}
	pulls.Use(On(CDN, IgnoreRange()))
	config := hostsToml(t, fmt.Sprintf("server='http://%s'\n[host.'http://%s']\n[host.'http://%s']\ncapabilities=['pull']\nskip_verify=true", home.Host, down, pulls.Host))
	file := filepath.Join(t.TempDir(), "auth.json")
	login(t, file, home.Host, "u", "s3cr3t")
	routes, err := fetch.Diagnose(context.Background(), "r.example/a/b:t", fetch.Options{Config: config, Auth: fetch.Auth{Username: "x", Password: "y", Files: []string{file}}})
	if err != nil || len(routes) != 1 || len(routes[0].Servers) != 3 {
		t.Fatal(routes, err)
	}
	r := routes[0]
	if r.Name != "r.example/a/b:t" || r.File != filepath.Join(config.Hosts[0], "_default", "hosts.toml") {
		t.Errorf("%+v", r)
	}
	first, second, last := r.Servers[0], r.Servers[1], r.Servers[2]
	checkErr(t, first.Trial.Err, fetch.ErrUnreachable)
	if !first.Mirror || first.Host != down || first.Login != "" || first.Trial.Scheme != "" {
		t.Errorf("%+v", first)
	}
	if second.Trial != (fetch.Trial{Scheme: "http", Auth: "none", Ranges: fetch.No}) || second.Resolve || !second.Unverified {
		t.Errorf("%+v", second)
	}
	if got := last.Trial; got.Err != nil || got.Auth != "bearer" || got.Ranges != fetch.Yes || got.Referrers != fetch.Yes || got.Digest.String() != index {
		t.Errorf("%+v", got)
	}
	if last.Mirror || last.Login != file+", "+home.Host || last.Name != "/a/b" {
		t.Errorf("%+v", last)
	}
	if strings.Contains(fmt.Sprintf("%+v", r), "s3cr3t") {
		t.Error("a secret is told")
	}
}

// TestDiagnoseConfig tells of the files that decide, also where they make no
// sense.
func TestDiagnoseConfig(t *testing.T) {
	reg := Start(t, Options{})
	reg.Push("a/b", "t", Layer{Blob: noise(small)})
	config := registriesConf(t, fmt.Sprintf("[aliases]\n'x'='short.example/a/b'\n[[registry]]\nprefix='short.example'\nlocation=%q\n[[registry]]\nlocation='bad.example'\nblocked=true", reg.Host))
	routes, err := fetch.Diagnose(context.Background(), "x:t", fetch.Options{Config: config})
	if err != nil || len(routes) != 1 || routes[0].Name != "short.example/a/b:t" || routes[0].Short != config.Registries[0] ||
		routes[0].File != config.Registries[0] || routes[0].Rule != `[[registry]] prefix "short.example"` {
		t.Fatal(routes, err)
	}
	if s := routes[0].Servers[0]; s.Host != reg.Host || s.Trial.Err != nil || s.Trial.Referrers != fetch.No {
		t.Errorf("%+v", s)
	}
	_, err = fetch.Diagnose(context.Background(), "bad.example/x", fetch.Options{Config: config})
	checkErr(t, err, fetch.ErrBlocked)
	if err == nil || !strings.Contains(err.Error(), config.Registries[0]) {
		t.Errorf("%v does not name the file", err)
	}
	if routes, err := fetch.Diagnose(context.Background(), "oci:/nowhere", fetch.Options{}); routes != nil || err != nil {
		t.Error(routes, err)
	}
}
