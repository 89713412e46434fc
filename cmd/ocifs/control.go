package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A mount's process answers HTTP at the socket beside its record, to its own user
// and root:
//
//	/v1/stats   vitals, as JSON
//	/metrics    the same and more, as Prometheus reads it
//	/healthz    200 and "ok"; 503 and why, a line each, where something is wrong
//
// Wrong is what a user should mend, though what is cached reads on: that the
// latest fetch failed, after all retries; that what is fetched can't be kept, as
// the disk is full, can't be written to, or has lost the files; that a layer was
// found to be another one than its index told. It is well again when the next
// fetch, or write, succeeds. Nothing is tried for the answer.

// controlServer answers with what now and the watcher tell.
func controlServer(w *watcher, now func() vitals) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/stats", func(to http.ResponseWriter, _ *http.Request) {
		to.Header().Set("Content-Type", "application/json")
		json.NewEncoder(to).Encode(now())
	})
	mux.HandleFunc("GET /metrics", func(to http.ResponseWriter, _ *http.Request) {
		to.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.metrics(to, now())
	})
	mux.HandleFunc("GET /healthz", func(to http.ResponseWriter, _ *http.Request) {
		trouble := now().Trouble
		if len(trouble) == 0 {
			fmt.Fprintln(to, "ok")
			return
		}
		to.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(to, strings.Join(trouble, "\n"))
	})
	return &http.Server{
		Handler: mux, MaxHeaderBytes: 1 << 14, ErrorLog: log.New(io.Discard, "", 0),
		ReadTimeout: vitalsWait, WriteTimeout: vitalsWait, IdleTimeout: vitalsWait,
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
