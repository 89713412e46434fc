package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
)

func platformsCommand() *cli.Command {
	return &cli.Command{
		Name:      "platforms",
		Usage:     "list the platforms an image is for",
		ArgsUsage: "IMAGE",
		Description: `Lists the manifests that IMAGE leads to, also those in nested image indexes,
with what --platform takes to choose each. Attestations are left out, and "-"
is what is for no platform.`,
		UsageText: `
$ ocifs platforms docker.io/library/alpine
$ ocifs platforms --json alpine | jq -r '.platforms[].platform'`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: talk(listPlatforms),
	}
}

// A platformEntry is a manifest and what it is for, for JSON.
type platformEntry struct {
	Platform     string   `json:"platform"` // "" if none is told
	OS           string   `json:"os,omitempty"`
	Architecture string   `json:"architecture,omitempty"`
	Variant      string   `json:"variant,omitempty"`
	OSVersion    string   `json:"os_version,omitempty"`
	OSFeatures   []string `json:"os_features,omitempty"`
	descriptorInfo
}

func listPlatforms(ctx context.Context, u *ui, cc *cli.Context) error {
	s, err := imageSpecOf(cc, cc.Args().First())
	if err != nil {
		return err
	}
	img, err := openSource(ctx, s, uiHooks(u))
	if err != nil {
		return err
	}
	defer img.Close()
	root, found, err := image.Platforms(ctx, img.src, img.store, image.Options{Warn: uiHooks(u).warn})
	if err != nil {
		return img.named(err)
	}
	list := []platformEntry{}
	for _, d := range found {
		list = append(list, platformEntryOf(d))
	}
	if cc.Bool("json") {
		return u.json(struct {
			Schema    string          `json:"schema"`
			Name      string          `json:"name"`
			Digest    string          `json:"digest"`
			Platforms []platformEntry `json:"platforms"`
		}{"ocifs.dev/platforms/v1", img.Name(), root.Digest.String(), list})
	}
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PLATFORM\tDIGEST")
	for _, p := range list {
		name := "-"
		if p.Platform != "" {
			name = quote(p.Platform)
		}
		fmt.Fprintf(t, "%s\t%s\n", name, p.Digest)
	}
	return t.Flush()
}

func platformEntryOf(d ocispec.Descriptor) platformEntry {
	e := platformEntry{descriptorInfo: infoOf(d)}
	if p := d.Platform; p != nil {
		e.Platform, e.OS, e.Architecture, e.Variant = platformName(*p), p.OS, p.Architecture, p.Variant
		e.OSVersion, e.OSFeatures = p.OSVersion, p.OSFeatures
	}
	return e
}
