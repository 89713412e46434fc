package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"ocifs.dev/ocifs/fs/bundle"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run a program in a container of an image, with runc, crun or bwrap",
		ArgsUsage: "IMAGE [ARG…]",
		Description: `Mounts the image, runs its program in a container, or the one that the arguments
name, and exits as that does. What stands behind IMAGE is the program's.

Nothing is left of a container: its mounts are its own, nobody else sees them, and
they go with it, also when it is killed. It can write everywhere, to memory;
--writable=DIR keeps what it writes in DIR/upper, and --read-only forbids it. It
uses this machine's network, unless --network=none. It is as well kept apart as the
runtime does it, without a filter of system calls: for programs one trusts. bwrap
shows further groups of a user other than root as 65534, though they count.

Signals are passed on; who sends the third SIGINT or SIGTERM ends the container.
With -t, so does the end of the terminal, after a few seconds at most.
Beside the program's exit codes there are those below, with an error that says why,
126 for a program that cannot be run, and 127 for one that is not there.

A user other than root is root of a user namespace in there, with the other users
that newuidmap (package uidmap) and /etc/subuid give; without those, alone. That
takes an accessible /dev/fuse, and no further rights.`,
		UsageText: `
$ ocifs run --rm docker.io/library/python:3.13 python3 -c 'print(6*7)'
$ ocifs run -it -v .:/src -w /src docker.io/library/golang:1.26 bash
$ ocifs run --writable=state oci:/srv/images/app:v2`,
		Flags: append(containerFlags(),
			&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "let the program read standard input"},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the program a terminal"},
			&cli.BoolFlag{Name: "rm", Value: true, Usage: "leave nothing of the container"},
			&cli.StringFlag{Name: "name", Usage: "call the container `NAME` where the runtime shows it"},
			&cli.StringFlag{Name: "runtime", Usage: "run with `WHICH`: runc, crun, bwrap, by name or path (the first of these that is installed)"},
			&cli.BoolFlag{Name: "read-only", Usage: "let the program write to memory that --tmpfs and the image's volumes are, and nowhere else"},
			writableFlag("keep what the program writes below `DIR` (in DIR/upper), not in memory"),
		),
		Action: talk(runImage),
	}
}

// A runSpec is all that a container needs to know. It goes to its keeper as
// JSON.
type runSpec struct {
	Image     imageSpec
	Dir       string // of its own, while it lives
	Name      string
	UserName  string // of who runs it, who in there is root
	Runtime   engine
	Options   bundle.Options
	Upper     string // where what is written goes; "": memory
	LogLevel  string
	LogFormat string
	Progress  bool // somebody looks at it
}

func runImage(ctx context.Context, u *ui, cc *cli.Context) error {
	s, err := runSpecOf(u, cc)
	if err != nil {
		return err
	}
	dir, err := stateDirOf(cc)
	if err != nil {
		return err
	}
	if err := dir.make(); err != nil {
		return err
	}
	dir.sweep()
	s.Dir = dir.unfinished("run")
	defer os.RemoveAll(s.Dir)
	return (&warden{u: u, spec: s, stdin: cc.Bool("interactive")}).run(ctx)
}

// runSpecOf reads the flags and arguments, and checks what can be checked
// before anything is fetched.
func runSpecOf(u *ui, cc *cli.Context) (s runSpec, err error) {
	if !cc.Bool("rm") {
		return s, usagef("--rm=false: nothing of a container is kept").with("what it writes is, with --writable=DIR")
	}
	if s.Options, err = containerOptionsOf(cc, cc.Args().Tail()); err != nil {
		return s, err
	}
	s.UserName = userName()
	if s.Name, err = containerName(cc.String("name")); err != nil {
		return s, err
	}
	if s.Options.Terminal = cc.Bool("tty"); s.Options.Terminal && !onTerminal() {
		return s, usagef("--tty: there is no terminal here").with("leave -t out")
	}
	s.Options.ReadOnly = cc.Bool("read-only")
	if s.Options.ReadOnly && cc.String("writable") != "" {
		return s, usagef("--read-only and --writable exclude each other")
	}
	if s.Upper, err = upperOf(cc); err != nil {
		return s, err
	}
	if s.Runtime, err = findRuntime(cc.String("runtime")); err != nil {
		return s, err
	}
	if s.Image, err = imageSpecOf(cc, cc.Args().First()); err != nil {
		return s, err
	}
	for _, p := range []string{s.Image.Ref, s.Image.CacheDir, s.Upper, s.Runtime.Path} {
		if !utf8.ValidString(p) {
			return s, usagef("%s is not UTF-8, and cannot be passed on as JSON", quote(p))
		}
	}
	s.LogLevel, s.LogFormat, s.Progress = u.level.String(), u.format, u.progress.show
	return s, checkNamespaces()
}

// containerName is the name given, if a runtime takes it, or a new one.
func containerName(name string) (string, error) {
	if name == "" {
		return "ocifs-" + newID(), nil
	}
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`).MatchString(name) {
		return "", usagef("--name %q: not letters, digits, and _.- between them", name)
	}
	return name, nil
}

// onTerminal says whether a stream of ours is a terminal.
func onTerminal() bool {
	for fd := range 3 {
		if term.IsTerminal(fd) {
			return true
		}
	}
	return false
}

// checkNamespaces finds out whether containers can be made here.
func checkNamespaces() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return checkFUSE()
	}
	f.Close()
	if os.Geteuid() == 0 && !mayMount() {
		return mountf("containers take the capability CAP_SYS_ADMIN").with("run ocifs with it, or as another user: then it makes a user namespace")
	}
	return nil
}

// exited stands for the end of a program that ran in a container, whose exit
// code is ours, also after a signal.
type exited int

func (e exited) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
