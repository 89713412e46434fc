package registrytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Content is a blob's bytes: a *bytes.Reader, an *io.SectionReader.
type Content interface {
	io.ReaderAt
	Size() int64
}

// content is what a registry holds. Blobs can be read from every repository.
type content struct {
	lock      *sync.Mutex // guards the maps
	blobs     map[digest.Digest]Content
	manifests map[string]map[string]manifest // repository; tag or digest
}

type manifest struct {
	mediaType string
	body      []byte
}

func newContent() content {
	return content{
		lock:      new(sync.Mutex),
		blobs:     make(map[digest.Digest]Content),
		manifests: make(map[string]map[string]manifest),
	}
}

// A Layer is one layer to be pushed.
type Layer struct {
	MediaType   string // "": gzip or tar, as it looks
	Blob        []byte
	DiffID      digest.Digest // "": the blob's digest, right for uncompressed layers only
	Annotations map[string]string
}

// Push makes an image for linux/amd64 of layers and puts it under a tag.
func (c *content) Push(repo, tag string, layers ...Layer) ocispec.Descriptor {
	var config ocispec.Image
	config.OS, config.Architecture = "linux", "amd64"
	config.RootFS.Type = "layers"
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range layers {
		d := c.PutBlob(l.MediaType, l.Blob)
		if d.MediaType == "" {
			d.MediaType = ocispec.MediaTypeImageLayer
			if bytes.HasPrefix(l.Blob, []byte{0x1f, 0x8b}) {
				d.MediaType = ocispec.MediaTypeImageLayerGzip
			}
		}
		d.Annotations = l.Annotations
		m.Layers = append(m.Layers, d)
		if l.DiffID == "" {
			l.DiffID = d.Digest
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.DiffID)
	}
	m.Config = c.PutBlob(ocispec.MediaTypeImageConfig, encode(config))
	return c.PutManifest(repo, tag, m.MediaType, encode(m))
}

// PushIndex puts an index of manifests that were pushed before under a tag.
func (c *content) PushIndex(repo, tag string, manifests ...ocispec.Descriptor) ocispec.Descriptor {
	return c.PutManifest(repo, tag, ocispec.MediaTypeImageIndex, encode(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: manifests,
	}))
}

// PushLayout puts all of an OCI image layout into a repository. Its blobs are
// served from the files. tag, if not "", is given to the layout's only image;
// otherwise each image is put under its own name.
func (c *content) PushLayout(repo, tag, dir string) error {
	body, err := os.ReadFile(filepath.Join(dir, ocispec.ImageIndexFile))
	if err != nil {
		return err
	}
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil {
		return err
	}
	if tag != "" && len(index.Manifests) != 1 {
		return errors.New("registrytest: one tag for several images")
	}
	for _, d := range index.Manifests {
		name := tag
		if name == "" {
			name = d.Annotations[ocispec.AnnotationRefName]
		}
		if err := c.pushFrom(dir, repo, name, d); err != nil {
			return err
		}
	}
	return nil
}

// pushFrom puts a descriptor's document and all that hangs from it.
func (c *content) pushFrom(dir, repo, tag string, d ocispec.Descriptor) error {
	body, err := os.ReadFile(blobFile(dir, d.Digest))
	if err != nil {
		return err
	}
	c.PutManifest(repo, tag, d.MediaType, body)
	var doc struct {
		Manifests, Layers []ocispec.Descriptor
		Config            *ocispec.Descriptor
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return err
	}
	for _, m := range doc.Manifests {
		if err := c.pushFrom(dir, repo, "", m); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if doc.Config != nil {
		doc.Layers = append(doc.Layers, *doc.Config)
	}
	for _, l := range doc.Layers {
		if err := c.PutFile(l.Digest, blobFile(dir, l.Digest)); err != nil {
			return err
		}
	}
	return nil
}

func blobFile(dir string, d digest.Digest) string {
	return filepath.Join(dir, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// PutManifest puts a manifest or an index into a repository, by digest and, if
// tag is not "", by tag.
func (c *content) PutManifest(repo, tag, mediaType string, body []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.manifests[repo] == nil {
		c.manifests[repo] = make(map[string]manifest)
	}
	c.manifests[repo][d.Digest.String()] = manifest{mediaType, body}
	if tag != "" {
		c.manifests[repo][tag] = manifest{mediaType, body}
	}
	return d
}

// PutBlob puts a blob.
func (c *content) PutBlob(mediaType string, body []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	c.PutContent(d.Digest, bytes.NewReader(body))
	return d
}

// PutFile puts a blob that is a file, which stays open.
func (c *content) PutFile(d digest.Digest, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	c.PutContent(d, io.NewSectionReader(f, 0, fi.Size()))
	return nil
}

// PutContent puts a blob under a digest, be it the right one or not.
func (c *content) PutContent(d digest.Digest, b Content) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.blobs[d] = b
}

// Delete removes a blob.
func (c *content) Delete(d digest.Digest) {
	c.lock.Lock()
	defer c.lock.Unlock()
	delete(c.blobs, d)
}

// Tags lists a repository's tags.
func (c *content) Tags(repo string) []string {
	c.lock.Lock()
	defer c.lock.Unlock()
	tags := slices.Collect(maps.Keys(c.manifests[repo]))
	tags = slices.DeleteFunc(tags, func(t string) bool { return digest.Digest(t).Validate() == nil })
	slices.Sort(tags)
	return tags
}

// Manifest returns the manifest of a repository with that tag or digest.
func (c *content) Manifest(repo, name string) (body []byte, ok bool) {
	m, ok := c.findManifest(repo, name)
	return m.body, ok
}

func (c *content) findManifest(repo, name string) (manifest, bool) {
	c.lock.Lock()
	defer c.lock.Unlock()
	m, ok := c.manifests[repo][name]
	return m, ok
}

func (c *content) findBlob(d digest.Digest) (Content, bool) {
	c.lock.Lock()
	defer c.lock.Unlock()
	b, ok := c.blobs[d]
	return b, ok
}

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("registrytest: %v", err)) // our own types
	}
	return body
}
