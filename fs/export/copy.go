package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A Copier copies files into a directory. The zero value with Source set copies
// contents: regular files, executable or not, directories and symbolic links,
// with the owner, the permissions and the time that new files get. It is for
// one goroutine.
type Copier struct {
	Source Source
	// Archive keeps everything: owners (only root can; who isn't has set-user-ID
	// and set-group-ID bits taken away instead), permissions, modification
	// times, extended attributes, hard links, devices.
	Archive bool
	// Force has files replaced that are there already; a directory never is.
	Force bool
	// Problem is told, by a *FileError, what could not be copied, where the rest
	// can be; if it returns an error, the copying ends with that. nil: every
	// problem ends it.
	Problem func(error) error

	root  bool // we are root
	first map[tree.Node]string
	contents
	Files int // copied so far, of whatever type
}

// Copy copies items into dir, each under its name, which must not have a slash
// in it. A directory that is there already gets the files beside its own. A
// file that could not be copied to its end is removed.
//
// Names are made by their parent directory's descriptor, one by one; what isn't
// a directory is never entered.
func (c *Copier) Copy(ctx context.Context, dir *os.Root, items ...Item) error {
	c.root = os.Geteuid() == 0
	c.first = map[tree.Node]string{}
	c.src = c.Source
	top, err := newPlace(dir, "")
	if err != nil {
		return err
	}
	defer top.close()
	for _, it := range items {
		if it.Name == "" {
			err = c.fill(ctx, top, top, it.Node)
			if err == nil && c.Archive {
				err = c.report(c.dirAttrs(top, it.Node))
			}
		} else {
			err = c.file(ctx, top, top, it.Name, it.Node)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A place is a directory that files are made in.
type place struct {
	root *os.Root
	dir  *os.File // the same, for what os.Root hasn't
	path string   // from the top directory: "" or with a slash at its end
}

func newPlace(root *os.Root, path string) (*place, error) {
	dir, err := root.OpenFile(".", os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &place{root, dir, path}, nil
}

// sub opens a directory in p that was just found to be one.
func (p *place) sub(name string) (*place, error) {
	root, err := p.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	q, err := newPlace(root, p.path+name+"/")
	if err != nil {
		root.Close()
	}
	return q, err
}

func (p *place) close() {
	p.dir.Close()
	if p.path != "" {
		p.root.Close()
	}
}

// ErrLeftOut is the problem of what was not to be copied: devices and FIFOs if
// only contents are, and devices if we are not root.
var ErrLeftOut = errors.New("left out")

// A problem is a failure of one file.
type problem struct{ err error }

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return p.err }

// report passes a problem on, and returns what is to end the copying.
func (c *Copier) report(err error) error {
	var p *problem
	if c.Problem != nil && errors.As(err, &p) {
		return c.Problem(err)
	}
	return err
}

// fill copies what is in the directory n into p; top is where all began.
func (c *Copier) fill(ctx context.Context, top, p *place, n tree.Node) error {
	t := c.src.Tree()
	first, k := t.Dirents(n)
	for i := first; i < first+k; i++ {
		name, child := t.Dirent(i)
		if err := c.file(ctx, top, p, name, child); err != nil {
			return err
		}
	}
	return nil
}

// file copies n, and all below it, as name in p.
func (c *Copier) file(ctx context.Context, top, p *place, name string, n tree.Node) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := c.make(ctx, top, p, name, n)
	if errors.As(err, new(errInside)) {
		return err
	}
	if err = c.report(failedAt(ctx, p.path+name, err)); err != nil {
		return errInside{err}
	}
	return nil
}

func (c *Copier) make(ctx context.Context, top, p *place, name string, n tree.Node) error {
	a := c.src.Tree().Attr(n)
	kind := a.Mode & index.ModeType
	if kind == index.ModeDir {
		return c.dir(ctx, top, p, name, n)
	}
	if !c.Archive && kind != index.ModeRegular && kind != index.ModeSymlink {
		return &problem{fmt.Errorf("a device or a FIFO: %w", ErrLeftOut)}
	}
	as, err := c.free(p, name)
	if err != nil {
		return err
	}
	switch first, again := c.first[n]; {
	case again && c.Archive:
		err = top.root.Link(first, p.path+as)
	case kind == index.ModeRegular:
		err = c.regular(ctx, p, as, n)
	default:
		err = c.special(p, as, n)
	}
	if there(err) && as != name {
		err = cmp.Or(p.root.Rename(as, name), err)
	}
	if !there(err) {
		if !errors.Is(err, fs.ErrExist) { // what is there then is somebody else's
			p.root.Remove(as)
		}
		return sorted(err)
	}
	if c.Files++; a.Nlink > 1 {
		c.first[n] = p.path + name
	}
	return sorted(err)
}

// free is the name under which a file can be made that is to be called name:
// another one where it shall replace what is there.
func (c *Copier) free(p *place, name string) (string, error) {
	fi, err := p.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return name, nil
	case err != nil:
		return "", sorted(err)
	case fi.IsDir():
		return "", &problem{errors.New("there is a directory of that name")}
	case !c.Force:
		return "", &problem{fs.ErrExist}
	}
	for i := 0; ; i++ {
		as := fmt.Sprintf(".ocifs-%d-%d", os.Getpid(), i)
		if _, err := p.root.Lstat(as); errors.Is(err, fs.ErrNotExist) {
			return as, nil
		} else if err != nil {
			return "", sorted(err)
		}
	}
}

// dir copies a directory.
func (c *Copier) dir(ctx context.Context, top, p *place, name string, n tree.Node) error {
	mode := fs.FileMode(0o777)
	if c.Archive {
		mode = 0o700 // until all is in it
	}
	switch err := p.root.Mkdir(name, mode); {
	case errors.Is(err, fs.ErrExist):
		if fi, err := p.root.Lstat(name); err != nil || !fi.IsDir() {
			return &problem{errors.New("there is a file of that name, and no directory")}
		}
	case err != nil:
		return sorted(err)
	default:
		c.Files++
	}
	q, err := p.sub(name)
	if err != nil {
		return sorted(err)
	}
	defer q.close()
	if err := c.fill(ctx, top, q, n); err != nil {
		return err
	}
	if c.Archive {
		return c.dirAttrs(q, n)
	}
	return nil
}

// errInside is an error that has its path already, and has been reported.
type errInside struct{ error }

func (e errInside) Unwrap() error { return e.error }

// regular copies a regular file, holes as holes.
func (c *Copier) regular(ctx context.Context, p *place, name string, n tree.Node) error {
	a, d := c.src.Tree().Attr(n), c.src.Tree().Data(n)
	mode := fs.FileMode(0o666)
	switch {
	case c.Archive:
		mode = 0o600
	case a.Mode&0o111 != 0:
		mode = 0o777
	}
	f, err := p.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	for _, x := range extents(d) {
		if _, err = f.Seek(x.Off, 0); err == nil {
			err = c.pour(ctx, f, n, x.Off, x.Len)
		}
		if err != nil {
			break
		}
	}
	if err == nil && d.Extents != nil {
		err = f.Truncate(d.Size)
	}
	if err == nil && c.Archive {
		err = c.fileAttrs(f, n)
	}
	if cerr := f.Close(); there(err) {
		err = cmp.Or(cerr, err)
	}
	if there(err) && c.Archive {
		err = cmp.Or(c.times(p, name, a), err)
	}
	return err
}

// special makes a symbolic link, a device or a FIFO.
func (c *Copier) special(p *place, name string, n tree.Node) error {
	a := c.src.Tree().Attr(n)
	if a.Mode&index.ModeType == index.ModeSymlink {
		if err := p.root.Symlink(c.src.Tree().Readlink(n), name); err != nil {
			return err
		}
	} else if err := unix.Mknodat(int(p.dir.Fd()), name, a.Mode&index.ModeType|0o600, int(unix.Mkdev(a.Major, a.Minor))); err == unix.EPERM && !c.root {
		return &problem{fmt.Errorf("a device, which only root can make: %w", ErrLeftOut)}
	} else if err != nil {
		return &fs.PathError{Op: "mknod", Path: name, Err: err}
	}
	if !c.Archive {
		return nil
	}
	return c.nameAttrs(p, name, n)
}
