package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// notFound is the exit code of ocifs where there is nothing to unmount.
const notFound = 3

// An ocifsMount is a mount of the binary that is judged.
type ocifsMount struct {
	dir   string
	pid   int
	ready time.Duration // from the start of the command to its end
}

// ocifs is a command line of the binary, with a cache.
func (l *lab) ocifs(cache string, words ...string) []string {
	return append(append([]string{l.binary}, words...),
		"--cache-dir", cache, "--quiet", "--plain-http", "--no-creds")
}

// state is where the binary keeps records of mounts.
func (l *lab) state() string { return filepath.Join(l.scenes(), "state") }

// mountOcifs mounts ref; the scene unmounts it.
func (s *scene) mountOcifs(ctx context.Context, cache, ref string, flags ...string) (m ocifsMount, err error) {
	if m.dir, err = s.folder("ocifs"); err != nil {
		return m, err
	}
	words := append([]string{"mount", "--state-dir", s.state(), "--json"}, flags...)
	s.undo.add(func() error { return s.umountOcifs(m.dir) })
	u, err := s.run(ctx, append(s.ocifs(cache, words...), ref, m.dir)...)
	if err != nil {
		return m, err
	}
	m.ready = u.wall
	var told struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal([]byte(u.out), &told); err != nil {
		return m, fmt.Errorf("ocifs mount --json: %w: %s", err, u.out)
	}
	m.pid = told.PID
	return m, nil
}

// umountOcifs ends a mount, if there is one.
func (s *scene) umountOcifs(dir string) error {
	_, err := s.run(context.Background(), s.binary, "umount", "--quiet", "--lazy", "--state-dir", s.state(), dir)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == notFound {
		return nil
	}
	return err
}
