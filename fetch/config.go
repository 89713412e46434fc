package fetch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Config names the files in which users of Podman, containerd and Docker have
// written down how registries are reached. The zero value names none: every
// registry is where its name says.
//
// What they say of a reference is not merged. A [[registry]] table of a
// registries.conf that fits it governs; else the host's hosts.toml does; else
// the host's directory of certificates is all there is to know. Files that do
// not exist are passed over. They are read when a Source is opened, and not
// again.
type Config struct {
	// Registries are paths of registries.conf (containers-registries.conf(5)):
	// the first that exists is read.
	Registries []string
	// DropIns are directories of further files in that form, *.conf, read in
	// the order of their names. Of two with one name, only the one in the
	// directory that comes first here is read.
	DropIns []string
	// Override is a file in that form that is read last; "": none.
	Override string
	// Aliases is Podman's own list of short names, which comes before those of
	// all others; "": none.
	Aliases string
	// Hosts are directories as containerd has them, HOST/hosts.toml in each.
	Hosts []string
	// Certs are directories as Docker and Podman have them: HOST/*.crt,
	// *.cert and *.key.
	Certs []string
	// Needed are those of the paths above that somebody has asked for: that
	// one of them does not exist is an error.
	Needed []string
}

// DefaultConfig names the files that Podman, containerd and Docker read.
// getenv is os.Getenv or its like; home and uid are the user's.
// $CONTAINERS_REGISTRIES_CONF stands for all of registries.conf, its drop-ins
// included; $CONTAINERS_REGISTRIES_CONF_OVERRIDE is read after them.
func DefaultConfig(getenv func(string) string, home string, uid int) Config {
	user, cache := getenv("XDG_CONFIG_HOME"), getenv("XDG_CACHE_HOME")
	if user == "" && home != "" {
		user = filepath.Join(home, ".config")
	}
	if cache == "" && home != "" {
		cache = filepath.Join(home, ".cache")
	}
	if uid == 0 {
		cache = "/var/cache"
	}
	c := Config{
		Registries: below(user, "containers/registries.conf"),
		DropIns:    below(user, "containers/registries.conf.d"),
		Override:   getenv("CONTAINERS_REGISTRIES_CONF_OVERRIDE"),
		Certs:      below(user, "containers/certs.d"),
	}
	for _, root := range []string{"/etc/containers", "/usr/share/containers"} {
		c.Registries = append(c.Registries, root+"/registries.conf")
		c.DropIns = append(c.DropIns, ranked(root, "registries", "conf.d", uid)...)
		c.Certs = append(c.Certs, ranked(root, "certs", "d", uid)...)
	}
	if file := getenv("CONTAINERS_REGISTRIES_CONF"); file != "" {
		c.Registries, c.DropIns, c.Needed = []string{file}, nil, []string{file}
	}
	for _, file := range below(cache, "containers/short-name-aliases.conf") {
		c.Aliases = file
	}
	if uid != 0 {
		c.Hosts = below(user, "containerd/certs.d")
		c.Certs = append(c.Certs, below(user, "docker/certs.d")...)
	}
	c.Hosts = append(c.Hosts, "/etc/containerd/certs.d")
	c.Certs = append(c.Certs, "/etc/docker/certs.d")
	return c
}

// below is the path of name below dir, or none if there is no dir.
func below(dir, name string) []string {
	if dir == "" {
		return nil
	}
	return []string{filepath.Join(dir, name)}
}

// ranked lists the directories below root that are for a user of this rank,
// and then the one for all: registries.rootful.conf.d, registries.conf.d.
func ranked(root, name, suffix string, uid int) []string {
	all := fmt.Sprintf("%s/%s.%s", root, name, suffix)
	if uid == 0 {
		return []string{fmt.Sprintf("%s/%s.rootful.%s", root, name, suffix), all}
	}
	rootless := fmt.Sprintf("%s/%s.rootless.%s", root, name, suffix)
	return []string{fmt.Sprintf("%s/%d", rootless, uid), rootless, all}
}

// registriesFiles lists the files in the form of registries.conf that are to
// be read, in that order; what a later one says replaces what earlier ones do.
func (c *Config) registriesFiles() (files []string, err error) {
	for _, path := range c.Needed {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
	}
	if i := slices.IndexFunc(c.Registries, exists); i >= 0 {
		files = append(files, c.Registries[i])
	}
	drop, err := dropIns(c.DropIns)
	if err != nil {
		return nil, err
	}
	files = append(files, drop...)
	for _, file := range []string{c.Override, c.Aliases} {
		if file != "" && exists(file) {
			files = append(files, file)
		}
	}
	return files, nil
}

// Check reads all files there are. It returns the paths of those in the form
// of registries.conf, in the order in which they are read, and of all
// hosts.toml. The first that makes no sense is the error.
func (c Config) Check() (registries, hosts []string, err error) {
	if registries, err = c.registriesFiles(); err != nil {
		return nil, nil, err
	}
	_, err = readRegistriesConf(registries)
	for _, dir := range c.Hosts {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			_, file, herr := readHosts(filepath.Join(dir, e.Name()), Reference{domain: e.Name(), repo: "x"})
			if file != "" {
				hosts = append(hosts, file)
			}
			if err == nil {
				err = herr
			}
		}
	}
	return registries, hosts, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// dropIns lists the *.conf of some directories by name, each name once.
func dropIns(dirs []string) ([]string, error) {
	paths := make(map[string]string)
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			name := e.Name()
			if _, seen := paths[name]; !seen && !e.IsDir() && strings.HasSuffix(name, ".conf") {
				paths[name] = filepath.Join(dir, name)
			}
		}
	}
	var names []string
	for name := range paths {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = paths[name]
	}
	return names, nil
}

// maxConfig bounds a configuration file: the longest that distributions ship
// are lists of short names, of some 10 KiB. maxCerts bounds a file of
// certificates: those that they ship have some 250 KiB.
const (
	maxConfig = 256 << 10
	maxCerts  = 16 << 20
)

// readFile reads a file of at most so many bytes.
func readFile(file string, most int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > most {
		return nil, fmt.Errorf("%s: more than %d bytes: %w", file, most, ErrUnsupported)
	}
	return body, nil
}
