package erofs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"strings"

	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// The files of the mount beneath. Nobody sees them but the kernel, while it
// mounts.
//
// The image's name is what mount tables show as the mounted device, a path that
// the kernel opens: a symbolic link to the file, so that it can be what
// fs.SourceBeneath says.
const deviceName = ".device"

// imageFD is the descriptor of the image, or the least that it may have: the link
// is then the same in every process, as is all else beneath.
const imageFD = 900

// Source is what the server of a mount that Mount has made serves: another process
// can go on with the connection, given the same tree and o.Source. The image it
// needs no more; Direct need not be the same.
func Source(src fs.Source, o fs.Options) (fs.Source, error) {
	l, err := NewLayout(src.Tree())
	if err != nil {
		return nil, err
	}
	return newBeneath(NewDevice(l, src), imageFD, o)
}

// beneath is the source of the mount beneath.
type beneath struct {
	*Device
	tree *tree.Tree
	name string // of the image, as the kernel is told
}

// newBeneath makes the files beneath for an image with that descriptor. If it
// can't have the name that o has for it, it has that of no image.
func newBeneath(d *Device, image int, o fs.Options) (b *beneath, err error) {
	target := fmt.Sprintf("/proc/self/fd/%d", image)
	for _, name := range []string{fs.SourceBeneath(o), fs.SourceBeneath(fs.Options{})} {
		if b, err = beneathOf(d, target, name); err == nil {
			return b, nil
		}
	}
	return nil, err
}

func beneathOf(d *Device, target, name string) (*beneath, error) {
	// The kernel would look for what is before the dots, and takes 255 bytes.
	if strings.Contains(name, "/../") || len(name) > 255 {
		return nil, fmt.Errorf("%q: %w", name, iofs.ErrInvalid)
	}
	b := tree.NewBuilder(8)
	device := index.Entry{Name: deviceName, Mode: index.ModeRegular | 0o400, Size: d.size}
	image := index.Entry{Name: path.Clean(name), Mode: index.ModeSymlink, Link: target}
	if err := errors.Join(b.Add(0, &device), b.Add(0, &image)); err != nil {
		return nil, err
	}
	t, err := b.Tree()
	return &beneath{d, t, name}, err
}

// Tree implements fs.Source.
func (b *beneath) Tree() *tree.Tree { return b.tree }

// ReadAt implements fs.Source: the device is the only regular file.
func (b *beneath) ReadAt(_ tree.Node, p []byte, off int64) (int, error) {
	return b.Device.ReadAt(p, off)
}

var _ fs.Source = (*beneath)(nil)
