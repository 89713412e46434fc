package main

import (
	"os"
	"path/filepath"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
)

// registryConfig names the files that say how registries are reached: those
// that the flags name, and no others; or else those that Podman, containerd
// and Docker read, too.
func registryConfig(cc *cli.Context) (c fetch.Config, err error) {
	file, dir := cc.String("registries-conf"), cc.String("hosts-dir")
	usual := fetch.DefaultConfig(os.Getenv, homeDir(), os.Geteuid())
	if file == "" && dir == "" {
		err = absolute(usual.Registries, usual.DropIns, usual.Needed, usual.Hosts, usual.Certs)
		if err == nil && usual.Override != "" {
			usual.Override, err = filepath.Abs(usual.Override)
		}
		return usual, err
	}
	c.Certs = usual.Certs
	if file != "" {
		c.Registries = []string{file}
	}
	if dir != "" {
		c.Hosts = []string{dir}
	}
	c.Needed = append(c.Registries[:len(c.Registries):len(c.Registries)], c.Hosts...)
	return c, absolute(c.Registries, c.Hosts, c.Needed, c.Certs)
}

// absolute makes paths absolute where they are: a daemon works in /.
func absolute(lists ...[]string) (err error) {
	for _, list := range lists {
		for i := range list {
			if list[i], err = filepath.Abs(list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// rangeAlign is the unit of ranges; 0 is none.
func rangeAlign(cc *cli.Context) (int64, error) {
	size := cc.String("range-align")
	if size == "" {
		return 0, nil
	}
	n, err := units.RAMInBytes(size)
	if err != nil || n <= 0 || n > maxAlign {
		return 0, usagef("--range-align %q: not a size of at most %s", size, bytesOf(maxAlign)).with("as in 4MiB")
	}
	return n, nil
}

// maxAlign bounds what is fetched around a single byte that is read.
const maxAlign = 64 << 20
