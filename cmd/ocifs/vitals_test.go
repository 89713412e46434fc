package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestVitals asks a daemon, also where its socket's name would be too long for
// an address, and where there is none.
func TestVitals(t *testing.T) {
	d := stateDir(filepath.Join(t.TempDir(), strings.Repeat("long", 40)))
	r := thisProcess(t, "/m")
	if err := d.write(&r); err != nil {
		t.Fatal(err)
	}
	if _, err := d.vitals(r.ID); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a socket: %v", err)
	}
	want := vitals{Requests: 1, Fetched: 2, Read: 3, FailedReads: 4, Ops: map[string]uint64{"read": 5}}
	stop, err := d.tellVitals(r.ID, newWatcher(), func() vitals { return want })
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got, err := d.vitals(r.ID); !reflect.DeepEqual(got, want) || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	}
	stop()
	if _, err := d.vitals(r.ID); err == nil {
		t.Error("an answer after the end")
	}
	if err := d.remove(r.ID); err != nil {
		t.Error(err)
	}
}

// TestVitalsGarbage asks what is no daemon.
func TestVitalsGarbage(t *testing.T) {
	d := testState(t)
	r := thisProcess(t, "/m")
	if err := d.write(&r); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(d.dir(r.ID), socketFile))
	if err != nil {
		t.Skip(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte(`{"requests": "many"` + strings.Repeat(" ", 1<<17)))
			c.Close()
		}
	}()
	defer l.Close()
	if v, err := d.vitals(r.ID); err == nil {
		t.Errorf("%+v", v)
	}
}

// TestMountsTable shows mounts in each state.
func TestMountsTable(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	w.ok("mount", w.ref, w.mnt)
	if out := w.ok("mounts", w.mnt); !strings.Contains(out, "  local  ") || !strings.Contains(out, "  0/2  ") {
		t.Errorf("%s", out)
	}
	w.ok("umount", w.mnt)
}
