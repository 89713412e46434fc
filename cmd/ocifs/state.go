package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
)

// A record is what a daemon says of its mount, in mount.json in a directory
// of its own below the state directory. The daemon writes it when the mount
// is live and removes it when it ends; one left behind belongs to a daemon
// that was killed. What is zero is not known: of mounts that nobody recorded.
type record struct {
	Schema     string        `json:"schema"`
	ID         string        `json:"id,omitzero"`
	Mountpoint string        `json:"mountpoint"`
	Device     string        `json:"device"`            // st_dev of the mount, see fs.Device
	Bundle     string        `json:"bundle,omitempty"`  // whose root it is
	Overlay    bool          `json:"overlay,omitempty"` // there is one over it
	Ref        string        `json:"ref"`
	Digest     string        `json:"digest,omitzero"`
	Signed     string        `json:"signed,omitempty"` // the digest that --verify-key was found to have signed
	Platform   string        `json:"platform,omitzero"`
	PID        int           `json:"pid,omitzero"`
	PIDStart   uint64        `json:"pid_start,omitzero"` // clock ticks after boot: tells a reused pid
	Started    time.Time     `json:"started,omitzero"`
	CacheDir   string        `json:"cache_dir,omitzero"`
	Log        string        `json:"log,omitzero"`    // a file, or logJournal
	Size       int64         `json:"size,omitzero"`   // of all layers, as the registry has them
	Layers     []layerRecord `json:"layers,omitzero"` // base first

	face // what shows it
}

// A layerRecord is a layer of a mounted image.
type layerRecord struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Format string `json:"format"`
	Index  string `json:"index"` // where it is from: an image.Origin
	Lazy   bool   `json:"lazy"`  // readable in pieces when it was mounted, without a pass
}

// What Log of a record is, where it is no file that somebody has named.
const (
	logBeside  = "beside"  // until it is written: a file beside it
	logJournal = "journal" // where systemd keeps what its services say
)

const (
	recordSchema = "ocifs.dev/mount/v1"
	recordFile   = "mount.json"
	maxRecord    = 1 << 20 // bytes; 127 layers take less than 64 KiB
)

// A stateDir is where live mounts are recorded.
type stateDir string

// stateDirOf is --state-dir, or what is usual: /run/ocifs for root, and for a
// user a directory of the session, or else one of their own where temporary
// files go.
func stateDirOf(cc *cli.Context) (stateDir, error) {
	if dir := cc.String("state-dir"); dir != "" {
		dir, err := filepath.Abs(dir)
		return stateDir(dir), err
	}
	if os.Geteuid() == 0 {
		return "/run/ocifs", nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return stateDir(filepath.Join(dir, "ocifs")), nil
	}
	return stateDir(filepath.Join(os.TempDir(), fmt.Sprintf("ocifs-%d", os.Geteuid()))), nil
}

// make creates the state directory, or refuses one that somebody else could
// have prepared.
func (d stateDir) make() error {
	err := os.MkdirAll(filepath.Dir(string(d)), 0o755)
	if err == nil {
		err = os.Mkdir(string(d), 0o700)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return hint(fmt.Errorf("state directory: %w", err), "choose another with --state-dir")
	}
	return d.check()
}

// check refuses a state directory that is not ours alone.
func (d stateDir) check() error {
	fi, err := os.Lstat(string(d))
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	ours := ok && fi.IsDir() && int(st.Uid) == os.Geteuid()
	if ours && fi.Mode().Perm()&0o077 != 0 {
		return hint(fmt.Errorf("state directory %s is open to others (mode %04o)", quote(string(d)), fi.Mode().Perm()),
			"keep it to yourself: chmod 700 "+quote(string(d)))
	}
	if !ours {
		return hint(fmt.Errorf("state directory %s is not a directory that only you may use", quote(string(d))),
			"remove it, or choose another with --state-dir")
	}
	return nil
}

// write records r, under a new ID, which it sets. What a killed daemon left
// of a mount at the same place goes.
func (d stateDir) write(r *record) error {
	if err := d.make(); err != nil {
		return err
	}
	old, err := d.records()
	if err != nil {
		return err
	}
	for _, o := range old {
		if o.Mountpoint == r.Mountpoint && !o.running() {
			d.remove(o.ID)
		}
	}
	d.sweep()
	tmp := d.unfinished("new")
	if err = os.Mkdir(tmp, 0o700); err == nil {
		err = d.record(r, tmp)
	}
	if err != nil {
		os.RemoveAll(tmp)
		return fmt.Errorf("state directory: %w", err)
	}
	return nil
}

// record writes r into the directory tmp, and gives that the name of an ID
// that isn't taken.
func (d stateDir) record(r *record, tmp string) error {
	for beside := r.Log == logBeside; ; {
		if r.ID = newID(); beside {
			r.Log = filepath.Join(d.dir(r.ID), logName)
		}
		b, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			err = os.WriteFile(filepath.Join(tmp, recordFile), append(b, '\n'), 0o600)
		}
		if err == nil {
			err = os.Rename(tmp, d.dir(r.ID))
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// remove forgets a mount.
func (d stateDir) remove(id string) error {
	tmp := d.unfinished(id)
	if err := os.Rename(d.dir(id), tmp); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return os.RemoveAll(tmp)
}

// unfinished names a directory that this process is making or removing.
func (d stateDir) unfinished(what string) string {
	return d.dir(fmt.Sprintf("%s%d-%s", unfinishedPrefix, os.Getpid(), what))
}

const unfinishedPrefix = ".pid"

// sweep removes what processes that are gone have left unfinished.
func (d stateDir) sweep() {
	dirs, err := os.ReadDir(string(d))
	if err != nil {
		return
	}
	for _, e := range dirs {
		var pid int
		if n, _ := fmt.Sscanf(e.Name(), unfinishedPrefix+"%d-", &pid); n != 1 {
			continue
		}
		if _, err := startOf(pid); errors.Is(err, fs.ErrNotExist) {
			os.RemoveAll(d.dir(e.Name()))
		}
	}
}

func (d stateDir) dir(id string) string { return filepath.Join(string(d), id) }

// newID is four letters and digits: short enough to type, and the directory
// tells whether it is taken.
func newID() string { return strings.ToLower(rand.Text()[:4]) }

// records reads what is recorded, oldest first. What is no record is left
// out: a daemon may be writing it, or removing it, just now.
func (d stateDir) records() ([]record, error) {
	err := d.check()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	dirs, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	var all []record
	for _, e := range dirs {
		if r, ok := d.read(e.Name()); ok {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b record) int { return a.Started.Compare(b.Started) })
	return all, nil
}

func (d stateDir) read(id string) (record, bool) {
	b, err := os.ReadFile(filepath.Join(d.dir(id), recordFile))
	if err != nil || len(b) > maxRecord {
		return record{}, false
	}
	var r record
	err = json.Unmarshal(b, &r)
	return r, err == nil && r.Schema == recordSchema && r.ID == id && filepath.IsAbs(r.Mountpoint) && r.PID > 0
}

// running reports whether the daemon lives: its pid is there and means the
// same process.
func (r *record) running() bool {
	start, err := startOf(r.PID)
	return err == nil && start == r.PIDStart
}

// startOf is when a process started, in clock ticks after boot: field 22 of
// proc_pid_stat(5), the twentieth after the name, which is in parentheses and
// may hold anything. A zombie has ended.
func startOf(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	i := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[i+1:]))
	if i < 0 || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, fmt.Errorf("process %d: %w", pid, fs.ErrNotExist)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
