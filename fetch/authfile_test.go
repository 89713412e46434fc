package fetch

import (
	"context"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// authManual is what containers-auth.json(5) shows, and Docker's manual of
// credential stores, with credentials that can be told apart.
var authManual = map[string]string{
	"logged in to two": `{
	"auths": {
		"docker.io": {
			"auth": "` + b64("hub:pw") + `"
		},
		"quay.io": {
			"auth": "` + b64("quay:pw") + `"
		}
	}
}`,
	"several paths": `{
	"auths": {
		"my-registry.local/foo/bar/image": {
			"auth": "` + b64("image:pw") + `"
		},
		"my-registry.local/foo": {
			"auth": "` + b64("foo:pw") + `"
		},
		"my-registry.local": {
			"auth": "` + b64("all:pw") + `"
		}
	}
}`,
	"helpers": `{
    "auths": {
        "localhost:5001": {}
    },
    "credHelpers": {
		"registry.example.com": "secretservice"
	}
}`,
	"Docker": `{
	"auths": {
		"https://index.docker.io/v1/": {
			"auth": "` + b64("docker:pw") + `"
		}
	},
	"credsStore": "osxkeychain",
	"HttpHeaders": { "User-Agent": "Docker-Client/19.03.12 (linux)" }
}`,
}

// TestAuthFile follows the manuals.
func TestAuthFile(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no helper is installed
	for _, c := range []struct {
		file, ref, user string
		warnings        int
	}{
		{"logged in to two", "quay.io/a/b", "quay", 0},
		{"logged in to two", "docker.io/library/alpine", "hub", 0},
		{"logged in to two", "ghcr.io/a/b", "", 0},
		{"several paths", "my-registry.local/foo/bar/image:latest", "image", 0},
		{"several paths", "my-registry.local/foo/bar/other", "foo", 0},
		{"several paths", "my-registry.local/foo", "foo", 0},
		{"several paths", "my-registry.local/other/image", "all", 0},
		{"helpers", "localhost:5001/x", "", 0},
		{"helpers", "registry.example.com/x", "", 1},
		{"Docker", "docker.io/library/alpine", "docker", 0},
		{"Docker", "quay.io/a/b", "", 1},
	} {
		got, warnings := find(t, c.ref, Auth{}, authManual[c.file])
		if got.Username != c.user || len(warnings) != c.warnings {
			t.Errorf("%s: %s is %q, want %q; %q", c.file, c.ref, got.Username, c.user, warnings)
		}
	}
}

func FuzzAuthFile(f *testing.F) {
	for _, body := range authManual {
		f.Add([]byte(body), "my-registry.local/foo/bar/image")
	}
	f.Add([]byte(`{"auths":{"https://h.io":{"identitytoken":"t"}},"credHelpers":{"h.io":"x y"}}`), "h.io/x")
	f.Setenv("PATH", f.TempDir()) // no helper is to be found
	f.Fuzz(func(t *testing.T, body []byte, name string) {
		ref, err := parseRegistry(name)
		if err != nil {
			return
		}
		k := &keychain{auth: Auth{Files: []string{write(t, "auth.json", string(body), 0o600)}}, ref: ref, warn: func(s string) {
			if strings.ContainsAny(clean(s), "\n\x1b") {
				t.Errorf("not a line: %q", s)
			}
		}}
		if c, from := k.look(context.Background()); (c == auth.EmptyCredential) != (from == "") {
			t.Errorf("%+v is from %q", c, from)
		}
	})
}
