package index

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Hints are what a manifest says of a layer. The manifest must have been
// verified: what Open believes hangs from it.
type Hints struct {
	Digest      digest.Digest     // of the blob
	DiffID      digest.Digest     // of the decoded layer, as the configuration promises it
	Annotations map[string]string // of the layer's descriptor

	// TOC is the blob that holds the table of contents of a layer of the
	// external kind (see ErrExternal): a gzipped archive of one file.
	TOC []byte

	// Files keeps the digests of whole files, which Check holds them to: reads are
	// held to their chunks' digests alone.
	Files bool

	Limits Limits
}

// The annotations that vouch for a table of contents, and say where it lies.
// The prefix was containers/storage's, and still is stargz-snapshotter's.
const (
	noteStargz   = "containerd.io/snapshot/stargz/toc.digest" // of the JSON
	notePodman   = "io.github.containers.zstd-chunked."
	noteZstd     = "io.containers.zstd-chunked."
	noteChecksum = "manifest-checksum" // of the compressed JSON
	notePosition = "manifest-position" // offset:length:decoded length:type
)

// A promise is what the annotations say of a table of contents.
type promise struct {
	json   digest.Digest // of the JSON; "" if nothing is said
	packed digest.Digest // of the compressed JSON; "" if nothing is said
	place  *place        // nil if nothing is said
}

// A place is where a compressed table of contents lies in the blob.
type place struct {
	off, n, size int64 // size: of the JSON
}

// made is whether a table of contents was vouched for at all.
func (p promise) made() bool { return p.json != "" || p.packed != "" }

// TOCDigest is the digest by which the manifest vouches for a table of
// contents in the layer, "" if it doesn't. Together with the blob's digest it
// names what Open returns; the blob's alone does not, as other manifests could
// vouch for another table.
func (h Hints) TOCDigest() digest.Digest {
	p, err := h.promise()
	switch {
	case err != nil:
		return ""
	case p.packed != "":
		return p.packed
	}
	return p.json
}

// Stargz says whether the manifest vouches for a table of contents as eStargz
// has it, which may lie elsewhere (ErrExternal).
func (h Hints) Stargz() bool {
	p, err := h.promise()
	return err == nil && p.json != "" && p.packed == ""
}

var errTwo = errors.New("the manifest vouches for two tables of contents in one layer")

func (h Hints) promise() (p promise, err error) {
	if p.json, err = h.digest(noteStargz); err != nil {
		return p, err
	}
	prefix := noteZstd
	if h.Annotations[notePodman+noteChecksum] != "" {
		prefix = notePodman
		if p.json != "" || h.Annotations[noteZstd+noteChecksum] != "" {
			return p, &FormatError{Format: ZstdChunked, Err: errTwo}
		}
	}
	if p.packed, err = h.digest(prefix + noteChecksum); err != nil {
		return p, err
	}
	if s := h.Annotations[prefix+notePosition]; s != "" && p.made() {
		p.place, err = parsePlace(s)
	}
	return p, err
}

func (h Hints) digest(note string) (digest.Digest, error) {
	s := h.Annotations[note]
	if s == "" {
		return "", nil
	}
	d, err := digest.Parse(s)
	if err != nil {
		return "", fmt.Errorf("annotation %s: %w", note, err)
	}
	return d, nil
}

// parsePlace reads the value of an annotation.
func parsePlace(s string) (*place, error) {
	words := strings.Split(s, ":")
	var v [4]int64
	ok := len(words) == len(v)
	for i := 0; ok && i < len(v); i++ {
		n, err := strconv.ParseUint(words[i], 10, 63)
		v[i], ok = int64(n), err == nil
	}
	if !ok {
		return nil, &FormatError{Format: ZstdChunked, Err: fmt.Errorf("a table of contents at %q", s)}
	}
	if v[3] != typeCRFS {
		return nil, fmt.Errorf("%w: it is of type %d", ErrNoIndex, v[3])
	}
	return &place{off: v[0], n: v[1], size: v[2]}, nil
}

// typeCRFS is the one type that a table of contents can be of.
const typeCRFS = 1
