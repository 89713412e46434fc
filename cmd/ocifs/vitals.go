package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Vitals are what a daemon counts. It tells them at the socket
// beside its record, which its directory keeps from others.
type vitals struct {
	Requests    int64 `json:"requests"`     // to the registry
	Fetched     int64 `json:"fetched"`      // bytes from it
	Read        int64 `json:"read"`         // bytes that readers of the mount got
	FailedReads int64 `json:"failed_reads"` // with EIO

	Ops    map[string]uint64 `json:"ops,omitempty"`    // the kernel's requests, by kind
	Errors map[string]uint64 `json:"errors,omitempty"` // of these, those answered by an error, by its name

	Retries       int64        `json:"retries"`        // after a pause
	FailedFetches int64        `json:"failed_fetches"` // for reads, after all retries
	Mismatches    int64        `json:"mismatches"`     // what came from the registry and was not what it should be
	Cache         cacheVitals  `json:"cache"`
	Trouble       []string     `json:"trouble,omitempty"` // what is wrong now; see control.go
	LastError     *loggedError `json:"last_error,omitempty"`
}

// cacheVitals are what came of the cache, in decoded bytes.
type cacheVitals struct {
	Hit     int64 `json:"hit"`     // read, and there
	Miss    int64 `json:"miss"`    // read, and not there
	Evicted int64 `json:"evicted"` // to stay below --cache-size
	Unkept  int64 `json:"unkept"`  // that could not be kept
	Damaged int64 `json:"damaged"` // chunks and objects, not bytes
}

const (
	socketFile = "socket"
	maxVitals  = 1 << 16         // bytes
	vitalsWait = time.Second / 2 // for a daemon that may hang
)

// tellVitals answers at the record's socket, see control.go, until stop is called.
func (d stateDir) tellVitals(id string, w *watcher, now func() vitals) (stop func(), err error) {
	var l net.Listener
	err = d.inside(id, func(dir string) error {
		name := filepath.Join(dir, socketFile)
		if l, err = net.Listen("unix", name); err != nil {
			return err
		}
		return os.Chmod(name, 0o600)
	})
	if err != nil {
		if l != nil {
			l.Close()
		}
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its directory goes as a whole
	srv := controlServer(w, now)
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(peers{l})
	}()
	return func() {
		srv.Close()
		<-done
	}, nil
}

// vitals asks the daemon of a record.
func (d stateDir) vitals(id string) (v vitals, err error) {
	dial := func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		err = d.inside(id, func(dir string) error {
			c, err = (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, socketFile))
			return err
		})
		return c, err
	}
	client := http.Client{Timeout: vitalsWait, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	r, err := client.Get("http://mount/v1/stats")
	if err != nil {
		return v, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return v, fmt.Errorf("its process answers %s", r.Status)
	}
	return v, json.NewDecoder(io.LimitReader(r.Body, maxVitals)).Decode(&v)
}

// inside calls f with a short name of a record's directory: the address of a
// socket has room for 107 bytes only.
func (d stateDir) inside(id string, f func(dir string) error) error {
	dir, err := os.Open(d.dir(id))
	if err != nil {
		return err
	}
	defer dir.Close()
	return f(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
}
