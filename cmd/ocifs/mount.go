package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

func mountCommand() *cli.Command {
	c := &cli.Command{
		Name:      "mount",
		Usage:     "mount an image on a directory",
		ArgsUsage: "IMAGE MOUNTPOINT",
		Description: `Shows the image as a read-only file system. Returns when the mount is live and
leaves a process in the background that serves it until it is unmounted, with
"ocifs umount", umount(8) or, but for --face=erofs, fusermount3 -u.

Layers that can be read in pieces are fetched as they are read. Others are read
through once, the first time any image with them is mounted; what that decodes
is kept, and later mounts have it at once.

What is no container image is shown as its files: a model, a chart, what oras
push has pushed; a Docker Compose application as compose.yaml and images/. Large
files of that kind are verified when all of each was read; --verify=full reads
them first. --all-images fetches the images of an application that were not published
with it. --all-platforms, --layer, --subpath and --compose show other views.

With --verify-key FILE, only what was signed by a key in FILE is mounted, as by
"cosign sign --key": the image index or the platform's manifest, and so all that
hangs from it. No word is taken that the signature doesn't cover, as --index=trusted
takes it. Else it is refused, with exit code 6.

Root can mount anywhere; others need fusermount3 and a directory of their own.
What is in the directory is hidden until it is unmounted, which is worth a warning.

SIGTERM unmounts, and so do, with -f, SIGINT (Ctrl-C) and SIGHUP; the process ends
with exit code 0. Before the mount is live, they undo it, with 143, 130 or 129. A
mount in use is detached, and served until its last user is gone, or until a
second signal. SIGQUIT has the process log what it is doing, and go on. In a service
of systemd with Type=notify, -f is implied, and systemd is told when it is live; its
watchdog (WatchdogSec=) hears of it as long as the mount answers.

The options of -o, of which the last one wins, are these and no others:

  suid, nosuid  honour setuid bits, or not (root's mounts do, users' can't)
  dev, nodev    honour device nodes, or not (the same)
  exec, noexec  let programs run (as all mounts do), or not
  allow_other   let other users in, as far as the permissions in the image do
                (root's mounts always have it; users need user_allow_other in
                /etc/fuse.conf)
  rw            ignored with a warning: images are read-only
  NAME[=VALUE]  any flag below, as in platform=linux/arm64

without effect, as it is so anyway: ro, defaults, default_permissions, async,
sync, dirsync, silent, lazytime, atime, diratime, relatime, strictatime, and the
last five with no; and what is for mount(8) and systemd: auto, noauto, nofail,
_netdev, user, users, nouser, owner, group, comment=…, x-….

"mount -t ocifs IMAGE MOUNTPOINT" does the same, and so does a line in fstab(5).
There env.NAME=VALUE sets a variable of the environment; exit codes are mount(8)'s.`,
		UsageText: `
$ ocifs mount docker.io/library/python:3.13 /mnt/py
$ ocifs mount -o nosuid,nodev oci:/srv/images/app:v2 /mnt/app
$ ocifs mount --all-platforms alpine /mnt/alpine
$ ocifs mount --record-trace start.jsonl ghcr.io/o/r:v1 /mnt/r
$ ocifs mount --prefetch trace=start.jsonl ghcr.io/o/r:v1 /mnt/r
$ ocifs mount --verify-key cosign.pub ghcr.io/o/r:v1 /mnt/r
$ ocifs mount -f ghcr.io/o/r@sha256:… ~/r      until Ctrl-C`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "foreground", Aliases: []string{"f"}, Usage: "serve until unmounted or interrupted, instead of in the background; implied by $NOTIFY_SOCKET"},
			&cli.BoolFlag{Name: "debug", Aliases: []string{"d"}, Usage: "log all there is to log; implies -f"},
			&cli.StringSliceFlag{Name: "option", Aliases: []string{"o"}, Usage: "mount with `OPTIONS`, separated by commas"},
			jsonFlag(),
			&cli.StringFlag{Name: "verify", Value: verifyChunk, Usage: "hold to the layers `WHAT`: chunk (each piece that is read, as it is read), full (and first, reading all layers whole, what others say of them)"},
			&cli.StringFlag{Name: "face", Value: faceFUSE, Usage: "show the image through `FACE`: fuse, erofs (the kernel's own, which asks for contents only; root's, Linux 6.12 or later), auto (erofs where that can be had)"},
			&cli.StringFlag{Name: "record-trace", Usage: "write to `FILE` what is read first, in that order, as a line of JSON each"},
			&cli.StringFlag{Name: "prefetch", Usage: "read ahead in the background `WHAT`: all, or trace=FILE (what such a file lists, in its order)"},
			&cli.StringFlag{Name: "log-file", Usage: "log to `FILE`, which grows, and not to the file that ocifs mounts -v names"},
		},
	}
	c.Action = func(cc *cli.Context) error {
		f, err := optionsOf(cc, c.Flags) // before talk: they may be about it
		if err != nil {
			return err
		}
		return talk(func(ctx context.Context, u *ui, cc *cli.Context) error { return mount(ctx, u, cc, f) })(cc)
	}
	return c
}

func mount(ctx context.Context, u *ui, cc *cli.Context, f mountFlags) error {
	spec, err := mountSpecOf(u, cc, f)
	if err != nil {
		return err
	}
	live := func(r record) error { return u.mounted(r, cc.Bool("json")) }
	n := newNotifier()
	if cc.Bool("foreground") || cc.Bool("debug") || n != nil {
		return foreground(ctx, u, spec, n, live)
	}
	return background(ctx, u, spec, live)
}

// A mountSpec is all a mount needs to know. It goes to the daemon as JSON.
type mountSpec struct {
	Image      imageSpec
	Mountpoint string
	Flags      mountFlags
	Face       string      // see face.go
	Bundle     *bundleSpec // that the mount is the root of; nil: none
	StateDir   stateDir
	Trace      string // file that what is read is recorded in; "": none
	Prefetch   string // see prefetch.go
	LogFile    string // "": stderr, and nowhere once the daemon is on its own
	LogLevel   string
	AnyLevel   bool // nobody has said which
	Progress   bool // somebody looks at it
	LogFormat  string
}

// mountSpecOf reads the flags and arguments, and checks what can be checked
// before anything is fetched. Paths become absolute: a daemon works in /.
func mountSpecOf(u *ui, cc *cli.Context, f mountFlags) (s mountSpec, err error) {
	s.Flags = f
	if f.Writable {
		u.warn("images are read-only: -o rw is ignored")
	}
	return mountSpecIn(u, cc, s, cc.Args().Get(1))
}

// mountSpecAt is mountSpecOf for a command whose mountpoint is not an
// argument, and which has no options for it.
func mountSpecAt(u *ui, cc *cli.Context, dir string) (mountSpec, error) {
	return mountSpecIn(u, cc, mountSpec{}, dir)
}

func mountSpecIn(u *ui, cc *cli.Context, s mountSpec, dir string) (_ mountSpec, err error) {
	if s.Image, err = imageSpecOf(cc, cc.Args().First()); err != nil {
		return s, err
	}
	if s.StateDir, err = stateDirOf(cc); err != nil {
		return s, err
	}
	if f := cc.String("log-file"); f != "" {
		if s.LogFile, err = filepath.Abs(f); err != nil {
			return s, err
		}
	}
	if f := cc.String("record-trace"); f != "" {
		if s.Trace, err = filepath.Abs(f); err != nil {
			return s, err
		}
	}
	if s.Face, err = faceOf(cc); err != nil {
		return s, err
	}
	if s.Prefetch, err = prefetchOf(cc.String("prefetch")); err != nil {
		return s, err
	}
	s.LogLevel, s.LogFormat, s.Progress = u.level.String(), u.format, u.progress.show
	s.AnyLevel = !cc.IsSet("log-level")
	if cc.Bool("debug") {
		s.LogLevel = "debug"
	}
	for _, p := range []string{dir, s.Image.Ref, s.Image.CacheDir, string(s.StateDir), s.LogFile, s.Trace, s.Prefetch} {
		if !utf8.ValidString(p) {
			return s, usagef("%s is not UTF-8, and cannot be recorded as JSON", quote(p))
		}
	}
	records, err := s.StateDir.records()
	if err == nil {
		s.Mountpoint, err = checkMountpoint(dir, s.Image.CacheDir, string(s.StateDir), records)
	}
	if err == nil {
		err = checkFUSE()
	}
	if err == nil {
		err = s.StateDir.make()
	}
	if err == nil && !isEmpty(s.Mountpoint) {
		u.warn("mountpoint %s is not empty: what is in it is hidden until it is unmounted", quote(s.Mountpoint))
	}
	return s, err
}

// logOf is where the log goes once the mount is live; "" if nobody can look there.
func (s *mountSpec) logOf(h hooks) string {
	switch {
	case s.LogFile != "":
		return s.LogFile
	case h.logTo != nil:
		return logBeside
	case os.Getenv("JOURNAL_STREAM") != "":
		return logJournal
	}
	return ""
}

// openLog is the mount's log, in its file if it has one, else in w.
func (s *mountSpec) openLog(w io.Writer, level slog.Leveler) (*slog.Logger, error) {
	if s.LogFile != "" {
		f, err := os.OpenFile(s.LogFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("log file: %w", err)
		}
		w = f // open until the process ends
	}
	return newLog(w, level, s.LogFormat), nil
}

// foreground serves the mount in this process, and tells n how it is.
func foreground(ctx context.Context, u *ui, s mountSpec, n *notifier, live func(record) error) error {
	h := uiHooks(u)
	h.step = n.steps(h.step)
	n.send(status("opening %s", quote(s.Image.Ref)))
	defer context.AfterFunc(ctx, func() { n.stopping(nil) })()
	log, err := s.openLog(u.err, levelOf(s.LogLevel))
	if err != nil {
		return err
	}
	h.log = log
	every := watchdogEvery(os.Getenv, os.Getpid())
	forgetWatchdog()
	stop := func() {}
	err = serve(ctx, s, h, func(r record) error {
		u.progress.stop()
		err := live(r)
		if err == nil {
			n.ready(r)
			stop = n.guard(r, every, func(err error) { log.Error(err.Error()) })
		}
		return err
	})
	stop()
	n.stopping(err)
	return err
}

// mounted prints what has been mounted where, at once. That this fails is a
// reason not to mount: who asked would take it for not mounted.
func (u *ui) mounted(r record, asJSON bool) error {
	if asJSON {
		u.json(r) // an error stays for Flush
	} else {
		signed := ""
		if r.Signed != "" {
			signed = "; signed"
		}
		fmt.Fprintf(u.out, "mounted %s (%s, %s, %s; lazy %s%s) on %s  pid %d\n",
			pinned(r.Ref, r.Digest), r.Platform, count(len(r.Layers), "layer"), bytesOf(r.Size),
			r.lazy(), signed, quote(r.Mountpoint), r.PID)
	}
	if err := u.flush(); err != nil {
		return hint(err, "it is not mounted, as nobody would have heard of it; print elsewhere, as to /dev/null")
	}
	return nil
}

// count is "1 layer", "7 layers".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
