package tests

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// told is the log of a registry, as much of it as laziness is about.
func told(reg *registrytest.Server) []string {
	var list []string
	for _, r := range reg.Requests() {
		list = append(list, string(r.Kind)+" "+r.Method)
	}
	return list
}

// served serves the images of fixture from a registry, as "app".
func served(t *testing.T, o registrytest.Options) *registrytest.Server {
	t.Helper()
	reg := registrytest.Start(t, o)
	if err := reg.PushLayout("app", "", fixture(t).layout); err != nil {
		t.Fatal(err)
	}
	return reg
}

// TestRequests counts what a mount asks of a registry: to the last one.
func TestRequests(t *testing.T) {
	needFUSE(t)
	reg, want := served(t, registrytest.Options{}), fixture(t).want
	u := newUser(t)
	ref := reg.Host + "/app"
	layers := len(archives())

	m := u.mount(t, ref+":p1")
	// What the tag points at, the manifest, the configuration; is there an
	// index, by the referrers API and by the tag that stands in for it; layers.
	expect(t, reg, "the first mount", map[registrytest.Kind]int{registrytest.Manifest: 3, registrytest.Referrers: 1, registrytest.Blob: 1 + layers})
	lt.Compare(t, want, m.dir)
	readAtRandom(t, want, m.dir)
	m.unmount(t, u)
	expect(t, reg, "reading all of it", nil)

	m = u.mount(t, ref+":p1")
	expect(t, reg, "the second mount, by tag", map[registrytest.Kind]int{registrytest.Manifest: 1})
	lt.Compare(t, want, m.dir)
	m.unmount(t, u)
	expect(t, reg, "reading all of it again", nil)

	byDigest := ref + "@" + digestOf(packed("", lt.GzipLayer)).String()
	m = u.mount(t, byDigest)
	lt.Compare(t, want, m.dir)
	m.unmount(t, u)
	expect(t, reg, "a mount by digest", nil)

	m = u.mount(t, ref+":x", "--platform", "linux/amd64")
	m.unmount(t, u)
	expect(t, reg, "an index of the same image", map[registrytest.Kind]int{registrytest.Manifest: 2, registrytest.Blob: 0})

	reg.Close()
	m = u.mount(t, byDigest)
	lt.Compare(t, want, m.dir)
	m.unmount(t, u)
	u.refused(t, exitUnreachable, "mount", "--retry", "1", ref+":p1", tempDir(t))
}

// expect holds the log to these numbers, and empties it.
func expect(t *testing.T, reg *registrytest.Server, what string, want map[registrytest.Kind]int) {
	t.Helper()
	total := 0
	for kind, n := range want {
		total += n
		if got := reg.Count(kind); got != n {
			t.Errorf("%s: %d requests of kind %s, want %d", what, got, kind, n)
		}
	}
	if got := reg.Count(); got != total {
		t.Errorf("%s: %d requests, want %d: %q", what, got, total, told(reg))
	}
	reg.Reset()
}

// TestRegistries mounts from registries of several manners.
func TestRegistries(t *testing.T) {
	needFUSE(t)
	login := registrytest.Auth{Username: "user", Password: "pa:ss"}
	basic, bearer, brief := login, login, login
	basic.Mode, bearer.Mode, brief.Mode, brief.Uses = registrytest.Basic, registrytest.Bearer, registrytest.Bearer, 8
	for name, o := range map[string]registrytest.Options{
		"open":               {},
		"redirecting":        {CDN: true},
		"basic":              {Auth: basic},
		"bearer":             {Auth: bearer, CDN: true},
		"bearer, anonymous":  {Auth: registrytest.Auth{Mode: registrytest.Bearer}},
		"short-lived tokens": {Auth: brief},
	} {
		t.Run(name, func(t *testing.T) {
			reg, want := served(t, o), fixture(t).want
			u := newUser(t)
			var options []string
			if o.Auth.Username != "" {
				u.refused(t, exitAuth, "mount", reg.Host+"/app:p1", tempDir(t))
				u.refused(t, exitAuth, "mount", "--creds", "user:wrong", reg.Host+"/app:p1", tempDir(t))
				options = []string{"--creds", "user:pa:ss"}
			}
			for _, tag := range []string{"p0", "p1", "p6", "docker"} {
				m := u.mount(t, reg.Host+"/app:"+tag, options...)
				lt.Compare(t, want, m.dir)
				m.unmount(t, u)
			}
			u.refused(t, exitNotFound, append([]string{"mount", reg.Host + "/app:nowhere", tempDir(t)}, options...)...)
		})
	}
}

// TestFaults mounts from registries that misbehave, first in what can be
// mended by trying again, then in what can't.
func TestFaults(t *testing.T) {
	needFUSE(t)
	reg, want := served(t, registrytest.Options{}), fixture(t).want
	for name, f := range map[string]registrytest.Fault{
		"500 once":         registrytest.Times(1, registrytest.Status(500)),
		"429, come back":   registrytest.Times(1, registrytest.RetryAfter(429, "0")),
		"hangs up":         registrytest.Times(2, registrytest.HangUp()),
		"layers cut":       registrytest.On(registrytest.Blob, registrytest.Times(5, registrytest.Cut(100_000))),
		"ranges ignored":   registrytest.On(registrytest.Blob, registrytest.IgnoreRange()),
		"HEAD not allowed": registrytest.Method("HEAD", registrytest.Status(405)),
	} {
		t.Run(name, func(t *testing.T) {
			reg.Heal()
			reg.Use(f)
			u := newUser(t)
			m := u.mount(t, reg.Host+"/app:p1")
			lt.Compare(t, want, m.dir)
			m.unmount(t, u)
		})
	}
	for name, c := range map[string]struct {
		code  int
		fault registrytest.Fault
	}{
		"web page":              {exitUnsupported, registrytest.On(registrytest.Manifest, registrytest.Page())},
		"endless manifest":      {exitUnsupported, registrytest.On(registrytest.Manifest, registrytest.Method("GET", registrytest.Endless("application/vnd.oci.image.manifest.v1+json")))},
		"byte flipped":          {exitIntegrity, registrytest.On(registrytest.Blob, registrytest.Flip(1000))},
		"500 for ever":          {exitUnreachable, registrytest.Status(500)},
		"layers cut to nothing": {exitUnreachable, registrytest.On(registrytest.Blob, registrytest.Cut(100))},
		"short answers":         {exitUnreachable, registrytest.On(registrytest.Blob, registrytest.AtMost(5000))},
		"another range":         {exitUnreachable, registrytest.On(registrytest.Blob, registrytest.ShiftRange(1))},
		"hangs up for ever":     {exitUnreachable, registrytest.On(registrytest.Blob, registrytest.HangUp())},
		"redirect loop": {exitUnreachable, registrytest.On(registrytest.Blob, registrytest.Redirect(307, func(r *http.Request) string {
			return "http://" + r.Host + r.URL.Path
		}))},
		"404": {exitNotFound, registrytest.On(registrytest.Manifest, registrytest.Status(404))},
		"403": {exitAuth, registrytest.On(registrytest.Manifest, registrytest.Status(403))},
	} {
		t.Run(name, func(t *testing.T) {
			reg.Heal()
			reg.Use(c.fault)
			u := newUser(t)
			u.refused(t, c.code, "mount", "--retry", "2", reg.Host+"/app:p1", tempDir(t))
		})
	}
}

// TestDockerRegistry mounts what skopeo pushes to the registry that Docker
// made and most others come from.
func TestDockerRegistry(t *testing.T) {
	needFUSE(t)
	registry, skopeo := needProgram(t, "docker-registry"), needProgram(t, "skopeo")
	u := newUser(t)
	host := startDockerRegistry(t, registry)
	layout, want := fixture(t).layout, fixture(t).want
	for i := range packings {
		tag := fmt.Sprintf("p%d", i)
		push := exec.Command(skopeo, "--insecure-policy", "copy", "-q", "--dest-tls-verify=false",
			"oci:"+layout+":"+tag, "docker://"+host+"/app:"+tag)
		if out, err := push.CombinedOutput(); err != nil {
			t.Fatalf("skopeo: %v\n%s", err, out)
		}
		m := u.mount(t, host+"/app:"+tag)
		lt.Compare(t, want, m.dir)
		m.unmount(t, u)
	}
}

// startDockerRegistry runs the registry until the test ends and returns its
// host and port.
func startDockerRegistry(t *testing.T, program string) string {
	dir := tempDir(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: %q}\nlog: {level: error}\n", dir, host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stderr, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	waitFor(t, "docker-registry", func() bool {
		c, err := net.Dial("tcp", host)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return host
}
