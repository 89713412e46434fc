package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/bundle"
)

// wrapped runs the container in bwrap. bwrap becomes nobody but who it is, so
// it is started as the image's user, who must have a way to the image's root.
func (k *keeper) wrapped(s *specs.Spec, rootfs string) (*exec.Cmd, error) {
	user := s.Process.User
	other := user.UID != 0 || user.GID != 0
	if other {
		var err error
		if rootfs, err = k.inTheOpen(rootfs, s); err != nil {
			return nil, err
		}
		giveStreams(user)
	}
	line, err := bundle.Bubblewrap(s, rootfs)
	if err != nil {
		return nil, err
	}
	if user.UID == 0 { // others get a user namespace of bwrap's, and nothing in there
		k.starter.bound = bundle.CapabilityMask(s.Process.Capabilities.Bounding)
	}
	cmd := exec.Command(k.Runtime.Path, line...)
	if other {
		alone := k.rootless && k.Options.Rootless.IDs == 1
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: user.UID, Gid: user.GID, Groups: user.AdditionalGids, NoSetGroups: alone},
		}
	}
	return cmd, nil
}

// inTheOpen binds rootfs, and what else of the container's directory s mounts,
// below a directory that everybody has a way to and that no mount of s comes
// from. Only this namespace sees it there.
func (k *keeper) inTheOpen(rootfs string, s *specs.Spec) (string, error) {
	dir := ""
	for _, d := range []string{"/mnt", "/media", "/srv", "/opt"} {
		fi, err := os.Lstat(d)
		uses := func(m specs.Mount) bool { return m.Type == "bind" && within(m.Source, d) || within(k.Dir, d) }
		if err == nil && fi.IsDir() && !slices.ContainsFunc(s.Mounts, uses) {
			dir = d
			break
		}
	}
	if dir == "" {
		return "", mountf("bwrap: no directory to show a user other than root the image in: /mnt, /media, /srv and /opt are missing or used").
			with("use another --runtime: runc, crun")
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return "", mountf("tmpfs on %s: %w", dir, err)
	}
	open := filepath.Join(dir, bundle.Rootfs)
	if err := os.Mkdir(open, 0o755); err != nil {
		return "", err
	}
	if err := unix.Mount(rootfs, open, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return "", mountf("bind %s: %w", open, err)
	}
	for i, m := range s.Mounts {
		name, ok := strings.CutPrefix(m.Source, k.Dir+"/")
		if !ok {
			continue
		}
		b, err := os.ReadFile(m.Source)
		if err == nil {
			s.Mounts[i].Source = filepath.Join(dir, name)
			err = os.WriteFile(s.Mounts[i].Source, b, 0o644)
		}
		if err != nil {
			return "", err
		}
	}
	return open, nil
}

// giveStreams lets user open our pipes anew, as /dev/stdout, which images have
// their logs written to.
func giveStreams(user specs.User) {
	for fd := range 3 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			unix.Fchown(fd, int(user.UID), int(user.GID))
		}
	}
}
