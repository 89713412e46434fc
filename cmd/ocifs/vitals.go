package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Vitals are what a daemon counts. It tells them to whoever connects to the
// socket beside its record, which its directory keeps from others.
type vitals struct {
	Requests    int64 `json:"requests"`     // to the registry
	Fetched     int64 `json:"fetched"`      // bytes from it
	Read        int64 `json:"read"`         // bytes that readers of the mount got
	FailedReads int64 `json:"failed_reads"` // with EIO
}

const (
	socketFile = "socket"
	maxVitals  = 1 << 16         // bytes
	vitalsWait = time.Second / 2 // for a daemon that may hang
)

// tellVitals answers at the record's socket until stop is called.
func (d stateDir) tellVitals(id string, now func() vitals) (stop func(), err error) {
	var l net.Listener
	err = d.inside(id, func(dir string) error {
		l, err = net.Listen("unix", filepath.Join(dir, socketFile))
		return err
	})
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its directory goes as a whole
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(vitalsWait))
			json.NewEncoder(c).Encode(now())
			c.Close()
		}
	}()
	return func() {
		l.Close()
		<-done
	}, nil
}

// vitals asks the daemon of a record.
func (d stateDir) vitals(id string) (v vitals, err error) {
	var c net.Conn
	err = d.inside(id, func(dir string) error {
		c, err = net.DialTimeout("unix", filepath.Join(dir, socketFile), vitalsWait)
		return err
	})
	if err != nil {
		return v, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(vitalsWait))
	return v, json.NewDecoder(io.LimitReader(c, maxVitals)).Decode(&v)
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
