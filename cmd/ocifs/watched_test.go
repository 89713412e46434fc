package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// ask asks a mount's process.
func ask(t *testing.T, socket, path string) (status int, text string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	r, err := client.Get("http://mount" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// A watchedMount is a mount from a registry that wants a password and gives
// signed addresses, with a log of all there is to log.
type watchedMount struct {
	*world
	reg *registrytest.Server
	liveMount
}

func mountWatched(t *testing.T) *watchedMount {
	t.Helper()
	needFUSE(t)
	reg := registrytest.Start(t, registrytest.Options{CDN: true, Auth: registrytest.Auth{Mode: registrytest.Bearer, Username: "user", Password: "s3cr3t"}})
	l := lt.ZstdChunked(lt.Tar(lt.File("a", prose(2<<20, 1)), lt.File("b", prose(2<<20, 2)), lt.File("c", prose(2<<20, 3))), 64<<10)
	reg.Push("app", "t", registrytest.Layer{Blob: l.Blob, DiffID: l.DiffID, MediaType: l.MediaType, Annotations: l.Annotations})
	m := &watchedMount{world: newWorld(t), reg: reg}
	if r := m.run("mount", "--creds=user:s3cr3t", "--retry=0", "--log-level=debug", reg.Host+"/app:t", m.mnt); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	t.Cleanup(func() { m.run("umount", m.mnt) })
	m.look()
	return m
}

// look asks what there is to know of the mount.
func (m *watchedMount) look() {
	m.t.Helper()
	var doc struct{ Mounts []liveMount }
	if m.decode(&doc, "mounts", "--json", m.mnt); len(doc.Mounts) != 1 || doc.Mounts[0].Vitals == nil {
		m.t.Fatalf("%+v", doc)
	}
	m.liveMount = doc.Mounts[0]
}

func (m *watchedMount) read(name string) error {
	_, err := os.ReadFile(filepath.Join(m.mnt, name))
	return err
}

// readPage reads a page in the middle of a file, and has the kernel ask for no
// other.
func (m *watchedMount) readPage(name string) error {
	f, err := os.Open(filepath.Join(m.mnt, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
		return err
	}
	_, err = f.ReadAt(make([]byte, 4096), 1<<20)
	return err
}

func (m *watchedMount) metrics() samples {
	m.t.Helper()
	_, text := ask(m.t, m.Socket, "/metrics")
	got, err := parseMetrics(text)
	if err != nil {
		m.t.Fatalf("%v:\n%s", err, text)
	}
	return got
}

// TestHealth is well, until a fetch fails, and again when one succeeds; what is
// wrong is told wherever one asks.
func TestHealth(t *testing.T) {
	m := mountWatched(t)
	healthy := func() {
		t.Helper()
		if status, text := ask(t, m.Socket, "/healthz"); status != 200 || text != "ok\n" {
			t.Errorf("%d: %s", status, text)
		}
		if m.look(); m.State != stateOK || m.metrics()["ocifs_healthy"] != 1 {
			t.Errorf("%+v", m.liveMount)
		}
	}
	if err := m.readPage("a"); err != nil {
		t.Fatal(err)
	}
	healthy()
	m.reg.Use(registrytest.Status(503))
	var status int
	var text string
	m.eventually("trouble", func() bool { // what came behind the page of a may not have been the latest fetch yet
		if err := m.readPage("b"); err == nil {
			t.Fatal("no error")
		}
		status, text = ask(t, m.Socket, "/healthz")
		return status != 200
	})
	if err := m.readPage("a"); err != nil { // still there
		t.Error(err)
	}
	if status != 503 || !strings.HasPrefix(text, "the latest fetch failed: "+m.reg.Host) || !strings.Contains(text, "status 503") {
		t.Errorf("%d: %s", status, text)
	}
	m.look()
	got := m.metrics()
	if v := m.Vitals; m.State != stateDegraded || len(v.Trouble) != 1 || v.LastError == nil || !strings.Contains(v.LastError.Text, "read failed, path b") ||
		v.FailedFetches == 0 || v.Errors["EIO"] == 0 || got["ocifs_healthy"] != 0 || got[`ocifs_fs_errors_total{errno="EIO"}`] != float64(v.Errors["EIO"]) {
		t.Errorf("%+v, %v", m.liveMount, got)
	}
	out := m.ok("mounts", "-v", m.mnt)
	for _, want := range []string{m.mnt + "  degraded (", "  digest    " + m.Digest, "  log       " + m.Log, "  trouble   the latest fetch failed: ", " ago: read failed, path b"} {
		if !strings.Contains(out, want) {
			t.Errorf("mounts -v has no %q:\n%s", want, out)
		}
	}
	m.reg.Heal()
	if err := m.readPage("c"); err != nil {
		t.Fatal(err)
	}
	m.eventually("health", func() bool { // a reader doesn't wait for the end of a fetch
		status, _ := ask(t, m.Socket, "/healthz")
		return status == 200
	})
	healthy()
}

// TestCounted holds what a mount has counted to what the registry has seen, and
// to what was read.
func TestCounted(t *testing.T) {
	m := mountWatched(t)
	for _, name := range []string{"a", "b", "a"} {
		if err := m.read(name); err != nil {
			t.Fatal(err)
		}
	}
	var got samples
	m.eventually("all requests to end", func() bool { // readers don't wait for the end of an answer
		got = m.metrics()
		codes := 0.0
		for name, v := range got {
			if strings.HasPrefix(name, "ocifs_registry_answers_total") {
				codes += v
			}
		}
		n := float64(len(m.reg.Requests()))
		return got["ocifs_registry_requests_total"] == n && got["ocifs_registry_request_duration_seconds_count"] == n && codes == n
	})
	if n := got["ocifs_read_duration_seconds_count"]; n != got[`ocifs_fs_ops_total{op="read"}`] || n == 0 {
		t.Errorf("%v reads, %v", n, got[`ocifs_fs_ops_total{op="read"}`])
	}
	if n := got["ocifs_cache_hit_bytes_total"] + got["ocifs_cache_miss_bytes_total"]; n != got["ocifs_read_bytes_total"] || n < 4<<20 || got["ocifs_cache_miss_bytes_total"] == 0 {
		t.Errorf("%v", got)
	}
}

// TestDaemonLog has all requests in the log of a mount in the background, which
// lies beside its record, and nothing that is secret.
func TestDaemonLog(t *testing.T) {
	m := mountWatched(t)
	if err := m.read("a"); err != nil {
		t.Fatal(err)
	}
	if m.Log != m.in("state/"+m.ID+"/log") {
		t.Errorf("it is at %s", m.Log)
	}
	log := ""
	for _, want := range []string{"msg=mounted", "msg=request method=GET url=http://127.0.0.1:", "status=206 bytes="} {
		m.eventually(want+" in the log", func() bool { // nobody waits for a line of it
			b, err := os.ReadFile(m.Log)
			log = string(b)
			return err == nil && strings.Contains(log, want)
		})
	}
	secrets := []string{"s3cr3t", "Bearer", "Basic", "?"}
	for _, r := range m.reg.Requests() {
		secrets = append(secrets, r.Authorization, strings.TrimPrefix(r.Authorization, "Bearer "), strings.TrimPrefix(r.Authorization, "Basic "), r.Query)
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(log, s) {
			t.Errorf("the log has %q:\n%s", s, log)
		}
	}
	if fi, err := os.Stat(m.Log); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	m.ok("umount", m.mnt)
	m.nothingLeft()
}
