package fetch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// A transport is the kind of place a reference names.
type transport string

const (
	transportRegistry      transport = "docker"
	transportLayout        transport = "oci"
	transportOCIArchive    transport = "oci-archive"
	transportDockerArchive transport = "docker-archive"
	transportArchive       transport = "archive" // of one kind or the other: see what is in it
)

// A Reference is the parsed form of what a user writes to name an image.
type Reference struct {
	transport transport

	domain, repo string // of a registry: docker.io, library/alpine
	path         string // of anything else

	// tag is the tag, or the name of an image in a layout or an archive,
	// which may hold any character; "" if there is none.
	tag string
	// digest is preferred to the tag. "" if there is none.
	digest digest.Digest
}

// String returns the reference in full.
func (r Reference) String() string {
	s := string(r.transport) + ":" + r.path
	switch r.transport {
	case transportRegistry:
		s = r.domain + "/" + r.repo
	case transportArchive:
		s = r.path
	}
	switch {
	case r.digest != "":
		return s + "@" + string(r.digest)
	case r.tag != "":
		return s + ":" + r.tag
	}
	return s
}

// ParseReference parses a reference. It looks at the file system, and only
// there, to tell a path from an image's name and a path's end from a tag.
func ParseReference(s string) (Reference, error) { return parseReference(s, look) }

// A finding is what lies at a path.
type finding int

const (
	nothing   finding = iota
	something         // exists, but could be anything
	imageFile         // a regular file
	imageDir          // a directory that has an index.json or an oci-layout
)

func look(path string) finding {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return nothing
	case fi.Mode().IsRegular():
		return imageFile
	case fi.IsDir():
		for _, name := range []string{"oci-layout", "index.json"} {
			if _, err := os.Stat(filepath.Join(path, name)); err == nil {
				return imageDir
			}
		}
	}
	return something
}

func parseReference(s string, look func(string) finding) (Reference, error) {
	if s == "" {
		return Reference{}, errors.New("empty image reference")
	}
	if strings.ContainsRune(s, 0) {
		return Reference{}, fmt.Errorf("%s: a reference has no zero bytes", clean(s))
	}
	if rest, ok := strings.CutPrefix(s, "docker://"); ok {
		return parseRegistry(rest)
	}
	for _, t := range []struct {
		prefix string
		transport
	}{
		{"oci-layout://", transportLayout},
		{"oci-archive:", transportOCIArchive},
		{"docker-archive:", transportDockerArchive},
		{"oci:", transportLayout},
	} {
		if rest, ok := strings.CutPrefix(s, t.prefix); ok {
			return parsePath(t.transport, rest, look)
		}
	}
	if strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") {
		return parseBare(s, look)
	}
	if r, err := parseBare(s, look); err == nil && look(r.path) > something {
		return r, nil
	}
	return parseRegistry(s)
}

// parseRegistry parses Docker's notation, short names included.
func parseRegistry(s string) (Reference, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return Reference{}, fmt.Errorf("%s: %w", clean(s), err)
	}
	r := Reference{
		transport: transportRegistry,
		domain:    reference.Domain(named),
		repo:      reference.Path(named),
	}
	if digested, ok := named.(reference.Digested); ok {
		r.digest = digested.Digest()
		if err := checkDigest(r.digest); err != nil {
			return Reference{}, fmt.Errorf("%s: %w", clean(s), err)
		}
		return r, nil
	}
	if tagged, ok := reference.TagNameOnly(named).(reference.Tagged); ok {
		r.tag = tagged.Tag()
	}
	return r, nil
}

// parseBare parses a path without a transport.
func parseBare(s string, look func(string) finding) (Reference, error) {
	r, err := parsePath(transportArchive, s, look)
	if err == nil && look(r.path) != imageFile {
		r.transport = transportLayout
	}
	return r, err
}

// parsePath parses PATH, PATH:TAG, PATH@DIGEST and PATH:TAG@DIGEST. Both a
// path and a tag may hold colons: the path is the longest that exists, or, if
// none does, what comes before the first colon.
func parsePath(t transport, s string, look func(string) finding) (Reference, error) {
	r := Reference{transport: t, path: s}
	if look(s) == nothing {
		if i := strings.LastIndexByte(s, '@'); i >= 0 && checkDigest(digest.Digest(s[i+1:])) == nil {
			r.path, r.digest = s[:i], digest.Digest(s[i+1:])
		}
		r.path, r.tag = splitTag(r.path, look)
	}
	if r.path == "" {
		return Reference{}, fmt.Errorf("%s: a reference of this kind needs a path", clean(s))
	}
	if r.digest != "" {
		r.tag = ""
	}
	r.path = filepath.Clean(r.path)
	return r, nil
}

func splitTag(s string, look func(string) finding) (path, tag string) {
	if look(s) != nothing {
		return s, ""
	}
	for i := len(s) - 1; i > 0; i-- {
		if s[i] == ':' && look(s[:i]) != nothing {
			return s[:i], s[i+1:]
		}
	}
	path, tag, _ = strings.Cut(s, ":")
	return path, tag
}
