package image

import (
	"path"
	"regexp"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/index"
)

// What an artifact's blobs are called, by the conventions of those who make
// them.
const (
	noteModelPath   = "org.cncf.model.filepath"           // ModelPack: where the file belongs
	noteModelFile   = "org.cncf.model.file.metadata+json" // and how it was
	noteUnpack      = "io.deis.oras.content.unpack"       // ORAS: "true" for a directory, packed up
	noteUnpacked    = "io.deis.oras.content.digest"       // and the digest of the archive in it
	helmChart       = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	helmProvenance  = "application/vnd.cncf.helm.chart.provenance.v1.prov"
	modelTypePrefix = "application/vnd.cncf.model."
)

// A shape is how a blob of an artifact is shown: a file, or, where it is an
// archive, the files in it.
type shape struct {
	name   string       // the file's, or of the directory that the archive's root is put on; may be "" of an archive
	tar    bool         //
	format index.Format // of an archive; 0: its first bytes tell
	below  string       // put that directory of the archive there, if it has one, not its root
	full   bool         // an archive that has name in it has all its names in full: its root is the artifact's
}

// shapeOf decides how the blob at d is shown; alone says that the artifact has
// no other.
//
// What is said to be unpacked is a directory, and so is what has a media type of
// tar archives; but with a title, OCI's plain layers are files, as that is the type
// which ORAS gives to every file.
func shapeOf(d ocispec.Descriptor, alone bool) shape {
	title := cleanPath(d.Annotations[ocispec.AnnotationTitle])
	where := cleanPath(d.Annotations[noteModelPath])
	format, tar := tarType(d.MediaType)
	switch {
	case d.Annotations[noteUnpack] == "true" && title != "":
		return shape{name: title, tar: true, format: format, below: title}
	case tar && d.MediaType == helmChart:
		return shape{tar: true, format: format}
	case tar && where != "":
		return shape{name: where, tar: true, format: format, full: true}
	case where != "":
		return shape{name: where}
	case tar && title != "" && d.MediaType != ocispec.MediaTypeImageLayer:
		return shape{name: unpackedName(title), tar: true, format: format}
	case title != "":
		return shape{name: title}
	case tar && (alone || strings.HasPrefix(d.MediaType, modelTypePrefix)):
		return shape{tar: true, format: format}
	case tar:
		return shape{name: digestName(d, ""), tar: true, format: format}
	}
	return shape{name: digestName(d, extension(d.MediaType))}
}

// tarTypes matches what says that it is a tar archive, and how it is compressed.
var tarTypes = regexp.MustCompile(`(?:[./+-]|^)(?:x-)?tar(?:[+.-](gzip|gz|zstd|zst))?$`)

// tarType says whether a media type is a tar archive's.
func tarType(mediaType string) (f index.Format, ok bool) {
	m := tarTypes.FindStringSubmatch(mediaType)
	if m == nil {
		return 0, false
	}
	switch m[1] {
	case "gzip", "gz":
		return index.Gzip, true
	case "zstd", "zst":
		return index.Zstd, true
	}
	return index.Tar, true
}

// unpackedName is what an archive's directory is called.
func unpackedName(name string) string {
	for _, ext := range []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd"} {
		if s, ok := strings.CutSuffix(name, ext); ok && s != "" && !strings.HasSuffix(s, "/") {
			return s
		}
	}
	return name
}

// digestName is what a blob without a name is called.
func digestName(d ocispec.Descriptor, ext string) string {
	return d.Digest.Algorithm().String() + "-" + d.Digest.Encoded() + ext
}

// extensions are those of media types that tell nothing by their ends.
var extensions = map[string]string{
	"application/wasm": ".wasm", "text/plain": ".txt", "text/markdown": ".md", "application/pdf": ".pdf",
	"application/gzip": ".gz", "application/zip": ".zip", "application/x-yaml": ".yaml", helmProvenance: ".prov",
	"text/html": ".html", "application/xml": ".xml", "application/octet-stream": "",
}

// extension is the usual end of a file's name, for a media type; "" if nobody
// knows.
func extension(mediaType string) string {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	if ext, ok := extensions[mediaType]; ok {
		return ext
	}
	i := strings.LastIndexAny(mediaType, "+/")
	switch kind := mediaType[i+1:]; kind {
	case "json", "yaml", "xml", "zip":
		return "." + kind
	case "gzip":
		return ".gz"
	case "zstd":
		return ".zst"
	}
	return ""
}

// Bounds of a path that an annotation gives: of a name, what Linux allows; of
// the depth, more than anybody has use for.
const (
	maxName  = 255
	maxParts = 64
)

// cleanPath is the path inside the root that an annotation means: relative,
// without "." and "..", which lead nowhere here, nor bytes that no name has.
// What is too long or too deep is no path, and "".
func cleanPath(s string) string {
	var parts []string
	for part := range strings.SplitSeq(s, "/") {
		part = strings.ReplaceAll(part, "\x00", "")
		switch {
		case part == "" || part == "." || part == "..":
			continue
		case len(part) > maxName:
			return ""
		}
		parts = append(parts, part)
	}
	if len(parts) > maxParts {
		return ""
	}
	return strings.Join(parts, "/")
}

// component is s as one name in a path.
func component(s string) string {
	s = strings.ReplaceAll(s, "/", "_")
	if s = cleanPath(s); s == "" {
		return "_"
	}
	return s
}

// others are the names to try, in their order, where a blob's own is taken.
func others(name string, d ocispec.Descriptor) []string {
	short := "-" + d.Digest.Encoded()[:12]
	dir, base := path.Split(name)
	ext := path.Ext(base)
	return []string{dir + strings.TrimSuffix(base, ext) + short + ext, digestName(d, extension(d.MediaType))}
}
