package bundle

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Bubblewrap is the command line of bwrap, without its name, that comes nearest
// to s with rootfs, which can be written to, as root. It makes the mountpoints
// there that are missing, since bwrap would follow the image's symbolic links
// in its own root. The user is not in the line: bwrap runs as the user that it
// is to run the program as; the program is bwrap's child.
//
// bwrap brings a /dev of its own and sets no_new_privs, and a mount that is
// neither of the usual ones nor a bind or a tmpfs is an error. What s says of
// the terminal and of annotations is not in the line, nor is the bounding set of
// capabilities, which bwrap leaves as it is: it has to be started with that one
// ([CapabilityMask]), but with what it needs itself among those it inherits.
func Bubblewrap(s *specs.Spec, rootfs string) ([]string, error) {
	mine := *s // whose mounts mountpoints changes
	s = &mine
	line := []string{"--die-with-parent", "--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"}
	if slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace }) {
		line = append(line, "--unshare-net")
	}
	if s.Hostname != "" {
		line = append(line, "--hostname", s.Hostname)
	}
	root, err := openPlace(rootfs)
	if err != nil {
		return nil, err
	}
	defer root.close()
	cwd, err := root.mountpoints(s)
	if err != nil {
		return nil, err
	}
	line = append(line, "--bind", rootfs, "/")
	for _, m := range s.Mounts {
		words, err := wrapMount(m, rootfs)
		if err != nil {
			return nil, err
		}
		line = append(line, words...)
	}
	for _, p := range s.Linux.ReadonlyPaths {
		line = append(line, keep(p)...)
	}
	for _, p := range s.Linux.MaskedPaths {
		line = append(line, mask(p)...)
	}
	if s.Root.Readonly {
		line = append(line, "--remount-ro", "/")
	}
	line = append(line, "--clearenv")
	for _, kv := range s.Process.Env {
		key, value, _ := strings.Cut(kv, "=")
		line = append(line, "--setenv", key, value)
	}
	if s.Process.User.UID == 0 {
		line = append(line, "--cap-drop", "ALL")
		for _, c := range s.Process.Capabilities.Effective {
			line = append(line, "--cap-add", c)
		}
	}
	line = append(line, "--chdir", cwd, "--")
	return append(line, s.Process.Args...), nil
}

// mountpoints puts s's mounts where their destinations lead, which is made if
// need be, and returns where its working directory does. What lies in another
// mount is left to that.
func (p *place) mountpoints(s *specs.Spec) (cwd string, err error) {
	names := slices.Clone(s.Mounts)
	within := func(name string) bool {
		return slices.ContainsFunc(names, func(m specs.Mount) bool { return strings.HasPrefix(name, m.Destination+"/") })
	}
	s.Mounts = slices.Clone(s.Mounts)
	for i, m := range names {
		if within(m.Destination) {
			continue
		}
		if s.Mounts[i].Destination, err = p.make(m.Destination, isFile(m)); err != nil {
			return "", err
		}
	}
	if within(s.Process.Cwd + "/") {
		return s.Process.Cwd, nil
	}
	return p.make(s.Process.Cwd, false)
}

// isFile says whether a mount shows a file, and not a directory.
func isFile(m specs.Mount) bool {
	fi, err := os.Stat(m.Source)
	return m.Type == "bind" && err == nil && !fi.IsDir()
}

// wrapMount is a mount in bwrap's words.
func wrapMount(m specs.Mount, rootfs string) ([]string, error) {
	switch {
	case m.Destination == "/proc":
		return []string{"--proc", "/proc"}, nil
	case m.Destination == "/dev" && m.Type == "tmpfs":
		return []string{"--dev", "/dev"}, nil
	case m.Destination == "/dev/pts", m.Destination == "/dev/shm": // --dev has them
		return nil, nil
	case m.Type == "mqueue":
		return []string{"--mqueue", m.Destination}, nil
	case m.Type == "sysfs":
		return []string{"--ro-bind", "/sys", m.Destination}, nil
	case m.Type == "bind" && slices.Contains(m.Options, "ro"):
		return []string{"--ro-bind", m.Source, m.Destination}, nil
	case m.Type == "bind":
		return []string{"--bind", m.Source, m.Destination}, nil
	case m.Type == "tmpfs" && slices.Contains(m.Options, copyUp): // the root has it, and takes what is written
		return []string{"--bind", filepath.Join(rootfs, m.Destination), m.Destination}, nil
	case m.Type == "tmpfs":
		return wrapTmpfs(m)
	}
	return nil, fmt.Errorf("mount on %s: bwrap knows no %s", m.Destination, m.Type)
}

// wrapTmpfs is a tmpfs with the options that bwrap has, too.
func wrapTmpfs(m specs.Mount) ([]string, error) {
	var words []string
	for _, o := range m.Options {
		key, value, _ := strings.Cut(o, "=")
		switch key {
		case "mode":
			words = append(words, "--perms", value)
		case "size":
			n, err := units.RAMInBytes(value)
			if err != nil {
				return nil, fmt.Errorf("mount on %s: size %q: %w", m.Destination, value, err)
			}
			words = append(words, "--size", fmt.Sprint(n))
		}
	}
	return append(words, "--tmpfs", m.Destination), nil
}

// keep has a path of the kernel's file systems be read-only, if this kernel has
// it. bwrap's --proc does so with some, but not where root may write, who needs
// it most.
func keep(path string) []string {
	if _, err := os.Lstat(path); err != nil {
		return nil
	}
	return []string{"--ro-bind", path, path}
}

// mask hides a path of the kernel's file systems, if this kernel has it.
func mask(path string) []string {
	fi, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil
	case fi.IsDir():
		return []string{"--tmpfs", path, "--remount-ro", path}
	}
	return []string{"--ro-bind", "/dev/null", path}
}
