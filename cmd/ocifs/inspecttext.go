package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fs/image"
)

// A liner prints a line of what inspect shows.
type liner func(key, format string, v ...any)

func inspectText(u *ui, n *inspection) error {
	line := liner(func(key, format string, v ...any) {
		fmt.Fprintf(u.out, "%-11s %s\n", key, printable(fmt.Sprintf(format, v...)))
	})
	line("Name", "%s", n.Name)
	line("Digest", "%s", n.Root.Digest)
	switch n.Signed {
	case "":
	case n.Root.Digest:
		line("Signed", "yes")
	default:
		line("Signed", "yes: the manifest %s", n.Signed)
	}
	line("Media type", "%s", cmp.Or(n.Root.MediaType, "(unsaid)"))
	switch {
	case errors.Is(n.why, image.ErrArtifact):
		line("Mountable", "as files")
	case n.why != nil:
		line("Mountable", "no: %v", n.why)
	}
	if n.Index != nil {
		line("Platforms", "%s", platformList(n.Index.Manifests))
	}
	switch {
	case n.image != nil:
		imageText(line, n)
		return layerTable(u, n)
	case n.Manifest != nil:
		artifactText(line, n)
		return blobTable(u, n)
	case n.Index != nil:
		return indexTable(u, n)
	}
	line("Size", "%s; ocifs inspect --raw prints it", bytesOf(n.Root.Size))
	return nil
}

// imageText shows what there is to say of an image but for its layers.
func imageText(line liner, n *inspection) {
	m := n.image
	selected := platformName(m.Config.Platform)
	if n.Index != nil {
		selected += "  " + m.Descriptor.Digest.String()
	}
	line("Selected", "%s", selected)
	if c := m.Config.Created; c != nil {
		line("Created", "%s", c.UTC().Format(time.RFC3339))
	}
	runText(line, m.Config.Config)
	if n.tocs != nil {
		line("TOC image", "%s", n.tocs.Digest)
	}
	lazy := 0
	for _, o := range n.outlooks {
		if o.Err == nil && o.Origin != image.OriginRead {
			lazy++
		}
	}
	line("Layers", "%d, %s (lazy now: %d)", len(m.Layers()), bytesOf(sizeOfAll(m.Layers())), lazy)
}

// layerTable shows the layers of an image.
func layerTable(u *ui, n *inspection) error {
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	by := createdBy(n.image.Config, len(n.outlooks))
	for i, o := range n.outlooks {
		if i == 0 {
			fmt.Fprintln(t, "#\tDIGEST\tFORMAT\tSIZE\tHOW IT IS READ\tCREATED BY")
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", i+1, shortDigest(o.Descriptor.Digest.String()), formatOf(o.Descriptor),
			bytesOf(o.Descriptor.Size), printable(howRead(o)), clip(printable(by[i]), 60))
	}
	return t.Flush()
}

// formatOf is storage, or the media type where that says nothing known.
func formatOf(d ocispec.Descriptor) string {
	if s := storage(d); s != "?" {
		return s
	}
	return printable(cmp.Or(d.MediaType, "(unsaid)"))
}

// howRead is how a layer would be read, as help has it.
func howRead(o image.Outlook) string {
	how := ""
	switch {
	case o.Err != nil:
		return o.Err.Error()
	case o.InPlace && o.Cached < o.Decoded:
		return "read where it lies"
	case o.Origin == image.OriginCache:
		return "cached: " + share(o)
	case o.Origin == image.OriginRead:
		return "one pass first, then lazy"
	case o.Origin == image.OriginLayer && storage(o.Descriptor) == "zstd:chunked":
		how = "lazy: zstd:chunked TOC"
	case o.Origin == image.OriginLayer:
		how = "lazy: eStargz TOC"
	case o.Origin == image.OriginTOCImage:
		how = "lazy: TOC image"
	case o.Origin == image.OriginSOCI:
		how = "lazy: SOCI"
	default:
		how = "lazy: ocifs index"
	}
	if o.Cached > 0 {
		how += ", cached: " + share(o)
	}
	return how
}

// share is how much of a layer the cache has.
func share(o image.Outlook) string {
	switch {
	case o.Decoded > 0:
		return fmt.Sprintf("%d %%", int(100*float64(min(o.Cached, o.Decoded))/float64(o.Decoded)))
	case o.Cached == 0: // of nothing
		return "100 %"
	}
	return bytesOf(o.Cached)
}

// artifactText shows what there is to say of a manifest that is no image's.
func artifactText(line liner, n *inspection) {
	m := n.Manifest
	if n.Index != nil {
		line("Selected", "%s", n.Descriptor.Digest)
	}
	if t := n.artifact(); t != "" {
		line("Artifact", "%s", t)
	}
	if m.Config.Digest != "" {
		line("Config", "%s  %s  %s", shortDigest(m.Config.Digest.String()), m.Config.MediaType, bytesOf(m.Config.Size))
	}
	if m.Subject != nil {
		line("Subject", "%s  %s", m.Subject.Digest, m.Subject.MediaType)
	}
	pairs(line, "Annotations", m.Annotations)
	line("Blobs", "%d, %s", len(m.Layers), bytesOf(sizeOfAll(m.Layers)))
}

// blobTable shows the blobs of an artifact.
func blobTable(u *ui, n *inspection) error {
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	for i, d := range n.Manifest.Layers {
		if i == 0 {
			fmt.Fprintln(t, "#\tDIGEST\tMEDIA TYPE\tSIZE\tTITLE")
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", i+1, printable(shortDigest(d.Digest.String())), printable(d.MediaType), bytesOf(d.Size),
			clip(printable(d.Annotations[ocispec.AnnotationTitle]), 60))
	}
	return t.Flush()
}

// indexTable shows the entries of an image index of which none is chosen.
func indexTable(u *ui, n *inspection) error {
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	for i, d := range n.Index.Manifests {
		if i == 0 {
			fmt.Fprintln(t, "#\tDIGEST\tPLATFORM\tSIZE\tMEDIA TYPE")
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", i+1, printable(shortDigest(d.Digest.String())), printable(platformOf(d)), bytesOf(d.Size), printable(d.MediaType))
	}
	return t.Flush()
}

func sizeOfAll(ds []ocispec.Descriptor) (n int64) {
	for _, d := range ds {
		n += d.Size
	}
	return n
}

// pairs shows a map, a line for each pair.
func pairs(line liner, key string, m map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		line(key, "%s=%s", k, m[k])
		key = ""
	}
}

// runText shows how an image wants to be run; what is not set is left out.
func runText(line liner, c ocispec.ImageConfig) {
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
	pairs(line, "Labels", c.Labels)
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
