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
	short        string // the name as written, where that has no registry: alpine
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

// Local reports whether the reference is a path on this machine.
func (r Reference) Local() bool { return r.transport != transportRegistry }

// Tag is the tag, or the name of an image in a layout or an archive; "" if the
// reference has none, or a digest instead.
func (r Reference) Tag() string { return r.tag }

// ParseReference parses a reference. It looks at the file system, and only
// there, to tell a path's end from a tag. What begins with /, ./ or ../ is a
// path; so is the name of a file that is there and called *.tar or the like,
// and what could not be an image in a registry. A name that could is one,
// whatever lies in the working directory: docker://, which may stand before
// it, and ./ leave no doubt. References to what other programs read and ocifs
// does not are a *TransportError.
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
		return Reference{}, fmt.Errorf("%s: a reference has no zero bytes", shown(s))
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
	for _, name := range foreign {
		if rest, ok := strings.CutPrefix(s, name+":"); ok {
			return Reference{}, &TransportError{Transport: name, Rest: rest}
		}
	}
	for _, prefix := range []string{"/", "./", "../"} {
		if strings.HasPrefix(s, prefix) {
			return parseBare(s, look)
		}
	}
	return parseName(s, look)
}

// foreign are the transports of Podman and Skopeo that are not ours.
var foreign = []string{"atomic", "containers-storage", "dir", "docker-daemon", "ostree", "sif", "tarball"}

// A TransportError is a reference by a transport that ocifs does not have.
type TransportError struct {
	Transport string // without the colon: dir
	Rest      string // what follows it
}

func (e *TransportError) Error() string {
	if e.Transport == string(transportRegistry) {
		return fmt.Sprintf("%s: no // after docker:", shown(e.Transport+":"+e.Rest))
	}
	return fmt.Sprintf("%s: ocifs does not read %s:", shown(e.Transport+":"+e.Rest), e.Transport)
}

// Unwrap makes it ErrUnsupported.
func (e *TransportError) Unwrap() error { return ErrUnsupported }

// parseName parses what has no prefix that says what it is.
func parseName(s string, look func(string) finding) (Reference, error) {
	local, localErr := parseBare(s, look)
	there := nothing
	if localErr == nil {
		there = look(local.path)
	}
	if there == imageFile && archiveName(local.path) {
		return local, nil
	}
	r, err := parseRegistry(s)
	if err == nil {
		return r, nil
	}
	if there > something {
		return local, nil
	}
	if rest, ok := strings.CutPrefix(s, "docker:"); ok {
		return r, &TransportError{Transport: string(transportRegistry), Rest: rest}
	}
	return r, err
}

// archiveName reports whether a path's name says that it is an archive:
// x.tar, x.tgz, x.tar.gz …
func archiveName(path string) bool {
	stem, ext := strings.TrimSuffix(path, filepath.Ext(path)), filepath.Ext(path)
	return ext == ".tar" || ext == ".tgz" || ext == ".tzst" || filepath.Ext(stem) == ".tar"
}

// shadowed reports whether s, an image in a registry, is also the name of an
// image layout in the working directory.
func shadowed(s string, look func(string) finding) bool {
	r, err := parseBare(s, look)
	return err == nil && look(r.path) == imageDir && !strings.HasPrefix(s, "docker://")
}

// maxDomain bounds a registry's host and port: 253 bytes are what DNS has for a
// name, 6 the port's.
const maxDomain = 253 + 6

// parseRegistry parses Docker's notation, short names included.
func parseRegistry(s string) (Reference, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return Reference{}, fmt.Errorf("%s: %w", shown(s), err)
	}
	r := Reference{
		transport: transportRegistry,
		domain:    reference.Domain(named),
		repo:      reference.Path(named),
		short:     shortName(s),
	}
	if len(r.domain) > maxDomain {
		return Reference{}, fmt.Errorf("%s: a host's name has at most %d bytes", shown(s), maxDomain)
	}
	if digested, ok := named.(reference.Digested); ok {
		r.digest = digested.Digest()
		if err := checkDigest(r.digest); err != nil {
			return Reference{}, fmt.Errorf("%s: %w", shown(s), err)
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
		return Reference{}, fmt.Errorf("%s:%s: the path is missing", t, shown(s))
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
