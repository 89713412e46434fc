package fetch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// registriesConf is a configuration of one registries.conf.
func registriesConf(t testing.TB, text string) fetch.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "registries.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return fetch.Config{Registries: []string{file}}
}

// hostsToml is a configuration of one hosts.toml, for all hosts.
func hostsToml(t testing.TB, text string) fetch.Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "_default"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "_default", "hosts.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return fetch.Config{Hosts: []string{dir}}
}

// mirrorOf is a configuration in which host has mirrors.
func mirrorOf(t testing.TB, host string, mirrors ...string) fetch.Config {
	text := fmt.Sprintf("[[registry]]\nlocation=%q\n", host)
	for _, m := range mirrors {
		text += fmt.Sprintf("[[registry.mirror]]\nlocation=%q\n", m)
	}
	return registriesConf(t, text)
}

// nowhere is an address where nobody answers.
func nowhere(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A diary keeps what a source tells.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, s)
}

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.lines...)
}

// readImage reads all of an image with one layer, in the ways there are.
func readImage(ref string, o fetch.Options, data []byte) error {
	ctx := context.Background()
	if o.Retry == (fetch.Retry{}) {
		o.Retry = impatient
	}
	s, err := fetch.Open(ctx, ref, o)
	if err != nil {
		return err
	}
	defer s.Close()
	d, err := s.Resolve(ctx)
	if err != nil {
		return err
	}
	layer, err := firstLayer(ctx, s, d)
	if err != nil {
		return err
	}
	b, err := s.Blob(ctx, layer)
	if err != nil {
		return err
	}
	defer b.Close()
	p := make([]byte, 1000)
	for _, off := range []int64{0, 1000, int64(len(data)) - 1000} {
		if _, err := b.ReadAt(p, off); err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(p, data[off:off+1000]) {
			return fmt.Errorf("wrong bytes at %d", off)
		}
	}
	r := b.Range(0, int64(len(data)))
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, data) {
		err = fmt.Errorf("wrong stream, %d bytes", len(got))
	}
	return err
}

// TestMirrors reads an image whatever its mirror does, and asks the registry
// itself only if it has to.
func TestMirrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault Fault
		home  string // kinds of requests that it gets
		warns bool
	}{
		{"good", nil, "", false},
		{"empty", Status(404), "blob manifest", false},
		{"private", Status(403), "blob manifest", false},
		{"in trouble", Status(503), "blob manifest", true},
		{"busy", RetryAfter(429, "60"), "blob manifest", true},
		{"hangs up", HangUp(), "blob manifest", true},
		{"a web page", Page(), "blob manifest", true},
		{"a lie about the manifest", On(Manifest, Method("GET", Flip(3))), "manifest", true},
		{"without blobs", On(Blob, Status(404)), "blob", false},
		{"without blobs after a while", On(Blob, After(4, Status(404))), "blob", false},
		{"blobs cut short", On(Blob, After(3, Cut(500))), "blob", true},
		{"blobs of another size", On(Blob, Head(func(status int, h http.Header) int {
			h.Set("Content-Range", strings.Replace(h.Get("Content-Range"), "/", "/1", 1))
			return status
		})), "blob", true},
		{"once in trouble", Times(1, Status(503)), "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			home, mirror := Start(t, Options{}), Start(t, Options{})
			data := noise(small)
			for _, reg := range []*Server{home, mirror} {
				reg.Push("a/b", "t", Layer{Blob: data})
			}
			if c.fault != nil {
				mirror.Use(c.fault)
			}
			warned := new(diary)
			o := fetch.Options{Config: mirrorOf(t, home.Host, mirror.Host), Warn: warned.write}
			if err := readImage(home.Host+"/a/b:t", o, data); err != nil {
				t.Fatal(err)
			}
			if got := kinds(home); got != c.home {
				t.Errorf("the registry itself was asked for %q, want %q", got, c.home)
			}
			if (len(warned.all()) > 0) != c.warns {
				t.Errorf("warnings: %q", warned.all())
			}
			for _, w := range warned.all() {
				if !strings.Contains(w, mirror.Host) || !strings.Contains(w, home.Host) {
					t.Errorf("the warning %q does not say who", w)
				}
			}
		})
	}
}

// kinds lists what kinds of requests there were, once each.
func kinds(reg *Server) string {
	var list []string
	for _, k := range []Kind{Blob, Manifest, Referrers, Token} {
		if reg.Count(k) > 0 {
			list = append(list, string(k))
		}
	}
	return strings.Join(list, " ")
}

// TestMirrorDown leaves a mirror alone that nobody answers at.
func TestMirrorDown(t *testing.T) {
	home, mirror := Start(t, Options{}), Start(t, Options{})
	data := noise(small)
	home.Push("a/b", "t", Layer{Blob: data})
	mirror.Use(HangUp())
	warned := new(diary)
	o := fetch.Options{Config: mirrorOf(t, home.Host, nowhere(t), mirror.Host), Warn: warned.write}
	if err := readImage(home.Host+"/a/b:t", o, data); err != nil {
		t.Fatal(err)
	}
	if n := mirror.Count(); n != 2 {
		t.Errorf("%d requests to a mirror that hangs up, want one and another try", n)
	}
	if len(warned.all()) != 2 {
		t.Errorf("warnings: %q, want one for each mirror", warned.all())
	}
}

// TestMirrorsAllFail says what the registry itself has said, and what came
// before.
func TestMirrorsAllFail(t *testing.T) {
	home, mirror := Start(t, Options{}), Start(t, Options{})
	mirror.Use(Status(500))
	err := readImage(home.Host+"/a/b:t", fetch.Options{Config: mirrorOf(t, home.Host, mirror.Host)}, nil)
	checkErr(t, err, fetch.ErrNotFound)
	if err == nil || !strings.Contains(err.Error(), mirror.Host) || !strings.Contains(err.Error(), "500") {
		t.Errorf("%v does not tell of the mirror", err)
	}
	mirror.Heal()
	home.Close()
	checkErr(t, readImage(home.Host+"/a/b:t", fetch.Options{Config: mirrorOf(t, home.Host, mirror.Host)}, nil), fetch.ErrUnreachable)
}

// TestMirrorCredentials gives each server its own credentials and nobody
// else's, least of all those for the registry itself.
func TestMirrorCredentials(t *testing.T) {
	home := Start(t, Options{Auth: Auth{Mode: Basic, Username: "u", Password: "home"}})
	mirror := Start(t, Options{Auth: Auth{Mode: Basic, Username: "u", Password: "mirror"}})
	data := noise(small)
	for _, reg := range []*Server{home, mirror} {
		reg.Push("a/b", "t", Layer{Blob: data})
	}
	ref, config := home.Host+"/a/b:t", mirrorOf(t, home.Host, mirror.Host)
	outright := fetch.Auth{Username: "u", Password: "home"}

	if err := readImage(ref, fetch.Options{Config: config, Auth: outright, Header: http.Header{"X-Mine": {"x"}}}, data); err != nil {
		t.Fatal(err)
	}
	for _, r := range mirror.Requests() {
		if r.Authorization != "" || r.Header.Get("X-Mine") != "" {
			t.Errorf("the mirror was told %q, %q", r.Authorization, r.Header.Get("X-Mine"))
		}
	}
	file := filepath.Join(t.TempDir(), "auth.json")
	login(t, file, mirror.Host, "u", "mirror")
	outright.Files = []string{file}
	home.Reset()
	if err := readImage(ref, fetch.Options{Config: config, Auth: outright}, data); err != nil {
		t.Fatal(err)
	}
	expect(t, home, nil)
}

// TestMirrorCapabilities asks a mirror for nothing but what it may do.
func TestMirrorCapabilities(t *testing.T) {
	home, pulls, resolves := Start(t, Options{}), Start(t, Options{}), Start(t, Options{Referrers: ReferrersAPI{API: true}})
	data := noise(small)
	for _, reg := range []*Server{home, pulls, resolves} {
		reg.Push("a/b", "t", Layer{Blob: data})
	}
	config := hostsToml(t, fmt.Sprintf("server='http://%s'\n[host.'http://%s']\ncapabilities=['pull']\n[host.'http://%s']\ncapabilities=['resolve']\n", home.Host, pulls.Host, resolves.Host))
	ref := "r.example/a/b:t"
	if err := readImage(ref, fetch.Options{Config: config}, data); err != nil {
		t.Fatal(err)
	}
	expect(t, home, nil)
	expect(t, resolves, map[Kind]int{Manifest: 1})
	for _, r := range append(pulls.Requests(), resolves.Requests()...) {
		if r.Query != "ns=r.example" {
			t.Errorf("%s %s with query %q", r.Method, r.Path, r.Query)
		}
		if r.Kind == Manifest && strings.HasSuffix(r.Path, "/t") != (r.Method == http.MethodHead) {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
	s := open(t, ref, fetch.Options{Config: config})
	d, err := s.Resolve(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Referrers(context.Background(), d, ""); err != nil || pulls.Count(Referrers) > 0 || resolves.Count(Referrers) != 1 {
		t.Errorf("%v, asked %d and %d times", err, pulls.Count(Referrers), resolves.Count(Referrers))
	}
	config = hostsToml(t, fmt.Sprintf("server='http://%s'\ncapabilities=['pull']", home.Host))
	checkErr(t, readImage(ref, fetch.Options{Config: config}, data), fetch.ErrUnsupported)
	config = hostsToml(t, fmt.Sprintf("server='http://%s'\ncapabilities=['pull']\n[host.'http://%s']\ncapabilities=['pull']", home.Host, pulls.Host))
	checkErr(t, readImage(ref, fetch.Options{Config: config}, data), fetch.ErrUnsupported)
}

// TestMirrorTells says who gave what.
func TestMirrorTells(t *testing.T) {
	home, mirror := Start(t, Options{}), Start(t, Options{})
	data := noise(small)
	for _, reg := range []*Server{home, mirror} {
		reg.Push("a/b", "t", Layer{Blob: data})
	}
	mirror.Use(On(Manifest, Status(404)))
	told := new(diary)
	if err := readImage(home.Host+"/a/b:t", fetch.Options{Config: mirrorOf(t, home.Host, mirror.Host), Debug: told.write}, data); err != nil {
		t.Fatal(err)
	}
	blob := digest.FromBytes(data).String()
	all := strings.Join(told.all(), "\n")
	for _, want := range []string{"tag t: from " + home.Host, blob + ": from " + mirror.Host, "tag t: not from " + mirror.Host} {
		if strings.Count(all, want) != 1 {
			t.Errorf("%q is not in what was told, once:\n%s", want, all)
		}
	}
}

// TestMirrorPush pushes to the registry itself, unless hosts.toml lets a mirror
// be pushed to, as containerd does; tags are listed, and manifests deleted, in
// the registry.
func TestMirrorPush(t *testing.T) {
	const named, both = "server='http://HOME'\n", "server='http://HOME'\n[host.'http://MIRROR']\n"
	for _, c := range []struct {
		name, toml string // "": registries.conf
		home       bool   // it is pushed to
		mirror     bool
	}{
		{"registries.conf", "", true, false},
		{"nothing said", both, true, false},
		{"a mirror to pull from", both + "capabilities=['pull','resolve']", true, false},
		{"a mirror to push to", both + "capabilities=['pull','resolve','push']", false, true},
		{"both", "server='http://HOME'\ncapabilities=['push']\n[host.'http://MIRROR']\ncapabilities=['push']", false, true},
		{"a registry to pull from", named + "capabilities=['pull','resolve']", false, false},
		{"a registry to pull from, a mirror", "server='http://HOME'\ncapabilities=['pull','resolve']\n[host.'http://MIRROR']\n", false, false},
	} {
		home, mirror := Start(t, Options{Writable: true}), Start(t, Options{Writable: true})
		ref, config := home.Host+"/a/b:t", mirrorOf(t, home.Host, mirror.Host)
		if c.toml != "" {
			ref, config = "r.example/a/b:t", hostsToml(t, strings.NewReplacer("HOME", home.Host, "MIRROR", mirror.Host).Replace(c.toml))
		}
		s, err := fetch.Create(context.Background(), ref, fetch.Options{Config: config})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Push(context.Background(), fetch.Upload{Manifest: []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`), Tagged: true})
		if s.Close(); !c.home && !c.mirror {
			checkErr(t, err, fetch.ErrUnsupported)
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := [2]bool{len(home.Tags("a/b")) == 1, len(mirror.Tags("a/b")) == 1}; got != [2]bool{c.home, c.mirror} || !c.mirror && mirror.Count() > 0 {
			t.Errorf("%s: pushed to the registry, the mirror: %v; the mirror got %d requests", c.name, got, mirror.Count())
		}
	}
}

// TestMirrorTags lists the tags of the registry itself.
func TestMirrorTags(t *testing.T) {
	home, mirror := Start(t, Options{}), Start(t, Options{})
	home.Push("a/b", "one", Layer{Blob: []byte("1")})
	home.Push("a/b", "two", Layer{Blob: []byte("2")})
	mirror.Push("a/b", "one", Layer{Blob: []byte("1")})
	_, tags, err := fetch.Tags(context.Background(), home.Host+"/a/b", fetch.Options{Config: mirrorOf(t, home.Host, mirror.Host)}, 0)
	if err != nil || strings.Join(tags, " ") != "one two" || mirror.Count() > 0 {
		t.Errorf("%q, %v, and the mirror got %d requests", tags, err, mirror.Count())
	}
}

// TestSearch finds the registry of a short name.
func TestSearch(t *testing.T) {
	first, second := Start(t, Options{}), Start(t, Options{})
	data := noise(small)
	d := second.Push("a/b", "t", Layer{Blob: data})
	config := registriesConf(t, fmt.Sprintf("unqualified-search-registries=[%q,%q]", first.Host, second.Host))
	for _, ref := range []string{"a/b:t", "a/b@" + d.Digest.String()} {
		if err := readImage(ref, fetch.Options{Config: config}, data); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	s := open(t, "a/b:t", fetch.Options{Config: config})
	manifest(t, s)
	if want := second.Host + "/a/b"; s.Name() != want+":t" || s.At(d.Digest) != want+"@"+d.Digest.String() || s.Home() != want {
		t.Errorf("found %s, %s, in %s, want it in %s", s.Name(), s.At(d.Digest), s.Home(), want)
	}
	checkErr(t, readImage("a/c:t", fetch.Options{Config: config}, data), fetch.ErrNotFound)
	first.Use(Status(503))
	checkErr(t, readImage("a/b:t", fetch.Options{Config: config}, data), fetch.ErrUnreachable)
	// By digest, without anybody having been asked for the manifest.
	first.Heal()
	b := openBlob(t, open(t, "a/b@"+d.Digest.String(), fetch.Options{Config: config}), second.PutBlob("", data))
	readMany(t, b, data, 3)
}

// TestSearchEnds has the first registry of a short name refuse us, or give
// something else than the digest says: what the second one has is not taken, and
// nothing else of the first one either.
func TestSearchEnds(t *testing.T) {
	data := noise(small)
	for _, c := range []struct {
		name  string
		fault Fault
		want  error
	}{
		{"logged out", Status(401), fetch.ErrUnauthorized},
		{"not ours", Status(403), fetch.ErrUnauthorized},
		{"lying", On(Manifest, Flip(5)), errDigest},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, second := Start(t, Options{}), Start(t, Options{})
			first.Push("a/b", "t", Layer{Blob: data})
			d := second.Push("a/b", "t", Layer{Blob: data})
			first.Use(c.fault)
			o := fetch.Options{Config: registriesConf(t, fmt.Sprintf("unqualified-search-registries=[%q,%q]", first.Host, second.Host))}
			if c.want != errDigest { // a tag that leads elsewhere is no lie
				checkErr(t, readImage("a/b:t", o, data), c.want)
			}
			checkErr(t, readImage("a/b@"+d.Digest.String(), o, data), c.want)
			_, err := open(t, "a/b@"+d.Digest.String(), o).Blob(context.Background(), second.PutBlob("", data))
			checkErr(t, err, c.want)
		})
	}
}

// firstLayer is the descriptor of an image's first layer.
func firstLayer(ctx context.Context, s *fetch.Source, d ocispec.Descriptor) (ocispec.Descriptor, error) {
	body, err := s.Document(ctx, d)
	if err != nil {
		return d, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return d, err
	}
	_, err = s.Document(ctx, m.Config)
	return m.Layers[0], err
}
