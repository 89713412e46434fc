package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// A mount's process answers HTTP at the socket beside its record, to its own user
// and root:
//
//	/v1/stats   vitals, as JSON
//	/metrics    the same, as Prometheus reads it (text format, version 0.0.4)
//	/healthz    200, as long as the process serves the mount
//
// No metric has an image, a path or a digest as a label: a socket is of one mount.

// controlServer answers with what now tells.
func controlServer(now func() vitals) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(now())
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		now().metrics(w)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	return &http.Server{
		Handler: mux, MaxHeaderBytes: 1 << 14, ErrorLog: log.New(io.Discard, "", 0),
		ReadTimeout: vitalsWait, WriteTimeout: vitalsWait, IdleTimeout: vitalsWait,
	}
}

// metrics writes v as Prometheus reads it.
func (v vitals) metrics(w io.Writer) {
	counter := func(name, help string) { fmt.Fprintf(w, "# HELP %s %s\n# TYPE %[1]s counter\n", name, help) }
	for _, c := range []struct {
		name, help string
		value      int64
	}{
		{"ocifs_registry_requests_total", "HTTP requests to the registry.", v.Requests},
		{"ocifs_fetch_bytes_total", "Bytes that came from the registry.", v.Fetched},
		{"ocifs_read_bytes_total", "Bytes that readers of the mount were given.", v.Read},
		{"ocifs_read_errors_total", "Reads that failed.", v.FailedReads},
	} {
		counter(c.name, c.help)
		fmt.Fprintf(w, "%s %d\n", c.name, c.value)
	}
	counter("ocifs_fs_ops_total", "Requests of the kernel, by kind.")
	for _, op := range slices.Sorted(maps.Keys(v.Ops)) {
		fmt.Fprintf(w, "ocifs_fs_ops_total{op=%q} %d\n", op, v.Ops[op])
	}
}

// peers lets only this user and root connect, whatever the directory's
// permissions have become.
type peers struct{ net.Listener }

// Accept implements net.Listener.
func (p peers) Accept() (net.Conn, error) {
	for {
		c, err := p.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if u, ok := c.(*net.UnixConn); ok && ours(u) {
			return c, nil
		}
		c.Close()
	}
}

// ours says whether the other end is this user's, or root's.
func ours(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	ok := false
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		ok = err == nil && (cred.Uid == 0 || int(cred.Uid) == os.Geteuid())
	})
	return ok && err == nil
}
