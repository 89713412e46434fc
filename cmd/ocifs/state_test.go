package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ocifs.dev/ocifs/fs"
)

// testState is a state directory that belongs to the test.
func testState(t *testing.T) stateDir { return stateDir(filepath.Join(t.TempDir(), "state")) }

// thisProcess is a record of a mount that this process would serve.
func thisProcess(t *testing.T, mountpoint string) record {
	start, err := startOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return record{Schema: recordSchema, Mountpoint: mountpoint, PID: os.Getpid(), PIDStart: start, Started: time.Now()}
}

func TestState(t *testing.T) {
	d := testState(t)
	if rs, err := d.records(); len(rs) != 0 || err != nil {
		t.Errorf("before the first: %v, %v", rs, err)
	}
	first, second := thisProcess(t, "/a"), thisProcess(t, "/b")
	second.Started = first.Started.Add(time.Second)
	for _, r := range []*record{&second, &first} {
		if err := d.write(r); err != nil {
			t.Fatal(err)
		}
	}
	rs, err := d.records()
	if err != nil || len(rs) != 2 || rs[0].ID != first.ID || rs[1].ID != second.ID || rs[0].ID == rs[1].ID {
		t.Errorf("%+v, %v", rs, err)
	}
	if err := errors.Join(d.remove(first.ID), d.remove(second.ID)); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(string(d)); len(left) != 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestStateOfOthers refuses a directory that is not this user's alone.
func TestStateOfOthers(t *testing.T) {
	mode := testState(t)
	if err := errors.Join(os.Mkdir(string(mode), 0o700), os.Chmod(string(mode), 0o770)); err != nil {
		t.Fatal(err)
	}
	link := testState(t)
	if err := os.Symlink(t.TempDir(), string(link)); err != nil {
		t.Fatal(err)
	}
	file := testState(t)
	if err := os.WriteFile(string(file), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dirs := []stateDir{mode, link, file}
	if os.Getuid() == 0 {
		other := testState(t)
		if err := errors.Join(os.Mkdir(string(other), 0o700), os.Chown(string(other), 12345, 0)); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, other)
	}
	for _, d := range dirs {
		if err := d.make(); err == nil {
			t.Errorf("%s: made", d)
		}
		if _, err := d.records(); err == nil {
			t.Errorf("%s: read", d)
		}
		r := thisProcess(t, "/m")
		if err := d.write(&r); err == nil {
			t.Errorf("%s: written", d)
		}
	}
}

// TestStateGarbage reads over what is no record.
func TestStateGarbage(t *testing.T) {
	d := testState(t)
	if err := d.make(); err != nil {
		t.Fatal(err)
	}
	for id, body := range map[string]string{
		"none":  "",
		"empty": "{}",
		"text":  "hello",
		"other": `{"schema":"ocifs.dev/mount/v9","id":"other","mountpoint":"/m","pid":1}`,
		"moved": `{"schema":"ocifs.dev/mount/v1","id":"else","mountpoint":"/m","pid":1}`,
		"rel":   `{"schema":"ocifs.dev/mount/v1","id":"rel","mountpoint":"m","pid":1}`,
		"nopid": `{"schema":"ocifs.dev/mount/v1","id":"nopid","mountpoint":"/m"}`,
		"minus": `{"schema":"ocifs.dev/mount/v1","id":"minus","mountpoint":"/m","pid":-1}`,
	} {
		if err := os.Mkdir(d.dir(id), 0o700); err != nil {
			t.Fatal(err)
		}
		if body == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(d.dir(id), recordFile), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(d.dir("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if rs, err := d.records(); len(rs) != 0 || err != nil {
		t.Errorf("%+v, %v", rs, err)
	}
}

// TestStates compares records with the two tables that tell whether they are
// true.
func TestStates(t *testing.T) {
	table := fs.Table{
		{ID: 1, Mountpoint: "/", FSType: "ext4"},
		{ID: 2, Parent: 1, Mountpoint: "/m", FSType: fs.Type, Source: "img", Minor: 50},
		{ID: 3, Parent: 1, Mountpoint: "/other", FSType: fs.Type, Source: "x", Minor: 51},
		{ID: 4, Parent: 1, Mountpoint: "/old", FSType: fs.Type, Source: "img", Minor: 52},
		{ID: 5, Parent: 4, Mountpoint: "/old", FSType: "tmpfs", Minor: 53},
		{ID: 6, Parent: 1, Mountpoint: "/new", FSType: fs.Type, Source: "img", Minor: 54},
	}
	live := thisProcess(t, "/m")
	live.Device, live.Ref = "0:50", "img"
	reused := live
	reused.PIDStart-- // somebody else had the pid before
	detached := thisProcess(t, "/gone")
	detached.Device = "0:99"
	another := thisProcess(t, "/m") // had the device before
	another.Device, another.Ref = "0:50", "other"
	under := thisProcess(t, "/old")
	under.Device, under.Ref = "0:52", "img"
	deadUnder := under
	deadUnder.PIDStart--
	moved := live
	moved.Mountpoint, moved.Device = "/gone", "0:54"
	child := exec.Command("true")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	zombie := live
	zombie.PID = child.Process.Pid
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // until it is one
		if start, err := startOf(zombie.PID); err != nil || time.Now().After(end) {
			break
		} else {
			zombie.PIDStart = start
		}
	}
	for _, c := range []struct {
		what string
		r    record
		want string
	}{
		{"live", live, stateOK}, {"reused", reused, stateDead}, {"detached", detached, stateDetached}, {"zombie", zombie, stateDead},
		{"under another", under, stateCovered}, {"dead, under another", deadUnder, stateCovered}, {"moved", moved, stateOK}, {"with another's device", another, stateDetached},
	} {
		if got := c.r.place(table).state; got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	all := compare([]record{live, under, moved}, table)
	if len(all) != 4 || all[0].State != stateOK || all[3].State != stateUnknown || all[3].Mountpoint != "/other" || all[3].Ref != "x" {
		t.Errorf("%+v", all)
	}
}

// TestRemount replaces what a killed daemon has left at a mountpoint, and
// nothing else.
func TestRemount(t *testing.T) {
	d := testState(t)
	dead, elsewhere, live := thisProcess(t, "/m"), thisProcess(t, "/n"), thisProcess(t, "/m")
	dead.PIDStart--
	elsewhere.PIDStart--
	for _, r := range []*record{&dead, &elsewhere, &live} {
		if err := d.write(r); err != nil {
			t.Fatal(err)
		}
	}
	rs, err := d.records()
	if err != nil || len(rs) != 2 || lastAt(rs, "/m").ID != live.ID || lastAt(rs, "/n") == nil {
		t.Errorf("%+v, %v", rs, err)
	}
}

// TestStateSweep removes what a process that is gone left half made, and
// nothing else.
func TestStateSweep(t *testing.T) {
	d := stateDir(filepath.Join(t.TempDir(), "state"))
	if err := d.make(); err != nil {
		t.Fatal(err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(string(d), fmt.Sprintf(".pid%d-new", gone.Process.Pid))
	mine := d.unfinished("abcd")
	for _, dir := range []string{dead, mine, d.dir("live")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d.sweep()
	if _, err := os.Stat(dead); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("of a process that is gone: %v", err)
	}
	for _, dir := range []string{mine, d.dir("live")} {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
}

// TestDirectoriesRefused says of directories that can't be used what would help.
func TestDirectoriesRefused(t *testing.T) {
	w := newWorld(t)
	if err := os.WriteFile(w.in("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(exitUsage, "file is not a directory", "bundle", w.ref, "file")
	if err := os.Mkdir(w.in("open"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(w.in("open"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.fails(exitFailure, "chmod 700 "+w.in("open"), "mounts", "--state-dir", w.in("open"))
}
