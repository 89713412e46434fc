package image

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A part is what is shown at one place. With a name, it is a file: a layer's
// whole decoded space, or a text. Else it is what its layers make together.
type part struct {
	at     string // the directory; "" is the root
	layers []int  // by their numbers in Selection.layers
	of     *Manifest
	lone   bool // a layer as overlayfs stacks it

	tar   bool   // an archive that is no layer of a root file system
	below string // show that directory of it, if it is there
	full  string // if it has that path, it belongs not at at, but
	base  string // there

	name string // of a file, below at
	desc ocispec.Descriptor
	meta index.Entry // its mode, owner and time
	text int         // 1 + its number in Selection.texts; 0: it is layers[0]
}

// grow makes the tree of all parts.
func (s *Selection) grow(img *Image, o Options) (*tree.Tree, error) {
	t, err := s.whole(img)
	if err != nil || o.View.Subpath == "" {
		return t, err
	}
	n, err := t.Walk(o.View.Subpath, true)
	if err == nil && !t.IsDir(n) {
		err = &fs.PathError{Path: o.View.Subpath, Err: syscall.ENOTDIR}
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		path.Op = OpSubpath
	}
	if err != nil {
		return nil, err
	}
	b := tree.NewBuilder(t.Len())
	if err := b.Graft("", t, n, numbers(len(img.contents))); err != nil {
		return nil, err
	}
	return b.Tree()
}

// OpSubpath is the operation of the *fs.PathError that says that there is no
// directory to show as the root.
const OpSubpath = "subpath"

// numbers are 0 to n-1.
func numbers(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// whole is the tree without regard to a subpath.
func (s *Selection) whole(img *Image) (*tree.Tree, error) {
	if sameLayers(s.parts) {
		return s.merge(img, s.parts[0])
	}
	b := tree.NewBuilder(0)
	merged := map[digest.Digest]*tree.Tree{} // services may share an image
	for _, p := range s.parts {
		if p.name != "" {
			if err := s.file(b, p); err != nil {
				return nil, err
			}
			continue
		}
		var t *tree.Tree
		if p.of != nil {
			t = merged[p.of.Descriptor.Digest]
		}
		if t == nil {
			var err error
			if t, err = s.merge(img, p); err != nil {
				return nil, err
			}
		}
		if p.of != nil {
			merged[p.of.Descriptor.Digest] = t
		}
		n := tree.Root
		if p.below != "" {
			if m, err := t.Walk(p.below, false); err == nil && t.IsDir(m) {
				n = m
			}
		}
		at := p.at
		if p.full != "" {
			if _, err := t.Walk(p.full, false); err == nil {
				at = p.base
			}
		}
		if err := b.Graft(at, t, n, p.layers); err != nil {
			return nil, err
		}
	}
	return b.Tree()
}

// merge is the tree that a part's layers make, which are numbered by it.
func (s *Selection) merge(img *Image, p part) (*tree.Tree, error) {
	var tocs []*index.TOC
	for _, n := range p.layers {
		tocs = append(tocs, img.layers[n].toc)
	}
	if !p.lone {
		t, err := tree.Merge(tocs)
		return t, img.unfit(err, p.layers)
	}
	opaque := tree.OpaqueTrusted
	if s.o.View.UserXattrs {
		opaque = tree.OpaqueUser
	}
	t, lost, err := tree.Single(tocs[0], opaque)
	if lost > 0 {
		s.o.warn(fmt.Sprintf("%s of the layer to files of the layers below %s left out", counted(lost, "hard link"), map[bool]string{true: "is", false: "are"}[lost == 1]))
	}
	return t, img.unfit(err, p.layers)
}

// file puts a file where its name says, or, where there is something already,
// under the next name that it can have. The same blob is shown once at a place.
func (s *Selection) file(b *tree.Builder, p part) error {
	e := p.meta
	n := 0
	if p.text > 0 {
		n = len(s.layers) + p.text - 1
		e.Size = int64(len(s.texts[p.text-1]))
	} else {
		n = p.layers[0]
		e.Size = p.desc.Size
	}
	var err error
	for _, name := range append([]string{p.name}, others(p.name, p.desc)...) {
		if e.Name = name; p.at != "" {
			e.Name = p.at + "/" + name
		}
		if err = b.Add(n, &e); err == nil {
			return nil
		}
	}
	if errors.Is(err, fs.ErrExist) { // even the name made of the digest: it is there
		return nil
	}
	return err
}
