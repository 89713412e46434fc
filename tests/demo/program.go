package main

import (
	"debug/elf"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// A program is an ELF file with what it needs to run elsewhere.
type program struct {
	path        string
	interpreter string   // "" if it needs none
	libraries   []string // paths
}

// findProgram finds a program on PATH and its libraries, as the dynamic
// linker would without a cache.
func findProgram(name string) (program, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return program{}, err
	}
	p := program{path: path}
	return p, p.resolve(path, map[string]bool{})
}

// files lists all that must be in the image for the program to run.
func (p program) files() []string {
	files := append([]string{p.path}, p.libraries...)
	if p.interpreter != "" {
		files = append(files, p.interpreter)
	}
	return files
}

func (p *program) resolve(path string, seen map[string]bool) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, s := range f.Progs {
		if s.Type == elf.PT_INTERP && p.interpreter == "" {
			b, err := io.ReadAll(s.Open())
			if err != nil {
				return err
			}
			p.interpreter = strings.TrimRight(string(b), "\x00")
		}
	}
	names, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		lib, err := p.findLibrary(name)
		if err != nil {
			return err
		}
		p.libraries = append(p.libraries, lib)
		if err := p.resolve(lib, seen); err != nil {
			return err
		}
	}
	return nil
}

// findLibrary looks where distributions keep libraries: beside the program's
// interpreter, and in the usual directories.
func (p *program) findLibrary(name string) (string, error) {
	dirs := []string{"/lib", "/usr/lib", "/lib64", "/usr/lib64"}
	if real, err := filepath.EvalSymlinks(p.interpreter); err == nil {
		dirs = append([]string{filepath.Dir(real)}, dirs...)
	}
	multiarch, _ := filepath.Glob("/lib/*-linux-*")
	for _, dir := range append(dirs, multiarch...) {
		path := filepath.Join(dir, name)
		if f, err := elf.Open(path); err == nil {
			f.Close()
			return path, nil
		}
	}
	return "", errors.New("library " + name + " isn't where libraries are")
}

// command runs the program from the image at root: in a chroot as root, and
// else by its own interpreter with its own libraries.
func (p program) command(root string, args ...string) *exec.Cmd {
	if os.Getuid() == 0 {
		cmd := exec.Command(p.path, args...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		return cmd
	}
	in := func(path string) string { return filepath.Join(root, path) }
	if p.interpreter == "" {
		return exec.Command(in(p.path), args...)
	}
	var dirs []string
	for _, l := range p.libraries {
		dirs = append(dirs, in(filepath.Dir(l)))
	}
	args = append([]string{"--library-path", strings.Join(dirs, ":"), in(p.path)}, args...)
	return exec.Command(in(p.interpreter), args...)
}
