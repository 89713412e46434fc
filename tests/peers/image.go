package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An image is what is compared on. The registry has it as NAME, with its own
// layers; NAME-indexed, where an ocifs index was pushed beside it; and
// NAME-estargz. All have the tag latest.
type image struct {
	name   string
	layout string // an OCI image layout
	layers []ocispec.Descriptor
}

// A form is what an image's name ends in, in the registry.
type form string

// The forms of an image.
const (
	plain   form = ""
	indexed form = "-indexed"
	estargz form = "-estargz"
)

// findLayouts reads a list of layouts, and of directories of layouts.
func findLayouts(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	var layouts []string
	for name := range strings.SplitSeq(list, ",") {
		if isLayout(name) {
			layouts = append(layouts, name)
			continue
		}
		below, err := filepath.Glob(filepath.Join(name, "*"))
		if err != nil {
			return nil, err
		}
		below = slices.DeleteFunc(below, func(dir string) bool { return !isLayout(dir) })
		if len(below) == 0 {
			return nil, fmt.Errorf("%s is no OCI image layout, and there is none in it", name)
		}
		layouts = append(layouts, below...)
	}
	return layouts, nil
}

func isLayout(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, ocispec.ImageLayoutFile))
	return err == nil
}

// openImages puts the images into the registry, or one that it makes.
func (l *lab) openImages(ctx context.Context) (images []*image, err error) {
	layouts := l.settings.images
	if len(layouts) == 0 {
		dir, err := l.prepare(ctx, "machine", l.machineImage(ctx))
		if err != nil {
			return nil, err
		}
		layouts = []string{dir}
	}
	for _, dir := range layouts {
		img, err := l.openImage(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		images = append(images, img)
	}
	return images, nil
}

// openImage puts a layout with one image into the registry.
func (l *lab) openImage(dir string) (*image, error) {
	img := &image{name: strings.ToLower(filepath.Base(dir)), layout: dir}
	var index ocispec.Index
	if err := readJSON(filepath.Join(dir, ocispec.ImageIndexFile), &index); err != nil {
		return nil, err
	}
	if len(index.Manifests) != 1 {
		return nil, errors.New("a layout with one image is what is needed")
	}
	var manifest ocispec.Manifest
	if err := readJSON(img.blob(index.Manifests[0]), &manifest); err != nil {
		return nil, err
	}
	img.layers = manifest.Layers
	return img, errors.Join(
		l.registry.PushLayout(img.name, "latest", dir),
		l.registry.PushLayout(img.name+string(indexed), "latest", dir))
}

// blob is the file of a blob.
func (img *image) blob(d ocispec.Descriptor) string {
	return filepath.Join(img.layout, ocispec.ImageBlobsDir, d.Digest.Algorithm().String(), d.Digest.Encoded())
}

func readJSON(name string, v any) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// ref is the reference of an image at the end of a link, in a form that it is
// given first if it hasn't it yet.
func (l *lab) ref(ctx context.Context, img *image, f form, way link) (string, error) {
	var err error
	switch f {
	case indexed:
		err = l.pushIndex(ctx, img)
	case estargz:
		err = l.pushEstargz(ctx, img)
	}
	return l.host(way) + "/" + img.name + string(f) + ":latest", err
}

// pushIndex pushes an index of the image, once.
func (l *lab) pushIndex(ctx context.Context, img *image) error {
	name := img.name + string(indexed)
	if err, ok := l.made[name]; ok {
		return err
	}
	cache, err := l.warmCache(ctx, img)
	if err == nil {
		_, err = l.run(ctx, l.ocifs(cache, "index", "push", l.host(link{})+"/"+name+":latest")...)
	}
	if ctx.Err() == nil {
		l.made[name] = err
	}
	return err
}

// pushEstargz converts the image, once.
func (l *lab) pushEstargz(ctx context.Context, img *image) error {
	name := img.name + string(estargz)
	if err, ok := l.made[name]; ok {
		return err
	}
	cache, err := l.warmCache(ctx, img)
	if err != nil {
		return err
	}
	dir, err := l.prepare(ctx, name, func(path string) error {
		_, err := l.run(ctx, l.ocifs(cache, "convert", "--format", "estargz", "oci:"+img.layout, "oci:"+path+":latest")...)
		return err
	})
	if err == nil {
		err = l.registry.PushLayout(name, "latest", dir)
	}
	if ctx.Err() == nil {
		l.made[name] = err
	}
	return err
}

// warmCache is a cache that has all of the image, decoded.
func (l *lab) warmCache(ctx context.Context, img *image) (string, error) {
	return l.prepare(ctx, img.name+"-cache", func(path string) error {
		_, err := l.run(ctx, l.ocifs(path, "cache", "warm", "oci:"+img.layout)...)
		return err
	})
}

// makeImage makes an image for one question, once.
func (l *lab) makeImage(ctx context.Context, name string, write func(dir string) error) (*image, error) {
	dir, err := l.prepare(ctx, name, write)
	if err != nil {
		return nil, err
	}
	return l.openImage(dir)
}

// unpackedSize is how many bytes the files of an image have.
func (l *lab) unpackedSize(ctx context.Context, img *image) (float64, error) {
	dir, err := l.unpacked(ctx, img)
	if err != nil {
		return 0, err
	}
	total, ok := l.sizes[dir]
	if !ok {
		err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			fi, err := d.Info()
			if err == nil {
				total += fi.Size()
			}
			return err
		})
		l.sizes[dir] = total
	}
	return float64(total), err
}
