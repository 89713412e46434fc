package fetch_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// TestQuirks reads an image from registries as there are.
func TestQuirks(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   Options
		fault  Fault
		byName bool // it is reached by its name, not as a mirror
		toml   string
	}{
		{name: "the whole blob first, ranges later (Harbor, distribution as a proxy)", fault: PullThrough(), byName: true},
		{name: "ranges ignored", fault: On(Blob, IgnoreRange()), byName: true},
		{name: "ranges with status 200 (dfdaemon)", fault: On(Blob, RangeAs200()), byName: true},
		{name: "no blobs before the manifest (zot)", fault: OnDemand(), byName: true},
		{name: "redirects that run out (GHCR)", kind: Options{CDN: true}, fault: On(CDN, Times(1, Status(403))), byName: true},
		{name: "403 for a token that has run out (ECR)", kind: Options{Auth: Auth{Mode: Bearer, Uses: 2, Forbid: true}}, byName: true},
		{name: "tokens from another host (GitLab)", kind: Options{Auth: Auth{Mode: Bearer}}, byName: true},
		{name: "too many requests, once", fault: Times(1, RetryAfter(429, "0")), byName: true},
		{name: "down for a moment, with a date", fault: Times(1, RetryAfter(503, time.Now().UTC().Format(http.TimeFormat))), byName: true},
		{name: "a mirror of several registries (Spegel)", fault: Namespace("r.example")},
		{name: "a mirror at a path of its own", fault: Below("/v2/upstream"), toml: "override_path=true"},
		{name: "a mirror at a path before /v2 (Artifactory)", fault: Below("/v2/upstream/v2")},
		{name: "a mirror that has to be told for whom (Dragonfly)", fault: Wants("X-Dragonfly-Registry", "https://r.example"),
			toml: "[host.'http://HOST/v2/upstream'.header]\nX-Dragonfly-Registry='https://r.example'"},
		{name: "a mirror that copies as it is asked", fault: PullThrough()},
		{name: "a mirror without blobs before the manifest", fault: OnDemand()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := Start(t, c.kind)
			data := noise(small)
			reg.Push("a/b", "t", Layer{Blob: data})
			if c.fault != nil {
				reg.Use(c.fault)
			}
			if c.byName {
				checkErr(t, readImage(reg.Host+"/a/b:t", fetch.Options{}, data), nil)
				return
			}
			path := ""
			if strings.Contains(c.name, "path") {
				path = "/v2/upstream"
			}
			text := fmt.Sprintf("server='http://%s'\n[host.'http://HOST%s']\n%s\n", nowhere(t), path, c.toml)
			if path == "" {
				text = strings.ReplaceAll(text, "/v2/upstream", "")
			}
			config := hostsToml(t, strings.ReplaceAll(text, "HOST", reg.Host))
			checkErr(t, readImage("r.example/a/b:t", fetch.Options{Config: config}, data), nil)
		})
	}
}

// TestOnDemand asks for the manifest where a blob is wanted by a reference
// that needed no manifest, and only once.
func TestOnDemand(t *testing.T) {
	reg := Start(t, Options{})
	data := noise(small)
	d := reg.Push("a/b", "t", Layer{Blob: data})
	reg.Use(OnDemand())
	b := openBlob(t, open(t, reg.Host+"/a/b@"+d.Digest.String(), fetch.Options{}), reg.PutBlob("", data))
	readMany(t, b, data, 2)
	expect(t, reg, map[Kind]int{Blob: 3, Manifest: 1})

	reg.Heal()
	reg.Use(OnDemand()) // it has forgotten
	reg.Reset()
	readMany(t, b, data, 2)
	expect(t, reg, map[Kind]int{Blob: 3, Manifest: 1})

	reg.Use(On(Blob, Status(404))) // and this time for good
	reg.Reset()
	for range 3 {
		checkErr(t, second(b.ReadAt(make([]byte, 1), 0)), fetch.ErrNotFound)
	}
	expect(t, reg, map[Kind]int{Blob: 4, Manifest: 1})
}

func second(_ int, err error) error { return err }

// TestRangeAlign asks for whole pieces, and for none twice in a long stream.
func TestRangeAlign(t *testing.T) {
	const unit = 3 << 20
	reg := Start(t, Options{})
	data := noise(20<<20 + 5)
	d := reg.PutBlob("", data)
	b := openBlob(t, open(t, reg.Host+"/a/b:t", fetch.Options{RangeAlign: unit}), d)
	for _, off := range []int64{0, 1, unit - 10, unit, 5*unit + 17, int64(len(data)) - 100} {
		p := make([]byte, 100)
		if _, err := b.ReadAt(p, off); err != nil || string(p) != string(data[off:off+100]) {
			t.Errorf("at %d: %v", off, err)
		}
	}
	readAll(t, b, data)
	var asked int64
	for _, r := range reg.Requests(Blob) {
		var start, last int64
		if _, err := fmt.Sscanf(r.Range, "bytes=%d-%d", &start, &last); err != nil {
			t.Fatal(err)
		}
		if start%unit != 0 || (last+1)%unit != 0 && last+1 != int64(len(data)) {
			t.Errorf("asked for %s", r.Range)
		}
		asked += last + 1 - start
	}
	if most := int64(len(data)) + 7*unit; asked > most {
		t.Errorf("%d bytes were asked for, want at most %d", asked, most)
	}
}

// TestProxies reaches registries through a proxy: what the environment says,
// and what the configuration says of one host.
func TestProxies(t *testing.T) {
	reg := Start(t, Options{CDN: false, Auth: Auth{Mode: Bearer}})
	reg.SetRealm("http://r.example/token")
	data := noise(small)
	reg.Push("a/b", "t", Layer{Blob: data})
	proxy := &Proxy{To: reg.Host}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]fetch.Options{
		"environment": {Scheme: "http", Proxy: http.ProxyURL(at)},
		"hosts.toml":  {Config: hostsToml(t, fmt.Sprintf("server='http://r.example'\nproxy='%s'\n", at))},
	} {
		proxy.Reset()
		if err := readImage("r.example/a/b:t", o, data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if proxy.Count(Manifest) == 0 || proxy.Count(Blob) == 0 || proxy.Count(Token) == 0 {
			t.Errorf("%s: %d requests through the proxy", name, proxy.Count())
		}
	}
	// A proxy that fails is not passed by.
	o := fetch.Options{Config: hostsToml(t, fmt.Sprintf("server='http://%s'\nproxy='http://%s'\n", reg.Host, nowhere(t)))}
	checkErr(t, readImage("r.example/a/b:t", o, data), fetch.ErrUnreachable)
}

// TestClientCertificate shows who we are to a registry that wants to know by
// a certificate, and to no other host.
func TestClientCertificate(t *testing.T) {
	reg := New(Options{CDN: true})
	cdn := httptest.NewUnstartedServer(reg.CDN())
	cdn.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, VerifyConnection: func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) > 0 {
			t.Error("another host was shown the certificate")
		}
		return nil
	}}
	cdn.StartTLS()
	t.Cleanup(cdn.Close)
	server := httptest.NewUnstartedServer(reg)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	reg.SetCDN(strings.Replace(cdn.URL, "127.0.0.1", "localhost", 1))
	data := noise(small)
	reg.Push("a/b", "t", Layer{Blob: data})

	host := strings.TrimPrefix(server.URL, "https://")
	certs := t.TempDir()
	dir := filepath.Join(certs, host)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("ca.crt", "CERTIFICATE", server.Certificate().Raw)
	o := fetch.Options{Config: fetch.Config{Certs: []string{certs}}}
	checkErr(t, readImage(host+"/a/b:t", o, data), fetch.ErrUnreachable)
	cert, key := selfSigned(t)
	put("client.cert", "CERTIFICATE", cert)
	put("client.key", "PRIVATE KEY", key)
	o.SkipVerify = true // the CDN's certificate is not for localhost
	checkErr(t, readImage(host+"/a/b:t", o, data), nil)
}

// selfSigned makes a certificate and its key.
func selfSigned(t *testing.T) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "us"}, NotAfter: time.Now().Add(time.Hour)}
	if cert, err = x509.CreateCertificate(rand.Reader, template, template, k.Public(), k); err != nil {
		t.Fatal(err)
	}
	if key, err = x509.MarshalPKCS8PrivateKey(k); err != nil {
		t.Fatal(err)
	}
	return cert, key
}
