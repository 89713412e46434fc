// Command ocifs mounts OCI images without unpacking them, and looks into
// them without mounting.
//
// It is the only package that prints, exits, and reads flags or the
// environment. A command is a file: a constructor with its flags and help,
// and a plain function that does it. What the commands share: the line is
// read by permute.go before urfave/cli sees it; ui.go says what goes to
// which stream; exit.go has the exit codes and advice.go the hints. Called by
// mount(8), the program is another one (helper.go), and for a shell that
// completes a line, it answers what could follow (complete.go).
//
// A mount in the background is this program again (daemon.go), started with
// two pipes: on one it gets what to do, on the other it tells its parent how
// it goes; the parent shows that and leaves when the mount is live. What is
// mounted is written down, a directory for each mount (state.go), for
// "ocifs mounts" and "ocifs umount" to find.
package main

import (
	"context"
	"os"

	"github.com/urfave/cli/v2"
)

func main() {
	ctx := withSignals(context.Background())
	os.Exit(run(ctx, os.Args))
}

// run does what the command line says and returns the exit code.
func run(ctx context.Context, argv []string) int {
	cli.HelpFlag = nil // or cli takes the -h of ls for itself
	app := newApp()
	if words, ok := helperWords(app, argv); ok {
		err := helper(ctx, app, words)
		report(ctx, os.Stderr, err)
		return helperCode(exitCode(ctx, err))
	}
	err := dispatch(ctx, app, argv)
	report(ctx, os.Stderr, err)
	return exitCode(ctx, err)
}

func dispatch(ctx context.Context, app *cli.App, argv []string) error {
	l, err := readLine(app, argv[1:])
	if err != nil {
		return err
	}
	if l.help {
		return printHelp(os.Stdout, app, l.path)
	}
	if len(l.path) == 0 {
		printHelp(os.Stderr, app, nil)
		return reported(exitUsage)
	}
	return app.RunContext(ctx, l.words(app.Name))
}

// newApp lists the commands. It is made anew for each line: cli keeps what it
// has read in it.
func newApp() *cli.App {
	app := &cli.App{
		Name:                      "ocifs",
		Usage:                     "mount OCI images without unpacking them",
		HideHelp:                  true, // permute.go and help.go do these
		HideVersion:               true,
		DisableSliceFlagSeparator: true, // a comma in a value is a comma
		ExitErrHandler:            func(*cli.Context, error) {},
		Flags:                     globalFlags(),
		Commands: []*cli.Command{
			leaf(withKey(withView(mountCommand())), 2, 2),
			leaf(umountCommand(), 0, many),
			leaf(mountsCommand(), 0, 1),
			leaf(statsCommand(), 1, 1),
			leaf(withKey(runCommand()), 1, many),
			leaf(withKey(bundleCommand()), 2, many),
			leaf(withKey(withView(lsCommand())), 1, many),
			leaf(withKey(withView(catCommand())), 2, many),
			leaf(withKey(withView(treeCommand())), 1, 2),
			leaf(withKey(withView(statCommand())), 2, many),
			leaf(withKey(withView(findCommand())), 1, many),
			leaf(withKey(withView(duCommand())), 1, many),
			leaf(withKey(withView(cpCommand())), 1, many),
			leaf(withKey(withView(exportCommand())), 1, many),
			leaf(withKey(withView(diffCommand())), 2, 3),
			leaf(withKey(inspectCommand()), 1, 1),
			leaf(referrersCommand(), 1, 1),
			leaf(withKey(layersCommand()), 1, 1),
			leaf(withKey(historyCommand()), 1, 1),
			leaf(platformsCommand(), 1, 1),
			leaf(digestCommand(), 1, 1),
			leaf(tagsCommand(), 1, 1),
			indexCommand(),
			cacheCommand(),
			leaf(doctorCommand(), 0, 1),
			leaf(convertCommand(), 2, 2),
			leaf(completionCommand(), 1, 1),
			leaf(manCommand(), 0, 2),
			leaf(versionCommand(), 0, 0),
			leaf(completeCommand(), 0, many),
			leaf(daemonCommand(), 2, 2),
			leaf(probeCommand(), 2, 2),
			leaf(containerCommand(), 0, 1),
		},
	}
	return app
}
