package fetch_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

var user = fetch.Auth{Username: "u", Password: "p"}

// TestAuth gets in by every way there is, or is refused, with as few requests
// as possible.
func TestAuth(t *testing.T) {
	for _, c := range []struct {
		name            string
		server          Auth
		client          fetch.Auth
		err             error
		manifest, token int
	}{
		{"open", Auth{}, fetch.Auth{}, nil, 2, 0},
		{"open, though we have credentials", Auth{}, user, nil, 2, 0},
		{"basic", Auth{Mode: Basic, Username: "u", Password: "p"}, user, nil, 3, 0},
		{"basic, nobody", Auth{Mode: Basic, Username: "u", Password: "p"}, fetch.Auth{}, fetch.ErrUnauthorized, 1, 0},
		{"basic, wrong", Auth{Mode: Basic, Username: "u", Password: "x"}, user, fetch.ErrUnauthorized, 4, 0},
		{"bearer, anonymous", Auth{Mode: Bearer}, fetch.Auth{}, nil, 3, 1},
		{"bearer", Auth{Mode: Bearer, Username: "u", Password: "p"}, user, nil, 3, 1},
		{"bearer, nobody", Auth{Mode: Bearer, Username: "u", Password: "p"}, fetch.Auth{}, fetch.ErrUnauthorized, 1, 1},
		{"bearer, wrong", Auth{Mode: Bearer, Username: "u", Password: "x"}, user, fetch.ErrUnauthorized, 1, 1},
		{"identity token", Auth{Mode: Bearer, IdentityToken: "id"}, fetch.Auth{IdentityToken: "id"}, nil, 3, 1},
		{"identity token, wrong", Auth{Mode: Bearer, IdentityToken: "id"}, fetch.Auth{IdentityToken: "x"}, fetch.ErrUnauthorized, 1, 1},
		{"registry token, wrong", Auth{Mode: Bearer}, fetch.Auth{RegistryToken: "x"}, fetch.ErrUnauthorized, 4, 0},
		{"tokens for one use", Auth{Mode: Bearer, Uses: 1}, fetch.Auth{}, nil, 4, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := Start(t, Options{Auth: c.server})
			reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
			s := open(t, reg.Host+"/a/b:t", fetch.Options{Auth: c.client})
			d, err := s.Resolve(context.Background())
			if err == nil {
				_, err = s.Document(context.Background(), d)
			}
			checkErr(t, err, c.err)
			want := map[Kind]int{Manifest: c.manifest}
			if c.token > 0 {
				want[Token] = c.token
			}
			expect(t, reg, want)
		})
	}
}

// TestRegistryToken uses a token as it is.
func TestRegistryToken(t *testing.T) {
	reg := Start(t, Options{})
	reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	reg.Use(If(func(r *http.Request) bool { return r.Header.Get("Authorization") != "Bearer tok" },
		All(Header("WWW-Authenticate", `Bearer realm="http://127.0.0.1:1/"`), Status(401))))
	manifest(t, open(t, reg.Host+"/a/b:t", fetch.Options{Auth: fetch.Auth{RegistryToken: "tok"}}))
	expect(t, reg, map[Kind]int{Manifest: 3})
}

// TestTokensExpire reads on while tokens run out.
func TestTokensExpire(t *testing.T) {
	reg := Start(t, Options{Auth: Auth{Mode: Bearer, Uses: 3}})
	data := noise(small)
	b := openBlob(t, open(t, reg.Host+"/a/b:t", fetch.Options{}), reg.PutBlob("", data))
	readMany(t, b, data, 10)
	expect(t, reg, map[Kind]int{Blob: 10 + 4, Token: 4}) // 3 + 3 + 3 + 1 reads
}

// TestTokenExpiresForAll asks for one new token, however many readers need it.
func TestTokenExpiresForAll(t *testing.T) {
	reg := Start(t, Options{Auth: Auth{Mode: Bearer}})
	data := noise(small)
	b := openBlob(t, open(t, reg.Host+"/a/b:t", fetch.Options{}), reg.PutBlob("", data))
	readMany(t, b, data, 1)
	for range 5 {
		reg.ExpireTokens()
		reg.Reset()
		concurrently(t, 64, func(i int) error {
			_, err := b.ReadAt(make([]byte, 100), int64(i)*100)
			return err
		})
		if n := reg.Count(Token); n != 1 {
			t.Errorf("%d tokens for 64 readers", n)
		}
	}
}

// TestTokenServerFails treats the token server as part of the registry.
func TestTokenServerFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault Fault
		err   error
		token int
	}{
		{"503 twice", Times(2, Status(503)), nil, 3},
		{"503 for ever", Status(503), fetch.ErrUnreachable, 3},
		{"429 once", Times(1, Status(429)), nil, 2},
		{"hang up once", Times(1, HangUp()), nil, 2},
		{"cut once", Times(1, Cut(5)), nil, 2},
		{"400", Status(400), fetch.ErrUnauthorized, 1},
		{"404", Status(404), fetch.ErrUnauthorized, 1},
		{"a page", Page(), fetch.ErrUnauthorized, 1},
		{"no token", Answer(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) }), fetch.ErrUnauthorized, 1},
		{"a redirect", Times(1, Redirect(307, func(r *http.Request) string { return "http://" + r.Host + r.URL.String() })), nil, 2},
		{"a redirect to a file", Redirect(307, func(*http.Request) string { return "file:///etc/passwd" }), fetch.ErrUnreachable, 3},
		{"a redirect to a metadata service", Redirect(307, func(*http.Request) string { return "http://169.254.169.254/" }), fetch.ErrUnreachable, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := Start(t, Options{Auth: Auth{Mode: Bearer, Username: "u", Password: "p"}})
			reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
			reg.Use(On(Token, c.fault))
			_, err := open(t, reg.Host+"/a/b:t", fetch.Options{Auth: user}).Resolve(context.Background())
			checkErr(t, err, c.err)
			if n := reg.Count(Token); n != c.token {
				t.Errorf("%d requests for tokens, want %d", n, c.token)
			}
			if err != nil && strings.Contains(err.Error(), "scope=") {
				t.Errorf("the query is in %q", err)
			}
		})
	}
}

// TestRealmElsewhere takes tokens from hosts other than the registry's, also
// from one at a loopback address if the registry is at one. It fails if the
// authentication library should refuse that by itself: addresses are checked
// where they are dialled, in network.go, and nowhere else.
func TestRealmElsewhere(t *testing.T) {
	reg := Start(t, Options{Auth: Auth{Mode: Bearer, Username: "u", Password: "p"}})
	reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	host := strings.Replace(reg.Host, "127.0.0.1", "localhost", 1)
	manifest(t, open(t, host+"/a/b:t", fetch.Options{Auth: user}))
	expect(t, reg, map[Kind]int{Manifest: 3, Token: 1})
}

// TestRealmDowngrade gives no credentials to an http realm of an https
// registry.
func TestRealmDowngrade(t *testing.T) {
	tokens := Start(t, Options{})
	reg, ca := startTLS(t, Options{Auth: Auth{Mode: Bearer, Username: "u", Password: "p"}})
	reg.SetRealm(tokens.URL + "/token")
	reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	_, err := open(t, reg.Host+"/a/b:t", fetch.Options{Auth: user, CAFile: ca}).Resolve(context.Background())
	checkErr(t, err, fetch.ErrUnauthorized)
	expect(t, tokens, nil)
}

// TestTwoChallenges meets the one that it can.
func TestTwoChallenges(t *testing.T) {
	reg := Start(t, Options{Auth: Auth{Mode: Basic, Username: "u", Password: "p"}})
	reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	reg.Use(Head(func(status int, h http.Header) int {
		if status == http.StatusUnauthorized {
			h["Www-Authenticate"] = append([]string{"Negotiate"}, h["Www-Authenticate"]...)
		}
		return status
	}))
	manifest(t, open(t, reg.Host+"/a/b:t", fetch.Options{Auth: user}))
}

// TestForbidden renews a credential that has run out where the registry
// answers 403 without asking for another one.
func TestForbidden(t *testing.T) {
	reg := Start(t, Options{Auth: Auth{Mode: Basic, Username: "u", Password: "p", Forbid: true}})
	file := filepath.Join(t.TempDir(), "config.json")
	login(t, file, reg.Host, "u", "p")
	data := noise(small)
	b := openBlob(t, open(t, reg.Host+"/a/b:t", fetch.Options{Auth: fetch.Auth{Files: []string{file}}}), reg.PutBlob("", data))
	readMany(t, b, data, 2)
	expect(t, reg, map[Kind]int{Blob: 3})
	reg.Reset()
	reg.SetPassword("q")
	_, err := b.ReadAt(make([]byte, 100), 0)
	checkErr(t, err, fetch.ErrUnauthorized)
	login(t, file, reg.Host, "u", "q")
	reg.Reset()
	readMany(t, b, data, 2)
	if n := reg.Count(); n > 5 {
		t.Errorf("%d requests for two reads after a new login", n)
	}
}

func login(t *testing.T, file, host, user, password string) {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	if err := os.WriteFile(file, fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, auth), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestForbiddenForGood does not ask for ever.
func TestForbiddenForGood(t *testing.T) {
	reg := Start(t, Options{Auth: Auth{Mode: Bearer}})
	reg.Push("a/b", "t", Layer{Blob: []byte("layer")})
	reg.Use(On(Manifest, If(func(r *http.Request) bool { return r.Header.Get("Authorization") != "" }, Status(403))))
	_, err := open(t, reg.Host+"/a/b:t", fetch.Options{}).Resolve(context.Background())
	checkErr(t, err, fetch.ErrUnauthorized)
	if n := reg.Count(); n > 8 {
		t.Errorf("%d requests", n)
	}
}
