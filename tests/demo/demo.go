package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ocifs.dev/ocifs/tests/registrytest"
)

// A demo is one telling of the story.
type demo struct {
	binary    string
	roundTrip time.Duration
	bandwidth float64 // bits per second

	machine  *machine
	registry *registrytest.Server
	ref      string
	dir      string // all that is made lies here
	mnt      string
}

// run tells the story, until it is interrupted.
func (d *demo) run(ctx context.Context) error {
	steps := []func() error{
		d.prepare,
		d.first, d.look, d.umount,
		d.second, d.look, d.umount,
		d.indexed, d.look, d.umount,
	}
	for _, step := range steps {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the image and starts the registry.
func (d *demo) prepare() (err error) {
	if d.dir, err = os.MkdirTemp("", "ocifs-demo-"); err != nil {
		return err
	}
	d.mnt = filepath.Join(d.dir, "mnt")
	if err := os.Mkdir(d.mnt, 0o755); err != nil {
		return err
	}
	if d.machine, err = readMachine(d.dir); err != nil {
		return err
	}
	r := registrytest.New(registrytest.Options{})
	r.Push("machine", "latest", d.machine.gzip...)
	r.Push("machine", "estargz", d.machine.estargz...)
	d.registry = registrytest.Serve(r, registrytest.NewLink(d.roundTrip, d.bandwidth))
	d.ref = d.registry.Host + "/machine"

	m := d.machine
	say("# %s is an image of this machine: %d layers, gzip, %d files,", d.ref, len(m.gzip), m.files)
	say("# %s, %s compressed. A round trip to it takes %v; at %.0f Mbit/s, all of it takes %.1f s.",
		megabytes(m.plain), megabytes(m.size), d.roundTrip, d.bandwidth/1e6, float64(m.size)*8/d.bandwidth)
	return nil
}

func (d *demo) first() error {
	say("\n# The first time: nobody has indexed these layers, so they come once, whole.")
	return d.mount(d.ref)
}

func (d *demo) second() error {
	say("\n# The second time: all that was learned is in the cache.")
	return d.mount(d.ref)
}

func (d *demo) indexed() error {
	say("\n# The same image with eStargz layers, which bring an index: what is read comes when it is read.")
	return d.mount(d.ref + ":estargz")
}

func (d *demo) mount(ref string) error {
	return d.step([]string{"ocifs", "mount", ref, d.mnt}, func() (string, error) {
		return d.ocifs("mount", ref, d.mnt)
	})
}

func (d *demo) umount() error {
	return d.step([]string{"ocifs", "umount", d.mnt}, func() (string, error) {
		return d.ocifs("umount", d.mnt)
	})
}

// look uses the mounted image.
func (d *demo) look() error {
	lib := filepath.Join(d.mnt, d.machine.goDir)
	err := d.step([]string{"ls", lib}, func() (string, error) {
		n, names, err := entries(lib)
		return fmt.Sprintf("%s … (%d)", strings.Join(names, "  "), n), err
	})
	if err != nil {
		return err
	}
	const script = `read line < /etc/motd; echo "$line"`
	how := []string{"chroot", d.mnt, "sh", "-c", "'read line < /etc/motd; …'"}
	if os.Getuid() != 0 {
		how = []string{d.mnt + d.machine.shell.interpreter, "…", d.mnt + d.machine.shell.path, "-c …"}
	}
	err = d.step(how, func() (string, error) {
		out, err := d.machine.shell.command(d.mnt, "-c", strings.ReplaceAll(script, "/etc/motd", d.motd())).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s from the image: %w: %s", d.machine.shell.path, err, out)
		}
		return strings.TrimSpace(string(out)), nil
	})
	if err != nil {
		return err
	}
	file := filepath.Join(d.machine.goDir, "bin/go")
	return d.step([]string{"sha256sum", d.mnt + file}, func() (string, error) {
		got, n, err := sum(d.mnt + file)
		if err != nil {
			return "", err
		}
		want, _, err := sum(file)
		if err == nil && got != want {
			err = fmt.Errorf("%s isn't what it was before it went through the image", file)
		}
		return fmt.Sprintf("%x…, %s, the same as outside", got[:8], megabytes(n)), err
	})
}

// motd is a file of the image as the shell from the image sees it.
func (d *demo) motd() string {
	if os.Getuid() == 0 {
		return "/etc/motd"
	}
	return filepath.Join(d.mnt, "etc/motd")
}

// step shows a command, does what it does, and tells how long that took, how
// much came over the link meanwhile, and what it said.
func (d *demo) step(command []string, do func() (string, error)) error {
	d.registry.Reset()
	start := time.Now()
	said, err := do()
	took := time.Since(start)
	if err != nil {
		return err
	}
	line := strings.ReplaceAll(strings.Join(command, " "), d.dir+"/", "")
	if len(line) > 48 {
		line = line[:47] + "…"
	}
	requests := fmt.Sprintf("%d requests", d.registry.Count())
	if d.registry.Count() == 1 {
		requests = "1 request"
	}
	say("$ %-48s %7.2f s %12s %9s", line, took.Seconds(), requests, megabytes(d.registry.Bytes()))
	if said = strings.TrimSpace(said); said != "" {
		say("%s", strings.ReplaceAll(said, d.dir+"/", ""))
	}
	return nil
}

// ocifs runs the real binary, with a cache and a state of its own, and returns
// what it prints.
func (d *demo) ocifs(args ...string) (string, error) { return runOcifs(d.binary, d.dir, args...) }

// runOcifs runs a binary, whose cache and state are below dir.
func runOcifs(binary, dir string, args ...string) (string, error) {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(),
		"OCIFS_CACHE_DIR="+filepath.Join(dir, "cache"), "OCIFS_STATE_DIR="+filepath.Join(dir, "state"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ocifs %s: %w\n%s", args[0], err, out)
	}
	return string(out), nil
}

// clean leaves nothing, however far the demo got.
func (d *demo) clean() {
	if d.dir == "" {
		return
	}
	d.ocifs("umount", d.mnt) // an error if it isn't mounted, as it should be
	if d.registry != nil {
		d.registry.Close()
	}
	if err := os.Remove(d.mnt); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return
	}
	if err := os.RemoveAll(d.dir); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
}

func say(format string, a ...any) { fmt.Printf(format+"\n", a...) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
