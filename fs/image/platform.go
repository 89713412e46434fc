package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds of the walk through nested image indexes: real ones are two deep and
// have some twenty entries. The ninth level is refused, and the 257th document
// that has to be read for the choice, however many are listed.
const (
	maxNesting   = 8
	maxDocuments = 256
)

// attestation marks an entry as what BuildKit says about another one; it is
// listed with the platform unknown/unknown.
const attestation = "vnd.docker.reference.type"

// ParsePlatform reads a platform as people write it: OS/ARCH or
// OS/ARCH/VARIANT, as in linux/arm64 or linux/arm/v7, where the system may be
// OS(VERSION), OS(+FEATURE) or OS(VERSION+FEATURE+FEATURE), as in
// windows(10.0.20348)/amd64. An ARCH alone is of this machine's system. It is
// the syntax of containerd, but for an OS alone, which says too little.
func ParsePlatform(s string) (ocispec.Platform, error) {
	p, err := platforms.Parse(s)
	alone := !strings.Contains(s, "/")
	switch {
	case err != nil && alone:
		return p, errors.New("neither an architecture nor OS/ARCH")
	case err != nil && strings.Count(s, "/") > 2:
		return p, errors.New("more than OS/ARCH/VARIANT")
	case err != nil:
		return p, errors.New("not of the form OS/ARCH or OS/ARCH/VARIANT, where OS may be OS(VERSION+FEATURE)")
	}
	if full, err := platforms.Parse(s + "/any"); alone && err == nil && full.OS == p.OS {
		return p, errors.New("a system without an architecture")
	}
	return p, nil
}

// FormatPlatform is a platform as ParsePlatform reads it, with all that there
// is to it. What it came from may have been written by anybody.
func FormatPlatform(p ocispec.Platform) string { return platforms.FormatAll(p) }

// A NoPlatformError says that an image has nothing for a platform.
type NoPlatformError struct {
	Want string
	Have []string // the platforms that there are, as people write them
}

func (e *NoPlatformError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("the image index has no image for %s", e.Want)
	}
	return fmt.Sprintf("no image for %s (there are %s)", e.Want, strings.Join(e.Have, ", "))
}

// A chooser walks an image index and everything nested in it for the manifest
// that fits a platform best.
type chooser struct {
	r    *resolver
	want platforms.MatchComparer
	spec ocispec.Platform
	seen map[string]bool // by digest: what has been listed
	read int             // documents

	found    []ocispec.Descriptor // manifests listed for a platform that fits
	unlabels []ocispec.Descriptor // manifests listed for none
	all      []ocispec.Descriptor // every manifest that isn't an attestation
}

func newChooser(r *resolver, spec ocispec.Platform) *chooser {
	return &chooser{r: r, want: platforms.Only(spec), spec: spec, seen: map[string]bool{}}
}

// choose is the manifest that fits best: of those listed with a platform the
// nearest, else the first of those listed without whose configuration fits.
func (c *chooser) choose(ctx context.Context, root *document) (*document, error) {
	if err := c.walk(ctx, root, nil, 1); err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.found, func(a, b ocispec.Descriptor) int { return c.compare(*a.Platform, *b.Platform) })
	if len(c.found) > 0 {
		return c.r.load(ctx, c.found[0])
	}
	for _, d := range c.unlabels {
		doc, err := c.load(ctx, d)
		if err != nil {
			return nil, err
		}
		if ok, err := c.configFits(ctx, doc); err != nil || ok {
			return doc, err
		}
	}
	return nil, &NoPlatformError{Want: FormatPlatform(c.spec), Have: names(c.all)}
}

// load reads one of the documents that it takes to choose.
func (c *chooser) load(ctx context.Context, d ocispec.Descriptor) (*document, error) {
	if c.read == maxDocuments {
		return nil, fmt.Errorf("%s: more than %d documents would have to be read to choose an image", d.Digest, maxDocuments)
	}
	c.read++
	return c.r.load(ctx, d)
}

// compare is less than 0 if an image for a is to be taken rather than one for
// b, both of which fit: the nearer architecture, then the version of the
// system that was asked for, by its beginning.
func (c *chooser) compare(a, b ocispec.Platform) int {
	switch asked := func(p ocispec.Platform) bool { return isVersion(p.OSVersion, c.spec.OSVersion) }; {
	case c.want.Less(a, b):
		return -1
	case c.want.Less(b, a):
		return 1
	case asked(a) && !asked(b):
		return -1
	case asked(b) && !asked(a):
		return 1
	}
	return 0
}

// configFits says whether the image at doc is for the platform, going by what
// its configuration says; one that says nothing fits, if it is the only one.
func (c *chooser) configFits(ctx context.Context, doc *document) (bool, error) {
	if doc.manifest == nil {
		return false, nil
	}
	if !isImageConfig(doc.manifest.Config.MediaType) {
		return len(c.all) == 1, nil
	}
	config, _, err := c.r.config(ctx, doc.manifest.Config)
	if err != nil {
		return false, err
	}
	if config.OS == "" && config.Architecture == "" {
		return len(c.all) == 1, nil
	}
	return c.fits(config.Platform), nil
}

func (c *chooser) walk(ctx context.Context, doc *document, above *ocispec.Platform, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("%s: image indexes nested more than %d deep", doc.desc.Digest, maxNesting)
	}
	for _, d := range doc.index.Manifests {
		if isAttestation(d) || c.seen[d.Digest.String()] {
			continue
		}
		if d.Size <= 0 {
			return fmt.Errorf("%s: its descriptor says that it has %d bytes", d.Digest, d.Size)
		}
		c.seen[d.Digest.String()] = true
		if d.Platform == nil {
			d.Platform = above
		}
		if err := c.entry(ctx, d, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *chooser) entry(ctx context.Context, d ocispec.Descriptor, depth int) error {
	fits := d.Platform == nil || c.fits(*d.Platform)
	switch d.MediaType {
	case ocispec.MediaTypeImageIndex, dockerList:
		if !fits {
			c.all = append(c.all, d)
			return nil
		}
		doc, err := c.load(ctx, d)
		if err != nil {
			return err
		}
		return c.walk(ctx, doc, d.Platform, depth+1)
	}
	c.all = append(c.all, d)
	switch {
	case d.Platform == nil:
		c.unlabels = append(c.unlabels, d)
	case fits:
		c.found = append(c.found, d)
	}
	return nil
}

// fits says whether an image for p runs on the wanted platform. Architecture,
// variant and the features that the image needs are package platforms' matter;
// a version of the system that is wanted must be the image's, if it has one:
// which others it may be compatible with is nobody's word here.
func (c *chooser) fits(p ocispec.Platform) bool {
	return c.want.Match(p) && (p.OSVersion == "" || isVersion(p.OSVersion, c.spec.OSVersion))
}

// isVersion says whether a version is the one that is wanted, or one of its
// builds, as 10.0.17763.1 is of 10.0.17763; "" is any.
func isVersion(version, want string) bool {
	rest, ok := strings.CutPrefix(version, want)
	return want == "" || ok && (rest == "" || rest[0] == '.')
}

func isAttestation(d ocispec.Descriptor) bool {
	return d.Annotations[attestation] != "" ||
		d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}

// names are the platforms of ds, each once, as people write them.
func names(ds []ocispec.Descriptor) []string {
	var s []string
	for _, d := range ds {
		if d.Platform == nil {
			continue
		}
		if n := FormatPlatform(*d.Platform); !slices.Contains(s, n) {
			s = append(s, n)
		}
	}
	return s
}
