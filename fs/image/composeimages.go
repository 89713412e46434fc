package image

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A kit is the images that go with a Compose application.
type kit struct {
	s      *Selection
	spec   ocispec.Platform
	images []*bundled
	asked  map[string]*bundled // by service: what it asks for by digest or by name, nil if that isn't here

	fetched map[string]*Manifest // by what the files call it: what is elsewhere
}

func newKit(s *Selection, spec ocispec.Platform, p *project, listed []ocispec.Descriptor) *kit {
	k := &kit{s: s, spec: spec, images: gather(listed), asked: map[string]*bundled{}, fetched: map[string]*Manifest{}}
	for name, want := range p.services {
		b, _ := k.byDigest(want)
		if b == nil {
			b = k.byName(name, want)
		}
		k.asked[name] = b
	}
	return k
}

// A bundled is one image of a kit: an image index or a manifest, or manifests
// for several platforms that are listed side by side.
type bundled struct {
	descs     []ocispec.Descriptor
	platforms map[string]bool // of descs, if there may be more
	names     []imageName     // as annotations tell
}

// An imageName is what an image is called: NAME, NAME:TAG, HOST/REPOSITORY.
type imageName struct{ said, full, repository string }

// errNotBundled says that a service's image does not go with the application.
var errNotBundled = errors.New("not bundled")

// The annotations that tell what an image in an index is called.
const (
	noteImageName = "io.containerd.image.name"
	noteSource    = "containerd.io/distribution.source." // and the host; its value is the repository
)

// gather sorts the entries of indexes into images: those for different
// platforms that are called the same are one.
func gather(entries []ocispec.Descriptor) []*bundled {
	var all []*bundled
	seen := map[digest.Digest]bool{}
	group := map[string]*bundled{}
	for _, d := range entries {
		if isAttestation(d) || isCompose(d.ArtifactType) || seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		names := namesOf(d)
		b := &bundled{descs: []ocispec.Descriptor{d}}
		for _, name := range names {
			b.names = append(b.names, imageName{name, full(name), repository(name)})
		}
		isIndex := d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == dockerList
		if isIndex || d.Platform == nil {
			all = append(all, b)
			continue
		}
		key, platform := strings.Join(names, "\n"), FormatPlatform(*d.Platform)
		same := group[key]
		if same == nil || same.platforms[platform] {
			b.platforms = map[string]bool{platform: true}
			group[key] = b
			all = append(all, b)
			continue
		}
		same.descs = append(same.descs, d)
		same.platforms[platform] = true
	}
	return all
}

// namesOf are the names that annotations give to an image.
func namesOf(d ocispec.Descriptor) []string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(d.Annotations)) {
		value := d.Annotations[key]
		switch host, ok := strings.CutPrefix(key, noteSource); {
		case ok:
			list = append(list, host+"/"+value)
		case key == noteImageName, key == ocispec.AnnotationRefName:
			list = append(list, value)
		}
	}
	return list
}

// imageOf is the image of a service: the one with the digest that the service
// asks for, else the one that is called what it asks for, or like the service;
// else the one that is left, if only one image of services is left, too.
func (k *kit) imageOf(ctx context.Context, p *project, name string) (*Manifest, error) {
	if b := k.asked[name]; b != nil {
		_, d := k.byDigest(p.services[name])
		return k.open(ctx, b, d)
	}
	claimed, images := map[*bundled]bool{}, map[string]bool{}
	for other, b := range k.asked {
		if claimed[b] = true; b == nil {
			images[p.services[other]] = true
		}
	}
	left := slices.DeleteFunc(slices.Clone(k.images), func(b *bundled) bool { return claimed[b] })
	if len(left) == 1 && len(images) == 1 {
		return k.open(ctx, left[0], "")
	}
	return nil, errNotBundled
}

// byDigest is the image that has the digest in a reference.
func (k *kit) byDigest(ref string) (*bundled, digest.Digest) {
	_, s, ok := strings.Cut(ref, "@")
	if !ok {
		return nil, ""
	}
	for _, b := range k.images {
		for _, d := range b.descs {
			if string(d.Digest) == s {
				return b, d.Digest
			}
		}
	}
	return nil, ""
}

// byName is the only image that is called like the service or its image, with
// its tag or at least without.
func (k *kit) byName(service, ref string) *bundled {
	want := imageName{ref, full(ref), repository(ref)}
	for _, like := range []func(imageName) bool{
		func(name imageName) bool { return name.said == service || ref != "" && name.full == want.full },
		func(name imageName) bool { return ref != "" && name.repository == want.repository },
	} {
		var found []*bundled
		for _, b := range k.images {
			if slices.ContainsFunc(b.names, like) {
				found = append(found, b)
			}
		}
		if len(found) == 1 {
			return found[0]
		}
	}
	return nil
}

// full is an image's name as Docker understands it.
func full(name string) string {
	n, err := reference.ParseDockerRef(name)
	if err != nil {
		return name
	}
	return n.String()
}

// repository is where an image of that name is kept.
func repository(name string) string {
	n, err := reference.ParseDockerRef(name)
	if err != nil {
		return name
	}
	return n.Name()
}

// open is the image for the platform; or the one with that digest, if it is
// one of several for platforms.
func (k *kit) open(ctx context.Context, b *bundled, pinned digest.Digest) (*Manifest, error) {
	d := b.descs[0]
	if len(b.descs) > 1 {
		c := newChooser(k.s.r, k.spec)
		fit := slices.DeleteFunc(slices.Clone(b.descs), func(d ocispec.Descriptor) bool {
			return pinned != "" && d.Digest != pinned || pinned == "" && !c.fits(*d.Platform)
		})
		if len(fit) == 0 {
			return nil, &NoPlatformError{Want: FormatPlatform(k.spec), Have: names(b.descs)}
		}
		d = slices.MinFunc(fit, func(x, y ocispec.Descriptor) int { return c.compare(*x.Platform, *y.Platform) })
	}
	doc, err := k.s.r.load(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	if doc.index != nil {
		if doc, err = newChooser(k.s.r, k.spec).choose(ctx, doc); err != nil {
			return nil, err
		}
	}
	return k.s.manifest(ctx, doc)
}
