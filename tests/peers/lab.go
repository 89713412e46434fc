package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/tests/registrytest"
)

// A lab is where questions are answered: a directory, a registry with the
// images, and what was prepared of them.
type lab struct {
	settings
	registry *registrytest.Registry
	images   []*image

	mu      sync.Mutex // guards servers
	servers map[link]*registrytest.Server

	made  map[string]error // what prepare has done, by file
	sizes map[string]int64 // of gzip files and directories, unpacked
	undo  undo
}

// open prepares a lab below s.work, which it clears of what a killed run left.
func open(ctx context.Context, s settings) (_ *lab, err error) {
	l := &lab{settings: s, servers: map[link]*registrytest.Server{}, made: map[string]error{}, sizes: map[string]int64{}}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if os.Getuid() != 0 {
		return nil, errors.New("mounting what is compared takes root's rights")
	}
	if err := os.MkdirAll(s.work, 0o755); err != nil {
		return nil, err
	}
	if err := l.lock(); err != nil {
		return nil, err
	}
	if err := removeAll(l.scenes()); err != nil {
		return nil, err
	}
	l.undo.add(l.clean)
	l.registry = registrytest.New(registrytest.Options{Writable: true, Referrers: registrytest.ReferrersAPI{API: true, Filter: true}})
	l.images, err = l.openImages(ctx)
	return l, err
}

// lock keeps a second run out of the directory.
func (l *lab) lock() error {
	f, err := os.OpenFile(filepath.Join(l.work, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("%s is in use by another run, or cannot be locked: %w", l.work, err)
	}
	l.undo.add(f.Close)
	return nil
}

// scenes is where trials take place; prepared is what is kept for the next.
func (l *lab) scenes() string   { return filepath.Join(l.work, "scenes") }
func (l *lab) prepared() string { return filepath.Join(l.work, "prepared") }

// clean unmounts and removes all that was made.
func (l *lab) clean() error {
	if l.keep {
		return removeAll(l.scenes())
	}
	if err := unmountBelow(l.work); err != nil {
		return err
	}
	return removeAll(l.work)
}

func (l *lab) close() {
	for _, s := range l.servers {
		s.Close()
	}
	if err := l.undo.all(); err != nil {
		fmt.Fprintln(os.Stderr, "peers: clearing up:", err)
	}
}

// host is the registry's host:port, at the end of a link.
func (l *lab) host(way link) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.servers[way] == nil {
		var shape *registrytest.Link
		if way != (link{}) {
			shape = registrytest.NewLink(way.rtt, way.bits)
		}
		l.servers[way] = registrytest.Serve(l.registry, shape)
	}
	return l.servers[way].Host
}

// prepare makes a file or directory below prepared, once: make writes it under
// another name, so that what is there is complete.
func (l *lab) prepare(ctx context.Context, name string, make func(path string) error) (string, error) {
	path := filepath.Join(l.prepared(), name)
	if err, ok := l.made[path]; ok {
		return path, err
	}
	err := func() error {
		if _, err := os.Lstat(path); err == nil {
			return nil
		}
		l.say("  preparing %s", name)
		tmp := filepath.Join(l.scenes(), "prepare", name)
		defer os.RemoveAll(tmp)
		if err := errors.Join(os.MkdirAll(filepath.Dir(tmp), 0o755), os.MkdirAll(filepath.Dir(path), 0o755)); err != nil {
			return err
		}
		if err := make(tmp); err != nil {
			return fmt.Errorf("preparing %s: %w", name, err)
		}
		return os.Rename(tmp, path)
	}()
	if ctx.Err() == nil {
		l.made[path] = err
	}
	return path, err
}

// missing lists those of needs that this machine lacks: programs, and the
// following.
func (l *lab) missing(needs []string) (what []string) {
	for _, need := range needs {
		var err error
		switch need {
		case needStargz:
			if l.stargz == "" {
				err = errors.New("-stargz")
			}
		case needErofs, needOverlay:
			err = hasFilesystem(need)
		case needFace:
			err = l.hasFlag("mount", "--face")
		default:
			_, err = exec.LookPath(need)
		}
		if err != nil {
			what = append(what, need)
		}
	}
	return what
}

// What a trial can need beside programs, as its row says when it is missing.
const (
	needStargz  = "stargz-snapshotter"
	needErofs   = "erofs"
	needOverlay = "overlay"
	needFace    = "a second face"
)

// hasFilesystem reports whether the kernel has a file system, or can load it.
func hasFilesystem(name string) error {
	exec.Command("modprobe", "-q", name).Run()
	list, err := os.ReadFile("/proc/filesystems")
	if err == nil && !strings.Contains(string(list), "\t"+name+"\n") {
		err = errors.New("no " + name)
	}
	return err
}

// hasFlag reports whether a command of ocifs has a flag.
func (l *lab) hasFlag(command, flag string) error {
	help, err := exec.Command(l.binary, command, "--help").Output()
	if err == nil && !strings.Contains(string(help), flag+" ") {
		err = errors.New("no " + flag)
	}
	return err
}

// command is what answers q in the same way.
func (l *lab) command(q question) string {
	words := []string{"make bench-peers", "QUESTIONS=" + q.name, fmt.Sprint("RUNS=", l.runs)}
	if len(l.settings.images) > 0 {
		words = append(words, "IMAGES=…")
	}
	return strings.Join(words, " ")
}

func (l *lab) say(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }
