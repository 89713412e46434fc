package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.yaml.in/yaml/v3"
)

// What "docker compose publish" writes: a manifest of the artifact type, or, for
// registries that know only OCI 1.0, with the configuration's type instead; its
// blobs are Compose files, files that these extend, and environments.
const (
	composeType   = "application/vnd.docker.compose.project"
	composeConfig = "application/vnd.docker.compose.config.empty.v1+json"
	composeFile   = "application/vnd.docker.compose.file+yaml"
	composeEnv    = "application/vnd.docker.compose.envfile"

	noteComposeFile = "com.docker.compose.file"
	noteComposeEnv  = "com.docker.compose.envfile"
	noteExtends     = "com.docker.compose.extends" // "true" of a file that others extend

	composeMain    = "compose.yaml"
	composeDigests = "image-digests.yaml" // which digests the services' images have
)

// A composeText is a file of a Compose application.
type composeText struct {
	name string
	body []byte
}

// A project is a Compose application: its files, as "docker compose" puts them
// down, and what it says of its services.
type project struct {
	files    []composeText
	services map[string]string // image by service, as far as it is said
}

// assemble makes a project of a manifest's blobs as "docker compose" does. All
// Compose files go into one, behind each other, as documents of YAML; so does
// that of image digests, which is shown by itself, too. What others extend, and
// environments, have files of their own. A document is set apart by its place
// among all blobs, so that a file to be extended begins with the separator.
func assemble(blobs []ocispec.Descriptor, bodies [][]byte) (*project, error) {
	p := new(project)
	var documents [][]byte
	extended := map[string][]byte{}
	for i, d := range blobs {
		name, body := composeMain, bodies[i]
		switch d.MediaType {
		case composeFile:
			if _, ok := d.Annotations[noteExtends]; ok {
				name = d.Annotations[noteComposeFile]
				extended[name] = body
			} else {
				documents = append(documents, body)
			}
			if d.Annotations[noteComposeFile] == composeDigests && name == composeMain {
				if err := p.put(composeDigests, body, false); err != nil {
					return nil, err
				}
			}
			if _, ok := d.Annotations[noteComposeFile]; i > 0 && ok {
				body = append([]byte("\n---\n"), body...)
			}
		case composeEnv:
			name = d.Annotations[noteComposeEnv]
		default:
			continue
		}
		if err := p.put(name, body, d.MediaType == composeFile); err != nil {
			return nil, err
		}
	}
	p.services = images(documents, extended)
	return p, nil
}

// put writes a file, or appends to it.
func (p *project) put(name string, body []byte, again bool) error {
	if name == "" || name == "." || name == ".." || len(name) > maxName || strings.ContainsAny(name, "/\\\x00") {
		return fmt.Errorf("a Compose application with a file called %q", name)
	}
	for i := range p.files {
		if f := &p.files[i]; f.name == name {
			if !again {
				f.body = nil
			}
			f.body = append(f.body, body...)
			return nil
		}
	}
	p.files = append(p.files, composeText{name, bytes.Clone(body)})
	return nil
}

// A composition is as much of a Compose file as it takes to know its images.
type composition struct {
	Services map[string]service `yaml:"services"`
}

type service struct {
	Image   string  `yaml:"image"`
	Extends extends `yaml:"extends"`
}

// extends says which service another one goes on from: its name, or where
// another file has it.
type extends struct{ File, Service string }

// UnmarshalYAML implements yaml.Unmarshaler.
func (e *extends) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&e.Service)
	}
	var long struct {
		File    string `yaml:"file"`
		Service string `yaml:"service"`
	}
	err := n.Decode(&long)
	*e = extends(long)
	return err
}

// images are the images that the documents say services have, those behind
// overriding those before. What isn't understood is left out: it takes Docker
// to run the application, and the images are shown by digest anyway.
func images(documents [][]byte, extended map[string][]byte) map[string]string {
	found := map[string]string{}
	read := map[string][]composition{} // each file once, however many extend it
	files := func(name string) []composition {
		list, ok := read[name]
		if !ok {
			list = compositions(extended[name])
			read[name] = list
		}
		return list
	}
	for _, doc := range documents {
		for _, c := range compositions(doc) {
			for name, s := range c.Services {
				if img := c.image(s, files, 0); img != "" || found[name] == "" {
					found[name] = img
				}
			}
		}
	}
	return found
}

// maxExtends bounds how many services go on from one another.
const maxExtends = 16

// image is the image that a service of c has, perhaps by extending another.
func (c *composition) image(s service, files func(name string) []composition, depth int) string {
	switch {
	case s.Image != "":
		return interpolate(s.Image)
	case s.Extends.Service == "" || depth == maxExtends:
		return ""
	case s.Extends.File == "":
		return c.image(c.Services[s.Extends.Service], files, depth+1)
	}
	for _, other := range files(s.Extends.File) {
		if base, ok := other.Services[s.Extends.Service]; ok {
			return other.image(base, files, depth+1)
		}
	}
	return ""
}

// compositions reads a YAML stream as far as it is one.
func compositions(doc []byte) (list []composition) {
	d := yaml.NewDecoder(bytes.NewReader(doc))
	for len(list) < maxViews {
		var c composition
		err := d.Decode(&c)
		var odd *yaml.TypeError // what could be read is there
		if err != nil && !errors.As(err, &odd) {
			if err != io.EOF && c.Services != nil {
				list = append(list, c)
			}
			return list
		}
		list = append(list, c)
	}
	return list
}

// variable matches ${NAME:-default} and ${NAME-default}.
var variable = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*:?-([^${}]*)\}`)

// interpolate gives variables their defaults. Nobody's environment counts: a
// mount shows what was published. Without a default it can't be known.
func interpolate(s string) string {
	s = variable.ReplaceAllString(s, "$1")
	if strings.Contains(s, "$") {
		return ""
	}
	return s
}
