package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/bundle"
)

func bundleCommand() *cli.Command {
	return &cli.Command{
		Name:      "bundle",
		Usage:     "make an OCI runtime bundle of an image, for runc and the like",
		ArgsUsage: "IMAGE DIR [ARG…]",
		Description: `Makes DIR with config.json, which says what the image wants to be run, where and
as whom, and mounts the image on DIR/rootfs. The arguments replace those of the
image. Change config.json as you like; ocifs umount DIR takes the mount down.

The root file system is read-only, unless --writable puts an overlay over it. An
image that lacks a directory which the container needs, as /proc, gets an
overlay, too.

A user other than root gets a bundle for runc without root's rights: root in the
container is the user, and no other user exists. Files are shown as the user's.`,
		UsageText: `
$ ocifs bundle docker.io/library/python:3.13 /srv/py python3 -c 'print(6*7)'
$ runc run --bundle /srv/py py
$ ocifs umount /srv/py`,
		Flags: append(containerFlags(),
			writableFlag("let the root file system be written to: below `DIR` (in DIR/upper), or else in memory"),
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the program a terminal"},
			&cli.StringFlag{Name: "log-file", Usage: "log to `FILE`, which grows, and not to the file that ocifs mounts -v names"},
			jsonFlag(),
		),
		Action: talk(makeBundle),
	}
}

// A bundleSpec is the bundle that a mount belongs to. It goes to the daemon as
// JSON.
type bundleSpec struct {
	Dir      string
	Options  bundle.Options
	Writable bool
	Upper    string // where what is written goes; "": memory

	made []string // by write
}

func makeBundle(ctx context.Context, u *ui, cc *cli.Context) error {
	b, err := bundleSpecOf(cc)
	if err != nil {
		return err
	}
	made, err := b.makeDir()
	if err != nil {
		return err
	}
	err = b.mount(ctx, u, cc, func(r record) error { return b.announce(u, r, cc.Bool("json")) })
	if err != nil && made {
		os.Remove(b.Dir) // unless others put something there
	}
	return err
}

// announce tells what has been made.
func (b *bundleSpec) announce(u *ui, r record, asJSON bool) error {
	if asJSON {
		return u.json(r)
	}
	_, err := fmt.Fprintf(u.out, "bundle of %s (%s, %s, %s; lazy %s) in %s  pid %d\n",
		pinned(r.Ref, r.Digest), r.Platform, count(len(r.Layers), "layer"), bytesOf(r.Size),
		r.lazy(), quote(b.Dir), r.PID)
	u.note("to run it: runc run --bundle %s NAME; to take it down: ocifs umount %s", quote(b.Dir), quote(b.Dir))
	return err
}

func bundleSpecOf(cc *cli.Context) (b bundleSpec, err error) {
	if b.Dir, err = filepath.Abs(cc.Args().Get(1)); err != nil {
		return b, err
	}
	if b.Options, err = containerOptionsOf(cc, cc.Args().Slice()[2:]); err != nil {
		return b, err
	}
	b.Options.Terminal = cc.Bool("tty")
	b.Writable = cc.String("writable") != ""
	if b.Upper, err = upperOf(cc); err != nil {
		return b, err
	}
	b.Options.ReadOnly = !b.Writable
	if b.Options.Rootless, err = rootlessHere(); err != nil {
		return b, err
	}
	if b.Writable && b.mapped() {
		return b, noOverlay("--writable")
	}
	return b, nil
}

// rootlessHere is how much this process is root: nil, wholly; in a user
// namespace, of its ids; elsewhere the runtime has to make one.
func rootlessHere() (*bundle.Rootless, error) {
	ids, inside, err := bundle.Namespace()
	switch {
	case err != nil:
		return nil, err
	case os.Geteuid() != 0:
		return &bundle.Rootless{IDs: 1, Map: &bundle.User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}}, nil
	case inside:
		return &bundle.Rootless{IDs: ids}, nil
	}
	return nil, nil
}

// mapped says whether the bundle is for a runtime that makes a user namespace.
func (b *bundleSpec) mapped() bool { return b.Options.Rootless != nil && b.Options.Rootless.Map != nil }

// noOverlay says what a bundle of a user cannot have.
func noOverlay(what string) error {
	return &problem{
		err: fmt.Errorf("bundle: %s takes an overlay, which only root can mount", what), code: exitUnsupported,
		hints: []string{"ocifs run has one, in a user namespace of its own", "to have one for longer: unshare --user --map-root-user --map-auto --mount, and ocifs bundle in there"},
	}
}

// makeDir makes the bundle's directory and the mountpoint in it. What is there
// already stays; a configuration is not written over.
func (b *bundleSpec) makeDir() (made bool, err error) {
	switch err = os.Mkdir(b.Dir, 0o755); {
	case err == nil:
		made = true
	case errors.Is(err, fs.ErrNotExist):
		return false, notFoundf("bundle: %s does not exist", quote(filepath.Dir(b.Dir))).with("make it: mkdir -p " + quote(filepath.Dir(b.Dir)))
	case !errors.Is(err, fs.ErrExist):
		return false, fmt.Errorf("bundle: %w", err)
	}
	if b.Dir, err = filepath.EvalSymlinks(b.Dir); err != nil {
		return made, fmt.Errorf("bundle: %w", err)
	}
	if fi, err := os.Stat(b.Dir); err == nil && !fi.IsDir() {
		return made, usagef("bundle: %s is not a directory", quote(b.Dir)).with("choose a directory, which need not be there yet")
	}
	if _, err := os.Lstat(b.file(bundle.Config)); err == nil {
		return made, hint(fmt.Errorf("bundle: %s has a %s already", quote(b.Dir), bundle.Config), "remove that, or choose another directory")
	}
	if err = os.Mkdir(b.file(bundle.Rootfs), 0o755); errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return made, err
}

func (b *bundleSpec) file(name string) string { return filepath.Join(b.Dir, name) }

// mount mounts the image, which has the daemon write the configuration, and
// what belongs over it, and calls live. After an error, nothing is left.
func (b *bundleSpec) mount(ctx context.Context, u *ui, cc *cli.Context, live func(record) error) (err error) {
	defer func() {
		if err != nil {
			os.Remove(b.file(bundle.Rootfs))
		}
	}()
	s, err := mountSpecAt(u, cc, b.file(bundle.Rootfs))
	if err != nil {
		return err
	}
	s.Bundle = b
	s.Flags.Suid = os.Geteuid() == 0
	return background(ctx, u, s, func(r record) error {
		if r.Overlay {
			if err := bundle.Overlay(s.Mountpoint, b.Upper); err != nil {
				return mountFailed(err)
			}
		}
		return live(r)
	})
}

// write writes what lies in the bundle beside the image's root. It says
// whether that needs an overlay.
func (b *bundleSpec) write(img *openedImage) (overlay bool, err error) {
	if err := holdUpper(b.Upper); err != nil {
		return false, err
	}
	o := b.Options
	if o.Resolv, o.Hosts, err = networkFiles(b.Dir, o); err != nil {
		return false, err
	}
	if filepath.Dir(o.Hosts) == b.Dir {
		b.made = append(b.made, o.Hosts)
	}
	s, err := bundle.New(img.Image, o)
	if err != nil {
		return false, containerFailed(err, userName())
	}
	overlay = b.Writable
	if !overlay {
		missing, err := bundle.Missing(img.Image, s)
		if err != nil {
			return false, err
		}
		if overlay = len(missing) > 0; overlay && b.mapped() {
			return false, noOverlay("an image without " + quote(missing[0]))
		}
	}
	if err := bundle.Write(b.Dir, s); err != nil {
		return false, err
	}
	b.made = append(b.made, b.file(bundle.Config))
	return overlay, nil
}

// undo removes what write has written. Without a bundle, there is nothing.
func (b *bundleSpec) undo() {
	if b == nil {
		return
	}
	for _, name := range b.made {
		os.Remove(name)
	}
}

// hostsFile is the name of a bundle's own /etc/hosts.
const hostsFile = "hosts"

// networkFiles are what a container's resolv.conf and hosts are to be: the
// host's, or a file in dir that is made here, or none.
func networkFiles(dir string, o bundle.Options) (resolv, hosts string, err error) {
	resolv, hosts = bundle.HostFiles()
	var host []byte
	if o.Network == bundle.NetworkNone {
		resolv = ""
		if o.Hostname == "" {
			o.Hostname, _ = os.Hostname()
		}
	} else if o.Hostname == "" {
		return resolv, hosts, nil
	} else if hosts != "" {
		if host, err = os.ReadFile(hosts); err != nil {
			return "", "", err
		}
	}
	hosts = filepath.Join(dir, hostsFile)
	return resolv, hosts, os.WriteFile(hosts, bundle.HostsFile(host, o.Hostname), 0o644)
}

// Exit codes of a program that could not be run, as shells have them.
const (
	exitNotExecutable = 126
	exitNoProgram     = 127
)

// containerFailed is an error of a container's configuration, with what user
// can do about it.
func containerFailed(err error, user string) error {
	switch {
	case errors.Is(err, bundle.ErrNoProgram):
		return usagef("%w", err).with("say which, behind the image's name (and the directory of a bundle)")
	case errors.Is(err, bundle.ErrNoUser):
		return notFoundf("%w", err).with("ocifs cat IMAGE /etc/passwd shows who there is; a number needs no entry")
	case errors.Is(err, bundle.ErrNotFound):
		return &problem{err: err, code: exitNoProgram, hints: []string{"what stands behind the image is the program, or what its entrypoint gets (ocifs inspect tells it); ocifs find looks for files"}}
	case errors.Is(err, bundle.ErrNotExecutable):
		return &problem{err: err, code: exitNotExecutable}
	case errors.Is(err, bundle.ErrNotMapped):
		return hint(err, "give yourself subordinate ids, as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "+user,
			"or run as root of the container, which is you: --user 0")
	}
	return err
}
