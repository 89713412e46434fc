package fetch

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseContentRange(t *testing.T) {
	for s, want := range map[string][3]int64{
		"bytes 0-499/1234":              {0, 500, 1234},
		"bytes 5-5/6":                   {5, 6, 6},
		"Bytes 0-0/*":                   {0, 1, -1},
		"bytes 0-0/0":                   {},
		"bytes 0-5/5":                   {},
		"bytes 5-4/10":                  {},
		"bytes */10":                    {},
		"bytes -5/10":                   {},
		"bytes 5-/10":                   {},
		"bytes 0-1":                     {},
		"bytes  0-1/2":                  {},
		"bytes +0-1/2":                  {},
		"bytes 0-1/2 ":                  {},
		"items 0-1/2":                   {},
		"0-1/2":                         {},
		"":                              {},
		"bytes 0-9223372036854775807/*": {},
		"bytes 0-4611686018427387903/9223372036854775807":    {0, 1 << 62, math.MaxInt64},
		"bytes 0-99999999999999999999/100000000000000000000": {},
	} {
		start, end, total, err := parseContentRange(s)
		if got := [3]int64{start, end, total}; got != want || (err == nil) != (want != [3]int64{}) {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-499/1234", "bytes 0-0/*", "bytes 5-4/10", "bytes */10", "", "bytes 0-9223372036854775807/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		start, end, total, err := parseContentRange(s)
		if err == nil && (start < 0 || end <= start || total != -1 && total < end) {
			t.Errorf("%q: %d %d %d", s, start, end, total)
		}
	})
}

func TestClean(t *testing.T) {
	for s, want := range map[string]string{
		"plain": "plain",
		`Get "https://user:pass@host/path?sig=secret#frag": EOF`: `Get "https://host/path": EOF`,
		"http://u@h?q and https://x:y@z/":                        "http://h and https://z/",
		"HTTPS://user:p@h/?x=http://v:w@y":                       "HTTPS://h/",
		"a\nb\r\x1b[0m\x00":                                      `a\nb\r\x1b[0m\x00`,
		"bad \xff utf8":                                          `bad \xff utf8`,
		"right-to-left \u202e":                                   `right-to-left \u202e`,
		"ünïcode":                                                "ünïcode",
		"10:00 a@b.c 50% ?x":                                     "10:00 a@b.c 50% ?x",
	} {
		if got := clean(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("https://u:p@h/x?y", "a\nb")
	f.Fuzz(func(t *testing.T, host, s string) {
		got := clean(s)
		if len(got) > 10*maxText || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x1b\x00") {
			t.Errorf("%q", got)
		}
	})
}

func TestAddresses(t *testing.T) {
	for s, want := range map[string]struct{ forbidden, loopback bool }{
		"8.8.8.8":                  {},
		"10.1.2.3":                 {},
		"192.168.0.1":              {},
		"fd12::1":                  {},
		"127.0.0.1":                {loopback: true},
		"127.1.2.3":                {loopback: true},
		"::1":                      {loopback: true},
		"169.254.169.254":          {forbidden: true},
		"::ffff:169.254.169.254":   {forbidden: true},
		"64:ff9b::169.254.169.254": {forbidden: true},
		"2002:a9fe:a9fe::1":        {forbidden: true},
		"fe80::1":                  {forbidden: true},
		"fe80::1%eth0":             {forbidden: true},
		"100.100.100.200":          {forbidden: true},
		"168.63.129.16":            {forbidden: true},
		"fd00:ec2::254":            {forbidden: true},
		"fd00:ec2::23":             {forbidden: true},
		"fd20:ce::254":             {forbidden: true},
		"224.0.0.1":                {forbidden: true},
	} {
		addr := netip.MustParseAddr(s).Unmap().WithZone("")
		if got := forbidden(addr); got != want.forbidden {
			t.Errorf("%s: forbidden is %v", s, got)
		}
		if got := isLoopback(s); got != want.loopback {
			t.Errorf("%s: loopback is %v", s, got)
		}
		elsewhere := &network{}
		if got := elsewhere.check(addr) != nil; got != (want.forbidden || want.loopback) {
			t.Errorf("%s: a registry elsewhere may lead there: %v", s, !got)
		}
		there := &network{}
		there.note(addr)
		if there.check(addr) != nil {
			t.Errorf("%s: a registry that is there may not lead there", s)
		}
	}
	if !isLoopback("localhost") || !isLoopback("LOCALHOST") || isLoopback("localhost.example.com") || isLoopback("") {
		t.Error("localhost")
	}
}

// TestDial refuses addresses as they are dialled, whatever the name was.
func TestDial(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	n, err := newNetwork("registry.example", endpoint{}, Options{}, new(meter))
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	u, _ := url.Parse(server.URL)
	client := &http.Client{Transport: n}
	for _, host := range []string{u.Host, "localhost:" + u.Port()} {
		_, err := client.Get("http://" + host)
		if err == nil || !strings.Contains(err.Error(), "refused") || !hopeless(err) {
			t.Errorf("%s: %v", host, err)
		}
	}
	n.home = u.Hostname() // now it is the registry's own
	for _, host := range []string{u.Host, "localhost:" + u.Port()} {
		resp, err := client.Get("http://" + host)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		resp.Body.Close()
	}
}

// TestProxy sends everything through the proxy, wherever that is, and checks
// what can be checked.
func TestProxy(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
	}))
	defer proxy.Close()
	at, _ := url.Parse(proxy.URL)
	n, err := newNetwork("registry.example", endpoint{}, Options{Proxy: http.ProxyURL(at)}, new(meter))
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	client := &http.Client{Transport: n}
	for u, ok := range map[string]bool{
		"http://registry.example/": true,
		"http://cdn.example/":      true,
		"http://10.1.2.3/":         true,
		"http://169.254.169.254/":  false,
	} {
		resp, err := client.Get(u)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != ok {
			t.Errorf("%s: %v", u, err)
		}
	}
	if len(asked) != 3 {
		t.Error(asked)
	}
}
