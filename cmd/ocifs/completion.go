package main

import (
	"context"
	"embed"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// The scripts ask "ocifs complete", which knows the commands; they only say
// it in the words of their shell.
//
//go:embed completion/ocifs.bash completion/ocifs.zsh completion/ocifs.fish
var completionScripts embed.FS

// shells are those there is a script for.
var shells = []string{"bash", "zsh", "fish"}

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes command lines in a shell",
		ArgsUsage: "SHELL",
		Description: `SHELL is bash, zsh or fish. Commands, flags and their values are completed, images
that were opened before, and mountpoints. "make install" and packages put the
scripts where the shells look for them.`,
		UsageText: `
$ ocifs completion bash > ~/.local/share/bash-completion/completions/ocifs
$ ocifs completion fish > ~/.config/fish/completions/ocifs.fish
$ ocifs completion zsh > "${fpath[1]}/_ocifs"`,
		Action: talk(func(_ context.Context, u *ui, cc *cli.Context) error {
			shell := cc.Args().First()
			if !slices.Contains(shells, shell) {
				return usagef("completion: no script for %q", shell).with("there are " + strings.Join(shells, ", "))
			}
			b, err := completionScripts.ReadFile("completion/ocifs." + shell)
			if err == nil {
				_, err = u.out.Write(b)
			}
			return err
		}),
	}
}
