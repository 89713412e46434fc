package fetch

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// openArchive opens an image in a tar file, of the kind that the reference
// says or, if it does not say, of the kind that it is.
func openArchive(ctx context.Context, r Reference, o Options) (place, error) {
	a, err := readArchive(ctx, r.path, o)
	if err != nil {
		return nil, err
	}
	p, err := a.place(ctx, r, o)
	if err == nil {
		a.remember(o.Memory)
	}
	return p, err
}

// place makes a place of an archive; it closes it if it fails.
func (a *archive) place(ctx context.Context, r Reference, o Options) (place, error) {
	switch r.transport {
	case transportDockerArchive:
		return newDockerArchive(ctx, r, a)
	case transportOCIArchive:
		return newLayout(r, a, o)
	}
	switch index, manifest := a.has(ocispec.ImageIndexFile), a.has(dockerManifest); {
	case index && manifest:
		return openDual(ctx, r, a, o)
	case manifest:
		return newDockerArchive(ctx, r, a)
	case index:
		return newLayout(r, a, o)
	}
	a.Close()
	return nil, fmt.Errorf("%w: neither an OCI nor a Docker archive: no %s, no %s", ErrUnsupported, ocispec.ImageIndexFile, dockerManifest)
}

// openDual opens an archive that is of both kinds, as Docker writes them: a
// layout, but for an image that only manifest.json has: one by its number, one
// by another name than in index.json, one without a name.
func openDual(ctx context.Context, r Reference, a *archive, o Options) (place, error) {
	index, err := (&layout{files: a}).index()
	if err != nil {
		return newLayout(r, a, o)
	}
	images, err := dockerImages(a)
	if err == nil {
		_, err = choose(images, r)
	}
	inDocker, inLayout := err == nil, len((&layout{ref: r}).matches(index.Manifests)) > 0
	switch {
	case inLayout, r.digest != "":
		return newLayout(r, a, o)
	case inDocker, len(index.Manifests) == 0:
		return newDockerArchive(ctx, r, a)
	}
	a.Close()
	return nil, fmt.Errorf("%w: the archive has %s, or, as Docker calls them, %s", ErrNotFound, list(index.Manifests), listImages(images))
}

// isEmpty reports whether a layout has no images. Docker writes both kinds of
// archive into one, and an image without a name only into the older kind.
func isEmpty(f files) bool {
	index, err := (&layout{files: f}).index()
	return err == nil && len(index.Manifests) == 0
}
