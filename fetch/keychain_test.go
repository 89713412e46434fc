package fetch

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func write(t *testing.T, name, body string, mode os.FileMode) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(body), mode); err != nil {
		t.Fatal(err)
	}
	return name
}

// find looks up the credential for ref in files with the given contents.
func find(t *testing.T, ref string, o Auth, files ...string) (auth.Credential, []string) {
	t.Helper()
	r, err := ParseReference("docker://" + ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range files {
		o.Files = append(o.Files, write(t, "config.json", body, 0o600))
	}
	var warnings []string
	k := &keychain{auth: o, ref: r, warn: func(s string) { warnings = append(warnings, s) }}
	c, err := k.find(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := k.find(context.Background()); again != c {
		t.Errorf("%v first, then %v", c, again)
	}
	return c, warnings
}

func TestKeychain(t *testing.T) {
	entry := func(key, user string) string {
		return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, key, b64(user+":pw"))
	}
	for _, c := range []struct {
		name  string
		ref   string
		files []string
		user  string // "" for nobody
	}{
		{"host", "quay.io/a/b", []string{entry("quay.io", "u")}, "u"},
		{"host with a port", "h:5000/a/b", []string{entry("h:5000", "u")}, "u"},
		{"another port", "h:5000/a/b", []string{entry("h", "u")}, ""},
		{"another host", "quay.io/a/b", []string{entry("quay.com", "u")}, ""},
		{"legacy key", "quay.io/a/b", []string{entry("https://quay.io/v1/", "u")}, "u"},
		{"legacy key, http", "quay.io/a/b", []string{entry("http://quay.io", "u")}, "u"},
		{"Docker Hub", "alpine", []string{entry("https://index.docker.io/v1/", "u")}, "u"},
		{"Docker Hub as Podman writes it", "alpine", []string{entry("docker.io", "u")}, "u"},
		{"Docker Hub by the host of old", "alpine", []string{entry("index.docker.io", "u")}, "u"},
		{"Docker Hub by its host", "alpine", []string{entry("registry-1.docker.io", "u")}, "u"},
		{"Docker Hub in an address", "index.docker.io/a/b", []string{entry("https://registry-1.docker.io/v2/", "u")}, "u"},
		{"the same key before one like it", "quay.io/a", []string{fmt.Sprintf(`{"auths":{"https://quay.io":{"auth":%q},"quay.io":{"auth":%q},"http://quay.io/":{"auth":%q}}}`,
			b64("1:x"), b64("2:x"), b64("3:x"))}, "2"},
		{"repository", "quay.io/a/b", []string{entry("quay.io/a/b", "u")}, "u"},
		{"parent", "quay.io/a/b/c", []string{entry("quay.io/a", "u")}, "u"},
		{"part of a name", "quay.io/abc", []string{entry("quay.io/ab", "u")}, ""},
		{"child", "quay.io/a", []string{entry("quay.io/a/b", "u")}, ""},
		{"the most special", "quay.io/a/b", []string{fmt.Sprintf(`{"auths":{"quay.io":{"auth":%q},"quay.io/a":{"auth":%q},"quay.io/a/b":{"auth":%q}}}`,
			b64("1:x"), b64("2:x"), b64("3:x"))}, "3"},
		{"repository on the Hub", "alpine", []string{fmt.Sprintf(`{"auths":{"docker.io":{"auth":%q},"docker.io/library":{"auth":%q}}}`, b64("1:x"), b64("2:x"))}, "2"},
		{"first file", "quay.io/a", []string{entry("quay.io", "1"), entry("quay.io/a", "2")}, "1"},
		{"second file", "quay.io/a", []string{entry("other", "1"), entry("quay.io", "2")}, "2"},
		{"user and password apart", "quay.io/a", []string{`{"auths":{"quay.io":{"username":"u","password":"pw"}}}`}, "u"},
		{"empty entry", "quay.io/a", []string{`{"auths":{"quay.io":{}}}`, entry("quay.io", "2")}, "2"},
		{"empty file", "quay.io/a", []string{"", entry("quay.io", "2")}, "2"},
		{"other fields", "quay.io/a", []string{`{"HttpHeaders":{"X":"y"},"auths":{"quay.io":{"auth":"` + b64("u:pw") + `","email":"x"}},"psFormat":"z"}`}, "u"},
		{"password with a colon", "quay.io/a", []string{entry("quay.io", "u")}, "u"},
	} {
		got, warnings := find(t, c.ref, Auth{}, c.files...)
		if got.Username != c.user || len(warnings) > 0 {
			t.Errorf("%s: %q, want %q; %q", c.name, got.Username, c.user, warnings)
		}
	}
}

func TestKeychainTokens(t *testing.T) {
	for _, c := range []struct {
		body string
		want auth.Credential
	}{
		{`{"auths":{"h.io":{"identitytoken":"t"}}}`, auth.Credential{RefreshToken: "t"}},
		{`{"auths":{"h.io":{"auth":"` + b64("00000000:") + `","identitytoken":"t"}}}`, auth.Credential{Username: "00000000", RefreshToken: "t"}},
		{`{"auths":{"h.io":{"registrytoken":"t"}}}`, auth.Credential{AccessToken: "t"}},
		{`{"auths":{"h.io":{"auth":"` + b64("<token>:t") + `"}}}`, auth.Credential{RefreshToken: "t"}},
		{`{"auths":{"h.io":{"auth":"` + b64("u:a:b:c") + `"}}}`, auth.Credential{Username: "u", Password: "a:b:c"}},
	} {
		if got, _ := find(t, "h.io/x", Auth{}, c.body); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.body, got, c.want)
		}
	}
}

// TestKeychainExplicit prefers what is given outright.
func TestKeychainExplicit(t *testing.T) {
	file := `{"auths":{"h.io":{"auth":"` + b64("file:x") + `"}}}`
	for _, c := range []struct {
		auth Auth
		want auth.Credential
	}{
		{Auth{Username: "u", Password: "p"}, auth.Credential{Username: "u", Password: "p"}},
		{Auth{IdentityToken: "t"}, auth.Credential{RefreshToken: "t"}},
		{Auth{RegistryToken: "t"}, auth.Credential{AccessToken: "t"}},
		{Auth{}, auth.Credential{Username: "file", Password: "x"}},
	} {
		if got, _ := find(t, "h.io/x", c.auth, file); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.auth, got, c.want)
		}
	}
}

// TestKeychainDamaged goes on after files that are no good, and says so once.
func TestKeychainDamaged(t *testing.T) {
	good := `{"auths":{"h.io":{"auth":"` + b64("u:pw") + `"}}}`
	for _, bad := range []string{
		`{`, `[]`, `{"auths":[]}`, `{"auths":{"h.io":{"auth":"%"}}}`, `{"auths":{"h.io":{"auth":"` + b64("nocolon") + `"}}}`,
		`{"credsStore":"../../bin/sh"}`, `{"credHelpers":{"h.io":"a b"}}`, `{"credsStore":"-x\n"}`,
	} {
		got, warnings := find(t, "h.io/x", Auth{}, bad, good)
		if got.Username != "u" || len(warnings) != 1 {
			t.Errorf("%s: %q, %q", bad, got.Username, warnings)
		}
		if strings.Contains(strings.Join(warnings, ""), "nocolon") {
			t.Errorf("a warning gives the secret away: %q", warnings)
		}
	}
	missing := Auth{Files: []string{filepath.Join(t.TempDir(), "none"), filepath.Join(t.TempDir(), "no/such/dir")}}
	if got, warnings := find(t, "h.io/x", missing, good); got.Username != "u" || len(warnings) != 0 {
		t.Error(got, warnings)
	}
}

// TestHelpers asks helpers, which are scripts here.
func TestHelpers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	script := func(name, body string) {
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\nread server\n"+body), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	script("echo", `printf '{"ServerURL":"%s","Username":"%s","Secret":"pw"}' "$server" "$server"`)
	script("token", `printf '{"Username":"<token>","Secret":"t"}'`)
	script("none", `echo "credentials not found in native keychain"; exit 1`)
	script("broken", `echo "no agent"; exit 1`)
	script("garbage", `echo "<html>"`)
	knows := func(name, server string) {
		script(name, `case "$server" in "`+server+`") echo '{"Username":"u","Secret":"pw"}';; *) echo "credentials not found in native keychain"; exit 1;; esac`)
	}
	knows("knows-podman", "docker.io")
	knows("knows-docker", "https://index.docker.io/v1/")
	known := auth.Credential{Username: "u", Password: "pw"}
	as := func(server string) auth.Credential { return auth.Credential{Username: server, Password: "pw"} }
	for _, c := range []struct {
		name, ref, body string
		want            auth.Credential
		warnings        int
	}{
		{"Docker Hub as Podman calls it", "x", `{"credHelpers":{"docker.io":"echo"}}`, as("docker.io"), 0},
		{"Docker Hub as Docker calls it", "x", `{"credHelpers":{"https://index.docker.io/v1/":"echo"}}`, as("https://index.docker.io/v1/"), 0},
		{"Docker Hub by the host of old", "x", `{"credHelpers":{"index.docker.io":"echo"}}`, as("index.docker.io"), 0},
		{"Docker Hub by its host", "x", `{"credHelpers":{"registry-1.docker.io":"echo"}}`, as("registry-1.docker.io"), 0},
		{"Docker Hub as Podman calls it, for a login by Docker", "x", `{"credHelpers":{"docker.io":"knows-docker"}}`, known, 0},
		{"Docker Hub as Docker calls it, for a login by Podman", "x", `{"credHelpers":{"https://index.docker.io/v1/":"knows-podman"}}`, known, 0},
		{"Docker Hub in the store, for a login by Podman", "x", `{"credsStore":"knows-podman"}`, known, 0},
		{"Docker Hub's helper fails", "x", `{"credHelpers":{"docker.io":"broken"}}`, auth.Credential{}, 1},
		{"helper under an address", "h.io/x", `{"credHelpers":{"https://h.io":"echo"}}`, as("https://h.io"), 0},
		{"no helper for this one", "h.io/x", `{"credHelpers":{"h.io":""},"credsStore":"echo"}`, auth.Credential{}, 0},

		{"store", "h.io:1/x", `{"credsStore":"echo"}`, auth.Credential{Username: "h.io:1", Password: "pw"}, 0},
		{"store, Docker Hub", "x", `{"credsStore":"echo","auths":{"https://index.docker.io/v1/":{}}}`, auth.Credential{Username: "https://index.docker.io/v1/", Password: "pw"}, 0},
		{"helper", "h.io/x", `{"credHelpers":{"h.io":"echo"}}`, auth.Credential{Username: "h.io", Password: "pw"}, 0},
		{"helper, Docker Hub", "x", `{"credHelpers":{"docker.io":"token"}}`, auth.Credential{RefreshToken: "t"}, 0},
		{"helper for another", "h.io/x", `{"credHelpers":{"other.io":"echo"}}`, auth.Credential{}, 0},
		{"helper before store", "h.io/x", `{"credHelpers":{"h.io":"token"},"credsStore":"echo"}`, auth.Credential{RefreshToken: "t"}, 0},
		{"helper has none", "h.io/x", `{"credHelpers":{"h.io":"none"},"credsStore":"token"}`, auth.Credential{RefreshToken: "t"}, 0},
		{"entry before helper", "h.io/x", `{"auths":{"h.io":{"auth":"` + b64("u:p") + `"}},"credsStore":"echo"}`, auth.Credential{Username: "u", Password: "p"}, 0},
		{"not installed", "h.io/x", `{"credsStore":"missing"}`, auth.Credential{}, 1},
		{"broken", "h.io/x", `{"credsStore":"broken"}`, auth.Credential{}, 1},
		{"garbage", "h.io/x", `{"credsStore":"garbage"}`, auth.Credential{}, 1},
	} {
		got, warnings := find(t, c.ref, Auth{}, c.body)
		if got != c.want || len(warnings) != c.warnings {
			t.Errorf("%s: %+v, want %+v; %q", c.name, got, c.want, warnings)
		}
	}
	// Podman's credential-helpers are asked in order, the files among them.
	file := write(t, "auth.json", `{"auths":{"h.io":{"auth":"`+b64("u:p")+`"}}}`, 0o600)
	for _, c := range []struct {
		helpers []string
		files   []string
		from    string
	}{
		{nil, []string{file}, file + ", h.io"},
		{[]string{"echo", authFiles}, []string{file}, "docker-credential-echo"},
		{[]string{"none", authFiles}, []string{file}, file + ", h.io"},
		{[]string{"none"}, []string{file}, ""},
		{[]string{"echo"}, nil, ""}, // nobody is to be anybody
	} {
		k := &keychain{auth: Auth{Files: c.files}, ref: Reference{domain: "h.io", repo: "x"}, helpers: c.helpers, warn: func(string) {}}
		if got, from := k.look(context.Background()); from != c.from || (got == auth.EmptyCredential) != (from == "") {
			t.Errorf("%v: %+v from %q, want %q", c.helpers, got, from, c.from)
		}
	}
}

func TestDefaultAuthFiles(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		home string
		want []string
	}{
		{nil, "/h", []string{"/run/containers/7/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json"}},
		{nil, "", []string{"/run/containers/7/auth.json"}},
		{map[string]string{"REGISTRY_AUTH_FILE": "/r", "XDG_RUNTIME_DIR": "/x", "XDG_CONFIG_HOME": "/c", "DOCKER_CONFIG": "/d"}, "/h",
			[]string{"/r", "/x/containers/auth.json", "/c/containers/auth.json", "/d/config.json"}},
	} {
		getenv := func(key string) string { return c.env[key] }
		if got := DefaultAuthFiles(getenv, c.home, 7); !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, want %q", c.env, got, c.want)
		}
	}
}
