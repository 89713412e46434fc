package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"
)

// version is stamped at build time: -ldflags "-X main.version=…".
var version string

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version",
		UsageText: "$ ocifs version",
		Flags:     []cli.Flag{jsonFlag()},
		Action: talk(func(_ context.Context, u *ui, cc *cli.Context) error {
			v := buildInfo()
			if cc.Bool("json") {
				return u.json(v)
			}
			fmt.Fprintf(u.out, "ocifs %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			return nil
		}),
	}
}

type versionInfo struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildInfo is what the stamp says, or else what the toolchain left in the
// binary.
func buildInfo() versionInfo {
	v := versionInfo{
		Schema:   "ocifs.dev/version/v1",
		Version:  version,
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		v.Version = cmp.Or(v.Version, "unknown")
		return v
	}
	v.Version = cmp.Or(v.Version, strings.Trim(bi.Main.Version, "()"), "unknown") // "(devel)" of a build without a version
	for _, s := range bi.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
