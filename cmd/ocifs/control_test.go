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
)

// TestStats asks a live mount in each way.
func TestStats(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	w.fails(exitNotFound, "not", "stats", w.mnt)
	w.ok("mount", w.ref, w.mnt)
	if _, err := os.ReadFile(filepath.Join(w.mnt, "etc/motd")); err != nil {
		t.Fatal(err)
	}
	if got := w.ok("stats", w.mnt); !strings.Contains(got, "read     6 B, 0 reads failed\n") || !strings.Contains(got, " read 1\n") {
		t.Errorf("%s", got)
	}
	var doc struct {
		Socket string
		Read   int64
		Ops    map[string]uint64
	}
	if w.decode(&doc, "stats", "--json", w.mnt); doc.Read != 6 || doc.Ops["read"] != 1 {
		t.Errorf("%+v", doc)
	}
	if fi, err := os.Stat(doc.Socket); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", fi, err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", doc.Socket)
	}}}
	for path, want := range map[string]string{"/healthz": "ok\n", "/metrics": "# TYPE ocifs_read_bytes_total counter\nocifs_read_bytes_total 6\n", "/": "404"} {
		r, err := client.Get("http://mount" + path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if !strings.Contains(string(b), want) {
			t.Errorf("%s: %s", path, b)
		}
	}
	w.ok("umount", w.mnt)
	w.nothingLeft()
}
