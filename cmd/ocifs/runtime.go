package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// An engine is a runtime, a program that runs containers.
type engine struct {
	Kind string // of runtimes
	Path string
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
			return engine{kind, path}, err
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
	if r.Kind == "crun" && rootless {
		global = append(global, "--cgroup-manager=disabled") // there is none that it may use
	}
	return exec.Command(r.Path, append(global, words...)...)
}
