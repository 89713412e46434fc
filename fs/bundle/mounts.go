package bundle

import (
	"errors"
	iofs "io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/image"
)

// ttyGroup is the group that terminals belong to, on any Linux.
const ttyGroup = 5

// defaultMounts are the file systems that every container has.
func defaultMounts(o Options) []specs.Mount {
	pts := []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
	if o.Rootless == nil || o.Rootless.IDs > ttyGroup {
		pts = append(pts, "gid=5")
	}
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: pts},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		sys(o),
	}
}

// sys is /sys. Who doesn't own the network namespace cannot mount one of their
// own, and is shown the one there is.
func sys(o Options) specs.Mount {
	if o.Rootless != nil && o.Network != NetworkNone {
		return specs.Mount{Destination: "/sys", Type: "bind", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}
	}
	return specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}}
}

// files are resolv.conf and hosts. In a read-only root, an image that has no
// place for one does without.
func files(img *image.Image, o Options) ([]specs.Mount, error) {
	var mounts []specs.Mount
	for _, f := range []struct{ source, destination string }{
		{o.Resolv, "/etc/resolv.conf"}, {o.Hosts, "/etc/hosts"},
	} {
		if f.source == "" || slices.ContainsFunc(o.Mounts, func(m specs.Mount) bool { return m.Destination == f.destination }) {
			continue
		}
		if o.ReadOnly {
			mode, err := modeOf(img, f.destination)
			if err != nil {
				return nil, err
			}
			if mode&unix.S_IFMT != unix.S_IFREG {
				continue
			}
		}
		mounts = append(mounts, specs.Mount{Destination: f.destination, Type: "bind", Source: f.source, Options: []string{"rbind", "ro"}})
	}
	return mounts, nil
}

// volumes are the image's volumes where the root is read-only: in memory, and
// with what the image has there. Elsewhere the root takes what is written to
// them, and is as temporary.
func volumes(paths map[string]struct{}, given []specs.Mount) []specs.Mount {
	var mounts []specs.Mount
	for _, v := range slices.Sorted(maps.Keys(paths)) {
		v = path.Join("/", v)
		taken := func(m specs.Mount) bool { return m.Destination == v }
		if v == "/" || strings.ContainsRune(v, 0) || slices.ContainsFunc(given, taken) || slices.ContainsFunc(mounts, taken) {
			continue
		}
		mounts = append(mounts, specs.Mount{Destination: v, Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", copyUp}})
	}
	return mounts
}

// copyUp is the option of a tmpfs that is to begin with what the image has
// there.
const copyUp = "tmpcopyup"

// modeOf is st_mode of a file of the image, symbolic links followed; 0 if it
// isn't there.
func modeOf(img *image.Image, name string) (uint32, error) {
	n, err := img.Tree().Walk(name, true)
	if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return img.Tree().Attr(n).Mode, nil
}

// Missing lists what a runtime would make in the image's root if it could: the
// working directory, and mountpoints.
func Missing(img *image.Image, s *specs.Spec) ([]string, error) {
	wanted := []string{s.Process.Cwd}
	for _, m := range s.Mounts {
		wanted = append(wanted, m.Destination)
	}
	var missing []string
	for _, w := range wanted {
		inner := func(m specs.Mount) bool { return strings.HasPrefix(w, m.Destination+"/") }
		if slices.ContainsFunc(s.Mounts, inner) {
			continue // made in what is mounted there
		}
		mode, err := modeOf(img, w)
		if err != nil {
			return nil, err
		}
		if mode == 0 {
			missing = append(missing, w)
		}
	}
	return slices.Compact(missing), nil
}
