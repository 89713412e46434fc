package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
)

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show what an image is",
		ArgsUsage: "IMAGE",
		Description: `Shows the image's digest, the platforms there are, its layers and how it wants
to be run. Only manifests and the configuration are read, no layer; which of the
layers can be read in pieces otherwise, ocifs layers tells. Where eStargz layers
leave their index to a TOC image (IMAGE-esgztoc), that is shown, too.`,
		UsageText: `
$ ocifs inspect docker.io/library/python:3.13
$ ocifs inspect --config alpine | jq .config.Env`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "raw", Usage: "print what the reference points at (an image index or a manifest) byte for byte"},
			&cli.BoolFlag{Name: "manifest", Usage: "print the platform's manifest byte for byte"},
			&cli.BoolFlag{Name: "config", Usage: "print the platform's configuration byte for byte"},
			jsonFlag(),
		},
		Action: talk(inspect),
	}
}

func inspect(ctx context.Context, u *ui, cc *cli.Context) error {
	forms := 0
	for _, f := range []string{"raw", "manifest", "config", "json"} {
		if cc.Bool(f) {
			forms++
		}
	}
	if forms > 1 {
		return usagef("inspect: only one of --raw, --manifest, --config and --json")
	}
	s, err := imageSpecOf(cc, cc.Args().First())
	if err != nil {
		return err
	}
	img, m, err := openManifest(ctx, u, s)
	if err != nil {
		return err
	}
	defer img.Close()
	var raw []byte
	switch {
	case cc.Bool("raw"):
		raw = m.RawRoot
	case cc.Bool("manifest"):
		raw = m.Raw
	case cc.Bool("config"):
		raw = m.RawConfig
	case cc.Bool("json"):
		return u.json(inspectJSON(m, tocImage(ctx, img, m)))
	default:
		return inspectText(u, m, tocImage(ctx, img, m))
	}
	if u.tty {
		raw = harmless(raw) // another digest, but the same document
	}
	_, err = u.out.Write(raw)
	return err
}

// tocImage is the image beside this one that has the tables of contents of
// some of its eStargz layers; nil if there is none, or none that can be read.
func tocImage(ctx context.Context, img *openedImage, m *image.Manifest) *descriptorInfo {
	of := slices.DeleteFunc(slices.Clone(m.Layers()), func(d ocispec.Descriptor) bool { return storage(d) != "estargz" })
	if len(of) == 0 {
		return nil
	}
	d, tables, err := image.TOCImage(ctx, img.src, img.store)
	if err != nil || !slices.ContainsFunc(of, func(l ocispec.Descriptor) bool { return tables[l.Digest].Digest != "" }) {
		return nil
	}
	return shown(d)
}

// An inspected is an image, for JSON.
type inspected struct {
	Schema    string            `json:"schema"`
	Name      string            `json:"name"`
	Digest    string            `json:"digest"` // of what the reference points at
	MediaType string            `json:"media_type"`
	Platforms []platformInfo    `json:"platforms,omitempty"` // there is an image index
	Selected  selectedInfo      `json:"selected"`
	Layers    []layerDescriptor `json:"layers"`
	TOCImage  *descriptorInfo   `json:"toc_image,omitempty"` // has tables of contents of the layers
	Config    json.RawMessage   `json:"config"`              // as the image has it
	Labels    map[string]string `json:"labels,omitempty"`
}

// A platformInfo is an entry of an image index.
type platformInfo struct {
	Platform string `json:"platform"`
	descriptorInfo
}

// A descriptorInfo is a descriptor.
type descriptorInfo struct {
	Digest    string `json:"digest"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
}

// A layerDescriptor is a layer, as far as the manifest tells.
type layerDescriptor struct {
	descriptorInfo
	Format string `json:"format"`
	Lazy   bool   `json:"lazy"` // it brings an index, so it need not be read through
}

// bringsIndex says whether layers stored that way have an index of their own.
func bringsIndex(storage string) bool { return storage == "estargz" || storage == "zstd:chunked" }

// A selectedInfo is the image for the platform.
type selectedInfo struct {
	Platform string     `json:"platform"`
	Digest   string     `json:"digest"`
	Created  *time.Time `json:"created,omitempty"`
	Size     int64      `json:"size"` // of all layers, as stored
}

func inspectJSON(m *image.Manifest, tocs *descriptorInfo) inspected {
	i := inspected{
		Schema: "ocifs.dev/inspect/v1", Name: m.Name, Digest: m.Root.Digest.String(), MediaType: m.Root.MediaType,
		Selected: selectedInfo{Platform: platformName(m.Config.Platform), Digest: m.Descriptor.Digest.String(), Created: m.Config.Created},
		Layers:   []layerDescriptor{}, TOCImage: tocs, Config: m.RawConfig, Labels: m.Config.Config.Labels,
	}
	for _, d := range m.Platforms {
		if isImage(d) {
			i.Platforms = append(i.Platforms, platformInfo{platformOf(d), infoOf(d)})
		}
	}
	for _, d := range m.Layers() {
		i.Layers = append(i.Layers, layerDescriptor{infoOf(d), storage(d), bringsIndex(storage(d))})
		i.Selected.Size += d.Size
	}
	return i
}

func infoOf(d ocispec.Descriptor) descriptorInfo {
	return descriptorInfo{d.Digest.String(), d.MediaType, d.Size}
}

// isImage tells images in an index from what is said about them
// (attestations).
func isImage(d ocispec.Descriptor) bool {
	return d.Platform == nil || d.Platform.OS != "unknown"
}

func platformOf(d ocispec.Descriptor) string {
	switch {
	case d.Platform != nil:
	case d.MediaType == ocispec.MediaTypeImageIndex:
		return "(nested index)"
	default:
		return "(unsaid)"
	}
	return platformName(*d.Platform)
}

func platformName(p ocispec.Platform) string {
	return image.FormatPlatform(platforms.Normalize(p))
}

func inspectText(u *ui, m *image.Manifest, tocs *descriptorInfo) error {
	line := func(key, format string, v ...any) {
		fmt.Fprintf(u.out, "%-11s %s\n", key, printable(fmt.Sprintf(format, v...)))
	}
	line("Name", "%s", m.Name)
	line("Digest", "%s", m.Root.Digest)
	line("Media type", "%s", m.Root.MediaType)
	if m.Platforms != nil {
		line("Platforms", "%s", platformList(m.Platforms))
	}
	var size int64
	for _, d := range m.Layers() {
		size += d.Size
	}
	selected := platformName(m.Config.Platform)
	if m.Platforms != nil {
		selected += "  " + m.Descriptor.Digest.String()
	}
	line("Selected", "%s", selected)
	if c := m.Config.Created; c != nil {
		line("Created", "%s", c.UTC().Format(time.RFC3339))
	}
	runText(line, m.Config.Config)
	own := 0
	for _, d := range m.Layers() {
		if bringsIndex(storage(d)) {
			own++
		}
	}
	line("Layers", "%d, %s (with an index of their own: %d)", len(m.Layers()), bytesOf(size), own)
	if tocs != nil {
		line("TOC image", "%s", tocs.Digest)
	}
	by := createdBy(m.Config, len(m.Layers()))
	for i, d := range m.Layers() {
		fmt.Fprintf(u.out, "%4d  %s  %-12s %10s  %s\n", i+1, shortDigest(d.Digest.String()), storage(d),
			bytesOf(d.Size), clip(printable(by[i]), 60))
	}
	return nil
}

// runText shows how an image wants to be run; what is not set is left out.
func runText(line func(key, format string, v ...any), c ocispec.ImageConfig) {
	list := func(key string, words []string) {
		for i, w := range words {
			if i > 0 {
				key = ""
			}
			line(key, "%s", w)
		}
	}
	command := func(key string, argv []string) {
		if len(argv) > 0 {
			b, _ := json.Marshal(argv)
			line(key, "%s", b)
		}
	}
	text := func(key, value string) {
		if value != "" {
			line(key, "%s", value)
		}
	}
	command("Entrypoint", c.Entrypoint)
	command("Cmd", c.Cmd)
	text("User", c.User)
	text("Directory", c.WorkingDir)
	list("Env", c.Env)
	list("Ports", slices.Sorted(maps.Keys(c.ExposedPorts)))
	list("Volumes", slices.Sorted(maps.Keys(c.Volumes)))
	text("Stop signal", c.StopSignal)
	var labels []string
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		labels = append(labels, k+"="+c.Labels[k])
	}
	list("Labels", labels)
}

// platformList is the platforms of an index in one line.
func platformList(ds []ocispec.Descriptor) string {
	var names []string
	other := 0
	for _, d := range ds {
		if !isImage(d) {
			other++
		} else {
			names = append(names, platformOf(d))
		}
	}
	s := strings.Join(names, " ")
	if other > 0 {
		s += fmt.Sprintf(" (+%s)", count(other, "attestation"))
	}
	return cmp.Or(strings.TrimSpace(s), "none")
}

// storage is how a layer is stored, as far as the manifest tells: by the
// annotations of formats with an index, and the end of the media type. What
// stargz-snapshotter writes as zstd:chunked has eStargz's annotation, too.
func storage(d ocispec.Descriptor) string {
	for key := range d.Annotations {
		if strings.HasSuffix(key, ".zstd-chunked.manifest-checksum") {
			return "zstd:chunked"
		}
	}
	if d.Annotations["containerd.io/snapshot/stargz/toc.digest"] != "" {
		return "estargz"
	}
	for _, s := range []string{"gzip", "zstd", "tar"} {
		if strings.HasSuffix(d.MediaType, s) {
			return s
		}
	}
	return "?"
}
