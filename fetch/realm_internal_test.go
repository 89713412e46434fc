package fetch

import "testing"

// TestRelated says which token servers are a registry's own.
func TestRelated(t *testing.T) {
	for _, c := range []struct {
		registry, realm string
		want            bool
	}{
		{"registry-1.docker.io", "auth.docker.io", true},
		{"registry-1.docker.io", "auth.docker.io.evil.com", false},
		{"registry-1.docker.io", "docker.com", false},
		{"registry-1.docker.io", "127.0.0.1", false},
		{"registry-1.docker.io", "gitlab.corp", false},
		{"ghcr.io", "ghcr.io", true},
		{"ghcr.io", "GHCR.IO.", true},
		{"registry.gitlab.com", "gitlab.com", true},
		{"registry.digitalocean.com", "api.digitalocean.com", true},
		{"registry.cn-hangzhou.aliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com", true},
		{"rg.fr-par.scw.cloud", "api.scaleway.com", false}, // to be listed
		{"registry.example.co.uk", "auth.example.co.uk", true},
		{"registry.example.co.uk", "auth.evil.co.uk", false},
		{"example.com", "evil.com", false},
		{"alice.github.io", "mallory.github.io", false}, // tenants of one domain
		{"io", "docker.io", false},
		{"203.0.113.5", "203.0.113.5", true},
		{"203.0.113.5", "203.0.113.6", false},
		{"203.0.113.5", "10.0.0.1", false},
		{"127.0.0.1", "localhost", true},
		{"10.0.0.5", "10.0.0.6", true},
		{"10.0.0.5", "gitlab.corp", true},
		{"10.0.0.5", "::ffff:192.168.0.1", true},
		{"10.0.0.5", "auth.example.com", false},
		{"registry.corp", "gitlab.corp", true},
		{"registry.corp", "keycloak.lan", true},
		{"registry.corp", "evil.com", false},
		{"registry", "tokens", true},
		{"registry", "evil.com", false},
		{"registry.local", "", true},
	} {
		if got := related(c.registry, c.realm); got != c.want {
			t.Errorf("credentials for %s to %s: %v, want %v", c.registry, c.realm, got, c.want)
		}
	}
}
