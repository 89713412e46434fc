package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
)

func referrersCommand() *cli.Command {
	return &cli.Command{
		Name:      "referrers",
		Aliases:   []string{"discover"},
		Usage:     "show what refers to an image",
		ArgsUsage: "IMAGE",
		Description: `Shows signatures, attestations, SBOMs, indexes, Compose applications and what
else has the image as its subject, and what refers to those in turn. They are
found by the registry's referrers API, or the tag that stands in for it; in a
layout, by reading what its index.json lists. The platforms of an image index
have their own, among them the attestations that BuildKit lists beside them;
those that have none are not shown.

Each of them has been read, and does name what it is shown below, but for what
cosign keeps under tags made of the digest (.sig, .att, .sbom): that it belongs
there, only the tag says. Any of them can be mounted, or looked into, as
IMAGE@DIGEST.`,
		UsageText: `
$ ocifs referrers ghcr.io/o/r:v2
$ ocifs referrers --table --artifact-type application/vnd.dev.sigstore.bundle.v0.3+json alpine
$ ocifs referrers --json --depth 1 oci:/srv/app:v2 | jq -r '.referrers[].digest'`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "artifact-type", Usage: "show only those of `TYPE`, and what they refer to"},
			&cli.IntFlag{Name: "depth", Usage: "go `N` steps from the image, 1 being what refers to it directly"},
			&cli.BoolFlag{Name: "table", Usage: "print a line for each, not a tree"},
			jsonFlag(),
		},
		Action: talk(referrers),
	}
}

func referrers(ctx context.Context, u *ui, cc *cli.Context) error {
	if cc.IsSet("depth") && cc.Int("depth") < 1 {
		return usagef("referrers: --depth is at least 1, not %d", cc.Int("depth"))
	}
	if cc.Bool("table") && cc.Bool("json") {
		return usagef("referrers: only one of --table and --json")
	}
	s, err := imageSpecOf(cc, cc.Args().First())
	if err != nil {
		return err
	}
	img, err := openSource(ctx, s, uiHooks(u))
	if err != nil {
		return err
	}
	defer img.Close()
	found, err := image.Referrers(ctx, img.src, img.store, image.Options{Platform: s.Platform, Warn: uiHooks(u).warn},
		image.ReferrersOptions{Type: cc.String("artifact-type"), Depth: cc.Int("depth")})
	if err != nil {
		return img.named(err)
	}
	switch {
	case cc.Bool("json"):
		return u.json(struct {
			Schema string `json:"schema"`
			Name   string `json:"name"`
			referredInfo
		}{"ocifs.dev/referrers/v1", img.Name(), referredOf(found)})
	case len(found.Referrers)+len(found.Manifests) == 0:
		u.note("nothing refers to %s@%s", img.Name(), shortDigest(found.Descriptor.Digest.String()))
		return nil
	case cc.Bool("table"):
		return referrersTable(u, found)
	}
	fmt.Fprintf(u.out, "%s  %s\n", quote(img.Name()), found.Descriptor.Digest)
	return referrersTree(u, append(found.Referrers, found.Manifests...), "")
}

// A referredInfo is a manifest and what refers to it, for JSON.
type referredInfo struct {
	descriptorInfo
	Platform     string            `json:"platform,omitempty"`
	ArtifactType string            `json:"artifact_type,omitempty"`
	Attestation  bool              `json:"attestation,omitempty"` // listed beside what it is about, without a subject
	Tag          string            `json:"tag,omitempty"`         // that cosign makes of the digest of what it is about
	Predicates   []string          `json:"predicates,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Referrers    []referredInfo    `json:"referrers"`
	Manifests    []referredInfo    `json:"manifests,omitempty"` // of an image index: those that have referrers
}

func referredOf(n *image.Referred) referredInfo {
	i := referredInfo{
		descriptorInfo: infoOf(n.Descriptor), ArtifactType: n.ArtifactType, Attestation: n.Attestation, Tag: n.Tag,
		Predicates: n.Predicates, Annotations: n.Annotations, Referrers: []referredInfo{},
	}
	if p := n.Descriptor.Platform; p != nil && !n.Attestation {
		i.Platform = platformName(*p)
	}
	for _, r := range n.Referrers {
		i.Referrers = append(i.Referrers, referredOf(r))
	}
	for _, m := range n.Manifests {
		i.Manifests = append(i.Manifests, referredOf(m))
	}
	return i
}

// referrersTree draws what refers to one thing; prefix is the lines from above
// that pass by.
func referrersTree(u *ui, list []*image.Referred, prefix string) error {
	for i, n := range list {
		branch, pass := "├── ", "│   "
		if i == len(list)-1 {
			branch, pass = "└── ", "    "
		}
		line := prefix + branch + kindOf(n) + "  " + n.Descriptor.Digest.String()
		if t := n.Annotations[ocispec.AnnotationCreated]; t != "" {
			line += "  " + printable(t)
		}
		if _, err := fmt.Fprintln(u.out, line); err != nil {
			return err
		}
		if err := referrersTree(u, n.Referrers, prefix+pass); err != nil {
			return err
		}
	}
	return nil
}

// kindOf says in a word what a referrer is, or for which platform a manifest.
func kindOf(n *image.Referred) string {
	kind := cmp.Or(n.ArtifactType, n.Descriptor.MediaType)
	if p := n.Descriptor.Platform; p != nil && !n.Attestation {
		kind = platformName(*p)
	}
	if len(n.Predicates) > 0 {
		kind += " (" + strings.Join(n.Predicates, ", ") + ")"
	}
	if n.Tag != "" {
		kind += " (tag …" + filepath.Ext(n.Tag) + ")"
	}
	return printable(kind)
}

func referrersTable(u *ui, n *image.Referred) error {
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TYPE\tDIGEST\tSIZE\tCREATED\tREFERS TO")
	var rows func(n *image.Referred)
	rows = func(n *image.Referred) {
		for _, r := range n.Referrers {
			made := cmp.Or(printable(r.Annotations[ocispec.AnnotationCreated]), "-")
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", kindOf(r), r.Descriptor.Digest, bytesOf(r.Descriptor.Size), made, shortDigest(n.Descriptor.Digest.String()))
			rows(r)
		}
		for _, m := range n.Manifests {
			rows(m)
		}
	}
	rows(n)
	return t.Flush()
}
