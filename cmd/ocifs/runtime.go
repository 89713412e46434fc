package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// An engine is a runtime, a program that runs containers.
type engine struct {
	Kind string // of runtimes
	Path string
	Both bool // the machine has cgroups of both versions
}

// runtimes are those ocifs knows how to call, the preferred one first.
var runtimes = []string{"runc", "crun", "bwrap"}

// findRuntime finds the runtime that is wanted, by name or path, or the first
// there is.
func findRuntime(wanted string) (engine, error) {
	names := runtimes
	if wanted != "" {
		names = []string{wanted}
	}
	for _, name := range names {
		kind := filepath.Base(name)
		if !slices.Contains(runtimes, kind) {
			return engine{}, usagef("--runtime is runc, crun or bwrap, or the path of one, not %q", wanted)
		}
		if path, err := lookProgram(name); err == nil {
			path, err = filepath.Abs(path)
			return engine{Kind: kind, Path: path, Both: bothCgroups()}, err
		}
	}
	how := "install one: runc, crun, or bubblewrap"
	if wanted != "" {
		how = "install it, or choose another with --runtime: runc, crun, bwrap"
	}
	return engine{}, hint(fmt.Errorf("%s: not installed", strings.Join(names, ", ")), how)
}

// lookProgram finds a program in PATH, and where administrators' programs are,
// which users' PATH often leaves out.
func lookProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || strings.Contains(name, "/") {
		return path, err
	}
	for _, dir := range []string{"/usr/local/sbin/", "/usr/sbin/", "/sbin/", "/usr/local/bin/", "/usr/bin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path, nil
		}
	}
	return "", err
}

// bundles says whether the runtime reads bundles.
func (r engine) bundles() bool { return r.Kind != "bwrap" }

// command runs the runtime on its own state, which lies in dir.
func (r engine) command(dir string, rootless bool, words ...string) *exec.Cmd {
	global := []string{"--root", filepath.Join(dir, "runtime")}
	if r.Kind == "crun" && (rootless || r.Both) {
		global = append(global, "--cgroup-manager=disabled") // there is none that it may use, or can
	}
	return exec.Command(r.Path, append(global, words...)...)
}

// Where cgroups are, and the second version of them where the first is there,
// too: on machines that are neither old nor new, "hybrid".
const (
	cgroups   = "/sys/fs/cgroup"
	cgroupsV2 = cgroups + "/unified"
)

// bothCgroups says whether this machine has cgroups of both versions.
func bothCgroups() bool {
	var s unix.Statfs_t
	return unix.Statfs(cgroupsV2, &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC
}

// suit has this mount namespace be as the runtime wants it. crun refuses a
// machine with cgroups of both versions if some of the second has a controller,
// though it is to make none: so it gets to see the second alone.
func (r engine) suit() error {
	if r.Kind != "crun" || !r.Both {
		return nil
	}
	if err := unix.Mount(cgroupsV2, cgroups, "", unix.MS_BIND, ""); err != nil {
		return mountf("container: cgroups: %w", err).with("run it with another runtime: --runtime=runc, --runtime=bwrap")
	}
	return nil
}
