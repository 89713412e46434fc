package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/fs/erofs"
	"ocifs.dev/ocifs/fs/tree"
)

// The faces of a mount: what shows the tree to the kernel.
const (
	faceAuto  = "auto"  // erofs where that can be had, else fuse
	faceFUSE  = "fuse"  // package fs
	faceEROFS = "erofs" // package erofs
)

// faceOf is --face.
func faceOf(cc *cli.Context) (string, error) {
	switch f := cc.String("face"); f {
	case "", faceAuto, faceFUSE, faceEROFS:
		return f, nil
	default:
		return "", usagef("--face is %s, %s or %s, not %q", faceAuto, faceFUSE, faceEROFS, f)
	}
}

// A face is what a record says of it.
type face struct {
	Face    string `json:"face,omitzero"`     // which it is
	NoEROFS string `json:"no_erofs,omitzero"` // why --face=auto is not that one
}

// mountFace mounts with the face that is asked for, and tells which one it is.
func (s mountSpec) mountFace(img *openedImage, files fs.Source, o fs.Options) (srv *fs.Server, f face, err error) {
	if s.Face == faceEROFS || s.Face == faceAuto {
		if err = s.unwanted(); err == nil {
			srv, err = s.mountEROFS(img, files, o)
		}
		switch {
		case err == nil:
			return srv, face{Face: faceEROFS}, nil
		case s.Face == faceEROFS:
			return nil, f, faceFailed(err)
		}
		f.NoEROFS = err.Error()
	}
	o.Inode, f.Face = inodesOf(files.Tree()), faceFUSE
	if srv, err = fs.Mount(s.Mountpoint, files, o); err != nil {
		return nil, f, mountFailed(err)
	}
	return srv, f, nil
}

// unwanted says why a mount that may have any face is not to have the kernel's.
func (s mountSpec) unwanted() error {
	_, err := os.Stat("/sys/fs/selinux/enforce")
	if s.Face == faceAuto && err == nil {
		return errors.New("SELinux would have the files labelled, which images' are not")
	}
	return nil
}

// mountEROFS mounts with the kernel's face. That reads ahead from one file into
// the next, which costs nothing but where the cache has none of it; a trace is of
// what somebody has asked for.
func (s mountSpec) mountEROFS(img *openedImage, files fs.Source, o fs.Options) (*fs.Server, error) {
	o.Direct = s.Trace != "" || !img.Complete()
	return erofs.Mount(s.Mountpoint, files, o, s.Image.CacheDir)
}

// inodesOf gives the files of a tree their inode numbers, which are the same in
// both faces.
func inodesOf(t *tree.Tree) func(tree.Node) uint64 {
	l, err := erofs.NewLayout(t)
	if err != nil {
		return tree.Node.Inode // there is one face only
	}
	return l.Inode
}

// faceFailed is an error of --face=erofs.
func faceFailed(err error) error {
	err = fmt.Errorf("--face=%s: %w", faceEROFS, err)
	if errors.Is(err, erofs.ErrUnfit) || errors.Is(err, erofs.ErrUnavailable) {
		return hint(&problem{err: err, code: exitUnsupported}, "mount it with --face="+faceAuto+", which takes what can be had")
	}
	return mountFailed(err)
}
