package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
)

func historyCommand() *cli.Command {
	return &cli.Command{
		Name:      "history",
		Usage:     "show how an image was built",
		ArgsUsage: "IMAGE",
		Description: `Lists the steps that the image's configuration tells of, the first one first,
with the layer that each has made, numbered from 1 on, and its size as stored.
Steps that only changed the configuration have made none. It is what the
image's author says; no layer is read for it.`,
		UsageText: `
$ ocifs history docker.io/library/python:3.13
$ ocifs history --no-trunc alpine`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-trunc", Usage: "show whole commands"},
			jsonFlag(),
		},
		Action: about(history),
	}
}

// A step is an entry of the history, for JSON.
type historyStep struct {
	Created    string `json:"created,omitempty"` // RFC 3339
	CreatedBy  string `json:"created_by,omitempty"`
	Author     string `json:"author,omitempty"`
	Comment    string `json:"comment,omitempty"`
	EmptyLayer bool   `json:"empty_layer,omitempty"`
	Layer      *int   `json:"layer,omitempty"` // from 0, base first
	Digest     string `json:"digest,omitempty"`
	Size       int64  `json:"size"` // of the layer, as stored
}

func history(_ context.Context, u *ui, cc *cli.Context, _ *openedImage, m *image.Manifest) error {
	steps, fits := historyOf(m.Config.History, m.Layers())
	if !fits {
		u.warn("%s: its history tells of another number of layers than the %d there are", m.Name, len(m.Layers()))
	}
	if cc.Bool("json") {
		return u.json(struct {
			Schema string        `json:"schema"`
			Name   string        `json:"name"`
			Digest string        `json:"digest"`
			Steps  []historyStep `json:"steps"`
		}{"ocifs.dev/history/v1", m.Name, m.Descriptor.Digest.String(), steps})
	}
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "#\tCREATED\tSIZE\tCREATED BY")
	for _, st := range steps {
		by := printable(strings.Join(strings.Fields(st.CreatedBy+" "+commentOf(st)), " "))
		if !cc.Bool("no-trunc") {
			by = clip(by, 80)
		}
		number, size := "-", "-"
		if st.Layer != nil {
			number, size = fmt.Sprint(*st.Layer+1), bytesOf(st.Size)
		}
		created := "-"
		if st.Created != "" {
			created = st.Created[:min(len(st.Created), len(time.DateOnly))]
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", number, created, size, by)
	}
	return t.Flush()
}

// commentOf is a step's comment, as Dockerfiles have them, unless it is one
// that BuildKit puts on every step.
func commentOf(s historyStep) string {
	if s.Comment == "" || strings.HasPrefix(s.Comment, "buildkit.") {
		return ""
	}
	return "# " + s.Comment
}

// historyOf puts the steps of a history beside the layers they have made, and
// says whether they fit. Layers that no step is left for stand at the end.
func historyOf(h []ocispec.History, layers []ocispec.Descriptor) (steps []historyStep, fits bool) {
	n := 0
	steps = []historyStep{}
	made := func(s *historyStep) {
		i := n
		s.Layer, s.Digest, s.Size = &i, layers[i].Digest.String(), layers[i].Size
	}
	for _, e := range h {
		s := historyStep{CreatedBy: e.CreatedBy, Author: e.Author, Comment: e.Comment, EmptyLayer: e.EmptyLayer}
		if e.Created != nil {
			s.Created = e.Created.UTC().Format(time.RFC3339Nano)
		}
		if !e.EmptyLayer {
			if n < len(layers) {
				made(&s)
			}
			n++
		}
		steps = append(steps, s)
	}
	fits = n == len(layers)
	for ; n < len(layers); n++ {
		s := historyStep{}
		made(&s)
		steps = append(steps, s)
	}
	return steps, fits || len(h) == 0
}
