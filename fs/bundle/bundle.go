package bundle

import (
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"ocifs.dev/ocifs/fs/image"
)

// Errors that New wraps.
var (
	// ErrNoProgram says that neither the image nor the options name a program.
	ErrNoProgram = errors.New("no program to run")
	// ErrNoUser says that a user or group is not in the image.
	ErrNoUser = errors.New("no such user")
	// ErrNotMapped says that a user or group doesn't exist in the user
	// namespace.
	ErrNotMapped = errors.New("not in the user namespace")
)

// Networks a container can have.
const (
	NetworkHost = "host" // the one of whoever runs it
	NetworkNone = "none" // one of its own, with a loopback interface
)

// Options override what the image says, and add what it doesn't. The zero
// value is the image as it is, with the host's network.
type Options struct {
	Entrypoint *[]string     // instead of the image's, and then without its Cmd; nil: the image's
	Args       []string      // instead of the image's Cmd; empty: its Cmd
	Env        []string      // KEY=VALUE, each instead of the image's of that key
	User       string        // USER[:GROUP], by name or number; "": the image's
	Cwd        string        // "": the image's
	Hostname   string        // "": the one of whoever runs it
	Terminal   bool          // the program gets a terminal of its own
	Network    string        // "": NetworkHost
	Mounts     []specs.Mount // over the usual ones, in this order
	ReadOnly   bool          // the root file system cannot be written to
	Rootless   *Rootless     // nil: root's rights
	Hosts      string        // a file that becomes /etc/hosts; "": none does
	Resolv     string        // a file that becomes /etc/resolv.conf; "": none does
}

// Rootless is what a container is like without root's rights.
type Rootless struct {
	// IDs is how many user and group ids there are in the user namespace,
	// counting from 0.
	IDs int64
	// Map, if not nil, has the runtime make that namespace, of one id: its 0 is
	// this user and group outside. nil: the runtime runs in it.
	Map *User
}

// A User is a user and their group, by number.
type User struct{ UID, GID uint32 }

// version of the runtime specification that the configurations follow. It has
// all that is said here; runtimes that know only older ones take it.
const version = "1.0.2"

// New makes the configuration of a container that runs the image, from a
// directory of which rootfs is the image's root.
//
// Errors are about what the image or the options ask for: ErrNoProgram,
// ErrNoUser, ErrNotMapped, and of reading the image's files; one that isn't for
// Linux, or no container image, is image.ErrUnsupported.
func New(img *image.Image, o Options) (*specs.Spec, error) {
	if kind := img.Manifest().ArtifactType; kind != "" {
		return nil, fmt.Errorf("%w: a container of what is no image, but an artifact of type %q", image.ErrUnsupported, kind)
	}
	if system := img.Manifest().Config.OS; system != "" && system != "linux" {
		return nil, fmt.Errorf("%w: a container of an image for %q", image.ErrUnsupported, system)
	}
	config := img.Manifest().Config.Config
	process, err := process(img, o)
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version:     version,
		Process:     process,
		Root:        &specs.Root{Path: Rootfs, Readonly: o.ReadOnly},
		Hostname:    o.Hostname,
		Mounts:      defaultMounts(o),
		Annotations: annotations(img.Manifest().Config),
		Linux:       linux(o),
	}
	files, err := files(img, o)
	if err != nil {
		return nil, err
	}
	s.Mounts = append(s.Mounts, files...)
	if o.ReadOnly {
		s.Mounts = append(s.Mounts, volumes(config.Volumes, o.Mounts)...)
	}
	s.Mounts = append(s.Mounts, o.Mounts...)
	return s, nil
}

// Names of what lies in a bundle.
const (
	Rootfs = "rootfs"
	Config = "config.json"
)

// hostFile is name, if it is there to be shown to a container; else "".
func hostFile(name string) string {
	if fi, err := os.Stat(name); err != nil || !fi.Mode().IsRegular() {
		return ""
	}
	return name
}

// HostFiles are the host's resolv.conf and hosts, for Options, "" for what the
// host lacks.
func HostFiles() (resolv, hosts string) {
	return hostFile("/etc/resolv.conf"), hostFile("/etc/hosts")
}
