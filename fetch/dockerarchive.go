package fetch

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A dockerArchive is what docker save writes: a manifest.json that names, for
// each image, a config and the layers by their files. It is shown as if it
// were an OCI image, by a manifest made up for it.
//
// A layer's digest in that manifest is, for an uncompressed layer, the one
// that the config has for it: a claim of the archive's, which whoever reads the
// layer verifies as every digest, and who has bytes of that digest already and
// would use those instead, by Blob.Prove. Its size is the file's.
// Nobody claims anything for compressed layers, as some tools write them; those
// are read once, at the beginning, to hash them.
type dockerArchive struct {
	*archive
	root   ocispec.Descriptor
	docs   map[digest.Digest][]byte // the manifest, the config
	blobs  map[digest.Digest]*file
	claims map[digest.Digest]*claim // of those of blobs whose digest is one
}

const dockerManifest = "manifest.json"

// dockerImage is one entry of manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// newDockerArchive closes f if it fails.
func newDockerArchive(ctx context.Context, r Reference, f *archive) (_ place, err error) {
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	images, err := dockerImages(f)
	if err != nil {
		return nil, err
	}
	image, err := choose(images, r)
	if err != nil {
		return nil, err
	}
	a := &dockerArchive{archive: f, docs: make(map[digest.Digest][]byte), blobs: make(map[digest.Digest]*file), claims: make(map[digest.Digest]*claim)}
	config, err := (&layout{files: f}).read(image.Config)
	if err != nil {
		return nil, err
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    a.keep(ocispec.MediaTypeImageConfig, config),
	}
	if m.Layers, err = a.layers(ctx, image, config); err != nil {
		return nil, err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	a.root = a.keep(m.MediaType, body)
	return a, nil
}

// dockerImages reads manifest.json.
func dockerImages(f files) (images []dockerImage, err error) {
	body, err := (&layout{files: f}).read(dockerManifest)
	if err != nil {
		return nil, fmt.Errorf("not a Docker archive: %w", err)
	}
	return images, decode(dockerManifest, body, &images)
}

// choose returns the image that the reference means: the only one, the one
// with that name, or, for @N, the Nth from 0 on.
func choose(images []dockerImage, r Reference) (dockerImage, error) {
	switch {
	case r.digest != "":
		return dockerImage{}, fmt.Errorf("%w: images in a Docker archive have no digests: name it, or give :@N", ErrUnsupported)
	case len(images) == 0:
		return dockerImage{}, fmt.Errorf("%w: the archive has no images", ErrNotFound)
	case r.tag == "" && len(images) == 1:
		return images[0], nil
	case r.tag == "":
		return dockerImage{}, fmt.Errorf("several images, name one: the archive has %s", listImages(images))
	}
	if n, ok := strings.CutPrefix(r.tag, "@"); ok {
		if i, err := strconv.ParseUint(n, 10, 31); err == nil && int(i) < len(images) {
			return images[i], nil
		}
		return dockerImage{}, fmt.Errorf("%w: the archive has %d images, from @0 on", ErrNotFound, len(images))
	}
	for _, image := range images {
		for _, tag := range image.RepoTags {
			if tag == r.tag || fullName(tag) == fullName(r.tag) {
				return image, nil
			}
		}
	}
	return dockerImage{}, fmt.Errorf("%w: the archive has %s", ErrNotFound, listImages(images))
}

// fullName is a name with everything that Docker leaves out: docker.io,
// library, latest.
func fullName(s string) string {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return s
	}
	return reference.TagNameOnly(named).String()
}

func listImages(images []dockerImage) string {
	var names []string
	for i, image := range images {
		if len(names) >= 20 {
			names = append(names, fmt.Sprintf("%d more", len(images)-i))
			break
		}
		if len(image.RepoTags) == 0 {
			names = append(names, fmt.Sprintf("@%d", i))
		}
		for _, tag := range image.RepoTags {
			names = append(names, clip(tag))
		}
	}
	return strings.Join(names, ", ")
}

// keep makes a document available under its digest.
func (a *dockerArchive) keep(mediaType string, body []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	a.docs[d.Digest] = body
	return d
}

// layers describes the image's layers.
func (a *dockerArchive) layers(ctx context.Context, image dockerImage, config []byte) ([]ocispec.Descriptor, error) {
	var c struct {
		RootFS struct {
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := decode(image.Config, config, &c); err != nil {
		return nil, err
	}
	if n := len(c.RootFS.DiffIDs); n != len(image.Layers) {
		return nil, fmt.Errorf("%s has %d layers, the config %d", dockerManifest, len(image.Layers), n)
	}
	layers := make([]ocispec.Descriptor, len(image.Layers))
	for i, name := range image.Layers {
		f, err := a.open(name)
		if err == nil {
			layers[i], err = a.describe(ctx, name, f.size, c.RootFS.DiffIDs[i])
		}
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", clip(name), err)
		}
		a.blobs[layers[i].Digest] = f
	}
	return layers, nil
}

// describe makes a layer's descriptor; see dockerArchive about its digest.
func (a *dockerArchive) describe(ctx context.Context, name string, size int64, diffID digest.Digest) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: diffID, Size: size}
	kind, err := a.kind(name)
	switch {
	case err != nil:
		return d, err
	case kind == plain:
		_, m, err := a.find(name)
		a.claims[diffID] = a.claim(m, diffID)
		return d, cmp.Or(err, checkDigest(diffID))
	case kind == gzipped:
		d.MediaType = ocispec.MediaTypeImageLayerGzip
	case kind == zstandard:
		d.MediaType = ocispec.MediaTypeImageLayerZstd
	}
	d.Digest, err = a.sum(ctx, name)
	return d, err
}

func (a *dockerArchive) resolve(context.Context) (ocispec.Descriptor, document, error) {
	return a.root, document{}, nil
}

func (a *dockerArchive) document(_ context.Context, d ocispec.Descriptor) (document, error) {
	if body, ok := a.docs[d.Digest]; ok {
		return document{body: body}, nil
	}
	return document{}, ErrNotFound
}

func (a *dockerArchive) blob(_ context.Context, d ocispec.Descriptor) (medium, error) {
	f, ok := a.blobs[d.Digest]
	if !ok {
		return nil, ErrNotFound
	}
	if f.size != d.Size {
		return nil, &DigestError{Want: d.Digest, WantSize: d.Size, GotSize: f.size}
	}
	return &local{r: f, packed: f.packed, claim: a.claims[d.Digest]}, nil
}
