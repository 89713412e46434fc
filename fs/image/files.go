package image

import (
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/index"
)

// files selects an artifact's blobs.
func (s *Selection) files(m *Manifest, at string) error {
	for _, d := range m.Layers() {
		if err := s.blob(m, d, at, len(m.Layers()) == 1); err != nil {
			return err
		}
	}
	if len(s.parts) == 0 { // nothing but annotations
		s.parts = append(s.parts, part{at: at, layers: []int{}})
	}
	return nil
}

// blob selects one, which may be the artifact's only one.
func (s *Selection) blob(m *Manifest, d ocispec.Descriptor, at string, alone bool) error {
	shape := shapeOf(d, alone)
	if d.MediaType == helmProvenance {
		shape.name = provenanceName(m, shape.name)
	}
	l := selected{desc: d, format: index.Raw, from: m.from}
	if shape.tar {
		l.format = shape.format
		if id := digest.Digest(d.Annotations[noteUnpacked]); id.Validate() == nil {
			l.diffID = id
		}
	}
	n, err := s.take(l)
	if err != nil {
		return err
	}
	p := part{at: at, layers: []int{n}, name: shape.name, desc: d, meta: metaOf(m, d)}
	if shape.tar {
		p = part{at: at, layers: []int{n}, tar: true, below: shape.below}
		if shape.full {
			p.full, p.base = shape.name, at
		}
		if p.at != "" && shape.name != "" {
			p.at += "/"
		}
		p.at += shape.name
	}
	s.parts = append(s.parts, p)
	return nil
}

// provenanceName is what helm calls a chart's signature, which has no name of
// its own.
func provenanceName(m *Manifest, name string) string {
	chart, version := m.annotations[ocispec.AnnotationTitle], m.annotations[ocispec.AnnotationVersion]
	if chart == "" || version == "" {
		return name
	}
	return component(chart + "-" + version + ".tgz.prov")
}

// fileMode is that of files of which nobody says it.
const fileMode = index.ModeRegular | 0o644

// metaOf is what is known of a blob as a file: what ModelPack's annotation
// tells, or that it was made when the artifact was.
func metaOf(m *Manifest, d ocispec.Descriptor) index.Entry {
	e := index.Entry{Mode: fileMode, ModTime: created(m.annotations)}
	var meta struct {
		Mode     uint32    `json:"mode"`
		UID, GID uint32    // as in the annotation, but for their case
		ModTime  time.Time `json:"mtime"`
	}
	if note := d.Annotations[noteModelFile]; note != "" && json.Unmarshal([]byte(note), &meta) == nil {
		if meta.Mode != 0 {
			e.Mode = index.ModeRegular | meta.Mode&0o777
		}
		e.UID, e.GID = meta.UID, meta.GID
		if !meta.ModTime.IsZero() {
			e.ModTime = meta.ModTime.UTC()
		}
	}
	return e
}

// created is the time that annotations tell, or the Unix epoch.
func created(annotations map[string]string) time.Time {
	t, err := time.Parse(time.RFC3339, annotations[ocispec.AnnotationCreated])
	if err != nil {
		return time.Unix(0, 0).UTC()
	}
	return t.UTC()
}
