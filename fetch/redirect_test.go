package fetch_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// readMany reads n ranges one after another.
func readMany(t *testing.T, b *fetch.Blob, data []byte, n int) {
	t.Helper()
	for i := range n {
		p := make([]byte, 100)
		if _, err := b.ReadAt(p, int64(i*100)); err != nil || !bytes.Equal(p, data[i*100:][:100]) {
			t.Fatalf("read %d: %v", i, err)
		}
	}
}

// TestRedirectKept asks the registry once, however many ranges are read.
func TestRedirectKept(t *testing.T) {
	reg := Start(t, Options{CDN: true, Auth: Auth{Mode: Bearer}})
	data := noise(small)
	b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{}), reg.PutBlob("", data))
	readMany(t, b, data, 20)
	expect(t, reg, map[Kind]int{Blob: 2, Token: 1, CDN: 20}) // one of the two for the challenge
	noAuthorization(t, reg)
}

func noAuthorization(t *testing.T, reg *Server) {
	t.Helper()
	for _, r := range reg.Requests(CDN) {
		if r.Authorization != "" || r.Header.Get("Cookie") != "" || r.Header.Get("X-Secret") != "" {
			t.Errorf("the CDN has seen %v", r.Header)
		}
		if r.Method != http.MethodGet {
			t.Errorf("%s at the CDN", r.Method)
		}
	}
}

// TestRedirectConcurrent lets many readers start at once: one asks, the
// others wait for what it learns.
func TestRedirectConcurrent(t *testing.T) {
	reg := Start(t, Options{CDN: true})
	data := noise(small)
	reg.Use(On(Blob, Latency(50*time.Millisecond)))
	b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{}), reg.PutBlob("", data))
	concurrently(t, 50, func(i int) error {
		p := make([]byte, 100)
		_, err := b.ReadAt(p, int64(i)*100)
		return err
	})
	expect(t, reg, map[Kind]int{Blob: 1, CDN: 50})
}

func concurrently(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := f(i); err != nil {
				t.Error(i, err)
			}
		})
	}
	wg.Wait()
}

// TestRedirectExpires asks for a new address when the old one is refused.
func TestRedirectExpires(t *testing.T) {
	reg := Start(t, Options{CDN: true})
	data := noise(small)
	b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{}), reg.PutBlob("", data))
	readMany(t, b, data, 2)
	reg.Use(On(CDN, Times(1, Status(403))))
	readMany(t, b, data, 2)
	expect(t, reg, map[Kind]int{Blob: 2, CDN: 5})
}

// TestRedirectExpiresForAll lets many readers meet an old address at once.
func TestRedirectExpiresForAll(t *testing.T) {
	reg := Start(t, Options{CDN: true})
	data := noise(small)
	b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{}), reg.PutBlob("", data))
	readMany(t, b, data, 1)
	reg.Reset()
	reg.Use(On(CDN, Times(20, Status(403))), On(Blob, Latency(100*time.Millisecond)))
	concurrently(t, 20, func(i int) error {
		p := make([]byte, 100)
		_, err := b.ReadAt(p, int64(i)*100)
		return err
	})
	if n := reg.Count(Blob); n > 3 {
		t.Errorf("the registry was asked %d times by 20 readers", n)
	}
}

// TestRedirectShortLived reads where addresses live for a moment only.
func TestRedirectShortLived(t *testing.T) {
	reg := Start(t, Options{CDN: true, CDNLife: 60 * time.Millisecond, Auth: Auth{Mode: Bearer, Uses: 3}})
	reg.Use(On(CDN, Latency(5*time.Millisecond)))
	data := noise(small)
	retry := impatient
	retry.Attempts = 10
	b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{Retry: retry}), reg.PutBlob("", data))
	readMany(t, b, data, 20)
	noAuthorization(t, reg)
}

// TestStorageFails treats errors of storage as what they are.
func TestStorageFails(t *testing.T) {
	for _, c := range []struct {
		name      string
		fault     Fault
		err       error
		blob, cdn int
	}{
		{"503 once", Times(1, Status(503)), nil, 2, 2},
		{"403 for ever", Status(403), fetch.ErrUnreachable, 3, 3},
		{"404", Status(404), fetch.ErrNotFound, 1, 1},
		{"401 with a challenge", All(Header("WWW-Authenticate", `Basic realm="give me"`), Status(401)), fetch.ErrUnreachable, 3, 3},
		{"hang up once", Times(1, HangUp()), nil, 2, 2},
		{"cut", Times(1, Cut(10)), nil, 1, 2},
		{"range ignored", IgnoreRange(), nil, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := Start(t, Options{CDN: true})
			data := noise(small)
			reg.Use(On(CDN, c.fault))
			b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{Auth: user}), reg.PutBlob("", data))
			p := make([]byte, 1000)
			_, err := b.ReadAt(p, 500)
			checkErr(t, err, c.err)
			noAuthorization(t, reg)
			if err == nil && !bytes.Equal(p, data[500:1500]) {
				t.Error("wrong bytes")
			}
			expect(t, reg, map[Kind]int{Blob: c.blob, CDN: c.cdn})
		})
	}
}

// TestRedirectPolicy follows redirects as far as they may lead.
func TestRedirectPolicy(t *testing.T) {
	hop := func(r *http.Request) string { // within the registry
		i := 0
		fmt.Sscanf(r.URL.Query().Get("hop"), "%d", &i)
		return fmt.Sprintf("http://%s%s?hop=%d", r.Host, r.URL.Path, i+1)
	}
	to := func(s string) func(*http.Request) string { return func(*http.Request) string { return s } }
	below := func(n int, f Fault) Fault {
		return If(func(r *http.Request) bool {
			i := 0
			fmt.Sscanf(r.URL.Query().Get("hop"), "%d", &i)
			return i < n
		}, f)
	}
	for _, c := range []struct {
		name  string
		fault Fault
		err   error
		blob  int
	}{
		{"eight hops", below(8, Redirect(307, hop)), nil, 9},
		{"ten hops", below(10, Redirect(302, hop)), nil, 11},
		{"eleven hops", below(11, Redirect(302, hop)), fetch.ErrUnreachable, 11},
		{"a loop", Redirect(301, hop), fetch.ErrUnreachable, 11},
		{"a file", Redirect(307, to("file:///etc/passwd")), fetch.ErrUnreachable, 1},
		{"another scheme", Redirect(307, to("gopher://127.0.0.1/")), fetch.ErrUnreachable, 1},
		{"no host", Redirect(307, to("http:///x")), fetch.ErrUnreachable, 1},
		{"a metadata service", Redirect(307, to("http://169.254.169.254/latest/meta-data/")), fetch.ErrUnreachable, 1},
		{"another one", Redirect(307, to("http://[fd00:ec2::254]/")), fetch.ErrUnreachable, 1},
		{"another one, disguised", Redirect(307, to("http://[::ffff:169.254.169.254]/")), fetch.ErrUnreachable, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := Start(t, Options{})
			d := reg.PutBlob("", noise(small))
			reg.Use(c.fault)
			b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{}), d)
			_, err := b.ReadAt(make([]byte, 100), 0)
			checkErr(t, err, c.err)
			expect(t, reg, map[Kind]int{Blob: c.blob})
		})
	}
}

// TestCredentialsStay sends no credentials to where a redirect leads, not
// even to another port of the same host, nor when it leads back.
func TestCredentialsStay(t *testing.T) {
	var mu sync.Mutex
	var seen []http.Header
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Clone())
		mu.Unlock()
		http.Redirect(w, r, r.URL.Query().Get("back"), http.StatusTemporaryRedirect)
	}))
	defer other.Close()
	reg := Start(t, Options{Auth: Auth{Mode: Basic, Username: "u", Password: "p"}})
	d := reg.PutBlob("", noise(small))
	reg.Use(On(Blob, If(func(r *http.Request) bool { return r.Header.Get("Authorization") != "" },
		Redirect(307, func(r *http.Request) string {
			return other.URL + "/?back=http://" + r.Host + "/v2/a/b/blobs/x"
		}))))
	b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{
		Auth:   fetch.Auth{Username: "u", Password: "p"},
		Header: http.Header{"X-Secret": {"s"}},
	}), d)
	if _, err := b.ReadAt(make([]byte, 100), 0); err == nil {
		t.Error("no error")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) == 0 {
		t.Error("the redirect was not followed")
	}
	for _, h := range seen {
		if h.Get("Authorization") != "" || h.Get("X-Secret") != "" {
			t.Errorf("the other host has seen %v", h)
		}
	}
	for _, r := range reg.Requests(Blob) {
		if strings.HasSuffix(r.Path, "/blobs/x") && r.Authorization != "" {
			t.Error("credentials were sent after a detour")
		}
	}
}

// TestNoDowngrade refuses to be led from https to http.
func TestNoDowngrade(t *testing.T) {
	reg, ca := startTLS(t, Options{})
	d := reg.PutBlob("", noise(small))
	reg.Use(Redirect(307, func(r *http.Request) string { return "http://" + r.Host + r.URL.Path }))
	b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{CAFile: ca}), d)
	_, err := b.ReadAt(make([]byte, 100), 0)
	checkErr(t, err, fetch.ErrUnreachable)
	if err != nil && !strings.Contains(err.Error(), "from https to http") {
		t.Error(err)
	}
	expect(t, reg, map[Kind]int{Blob: 1})
}
