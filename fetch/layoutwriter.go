package fetch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// Create is Open for a place to push to: it makes the OCI layout that ref
// names if there is none yet, in a directory that is missing or empty. In all
// other cases it does what Open does.
func Create(ctx context.Context, ref string, o Options) (*Source, error) {
	r, err := ParseReference(ref)
	if err != nil {
		return nil, err
	}
	if r.transport == transportLayout {
		if err := makeLayout(ctx, r.path); err != nil {
			return nil, &Error{Name: r.String(), Err: err}
		}
	}
	return open(ctx, r, o)
}

// makeLayout makes an empty layout of an empty directory. Of several who do
// it at a time, all succeed.
func makeLayout(ctx context.Context, name string) error {
	if err := os.MkdirAll(name, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return err
	}
	l := &layout{files: directory{root}}
	defer l.Close()
	if entries, err := fs.ReadDir(root.FS(), "."); err != nil || !beginning(entries) {
		return err // it is something already: open says whether a layout
	}
	if err := l.change(ctx, func(*listing) (bool, error) { return false, nil }); err != nil {
		return err
	}
	return l.write(ocispec.ImageLayoutFile, strings.NewReader(`{"imageLayoutVersion":"`+ocispec.ImageLayoutVersion+`"}`))
}

// beginning reports whether a directory has nothing but what others may have
// written who are making a layout of it now, or were killed at that.
func beginning(entries []fs.DirEntry) bool {
	for _, e := range entries {
		if e.Name() != ocispec.ImageIndexFile && !strings.HasPrefix(e.Name(), tempPrefix) {
			return false
		}
	}
	return true
}

// root is the layout's directory: archives have none, and are not written to.
func (l *layout) root() *os.Root { return l.files.(directory).root }

// putBlob writes a blob, unless there is one with the right size.
func (l *layout) putBlob(ctx context.Context, p *payload) error {
	defer p.done()
	name := blobPath(p.Descriptor)
	if fi, err := l.root().Stat(name); err == nil && fi.Mode().IsRegular() && fi.Size() == p.Size {
		return nil
	}
	b, err := p.pour()
	if err != nil {
		return err
	}
	return l.write(name, &bounded{ctx, b})
}

// putManifest writes a manifest and, if it is tagged or somebody's referrer,
// lists it in index.json. Otherwise it is found by its digest only, so that
// the images of an index do not stand beside it.
func (l *layout) putManifest(ctx context.Context, m *manifest) error {
	if m.tagged && l.ref.digest != "" {
		return errNoTag
	}
	p := bytesPayload(m.Digest, m.body)
	if err := l.putBlob(ctx, p); err != nil {
		return err
	}
	if !m.tagged && m.subject == nil {
		return nil
	}
	d := m.Descriptor
	d.Annotations = nil // the manifest's own, which are no names here
	if m.tagged && l.ref.tag != "" {
		d.Annotations = map[string]string{ocispec.AnnotationRefName: l.ref.tag}
	}
	return l.change(ctx, func(list *listing) (bool, error) {
		return list.set(d)
	})
}

// set lists d under its name, which is taken away from any other, and reports
// whether that was to be done. Without a name, d is listed once.
func (l *listing) set(d ocispec.Descriptor) (bool, error) {
	name := d.Annotations[ocispec.AnnotationRefName]
	for _, e := range l.entries {
		if e.Digest == d.Digest && (name == "" || e.Annotations[ocispec.AnnotationRefName] == name) {
			return false, nil
		}
	}
	if name != "" {
		l.remove(func(e ocispec.Descriptor) bool { return e.Annotations[ocispec.AnnotationRefName] == name })
	}
	return true, l.add(d)
}

// deleteManifest drops a manifest's entries from index.json, then its file.
func (l *layout) deleteManifest(ctx context.Context, d ocispec.Descriptor) error {
	var listed bool
	err := l.change(ctx, func(list *listing) (bool, error) {
		listed = list.remove(func(e ocispec.Descriptor) bool { return e.Digest == d.Digest })
		return listed, nil
	})
	if err != nil {
		return err
	}
	err = l.root().Remove(blobPath(d))
	if listed && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return notFound(err)
}

// change changes index.json, or creates it. While f runs, nobody else who
// does it this way changes it.
func (l *layout) change(ctx context.Context, f func(*listing) (bool, error)) error {
	locked, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer locked.Close()
	l.sweep()
	fi, err := locked.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w: not a regular file", ocispec.ImageIndexFile, ErrUnsupported)
	}
	if err != nil {
		return err
	}
	list, fresh := newListing(), fi.Size() == 0
	if !fresh {
		body, err := l.read(ocispec.ImageIndexFile)
		if err != nil {
			return err
		}
		if list, err = parseListing(body); err != nil {
			return fmt.Errorf("%s: %w", ocispec.ImageIndexFile, err)
		}
	}
	changed, err := f(list)
	if err != nil || !changed && !fresh {
		return err
	}
	body, err := list.encode()
	if err != nil {
		return err
	}
	return l.write(ocispec.ImageIndexFile, strings.NewReader(string(body)))
}

// lockPoll is how long to wait before asking for a lock again. Who has one
// holds it for the time it takes to write a small file.
const lockPoll = 10 * time.Millisecond

// lock locks index.json, which others replace while we wait for it: then it
// is another file that has to be locked.
func (l *layout) lock(ctx context.Context) (*os.File, error) {
	for {
		f, err := l.root().OpenFile(ocispec.ImageIndexFile, os.O_RDWR|os.O_CREATE|unix.O_NONBLOCK, 0o644)
		if err != nil {
			return nil, err
		}
		for err = tryLock(f); errors.Is(err, unix.EWOULDBLOCK); err = tryLock(f) {
			if err := sleep(ctx, lockPoll); err != nil {
				f.Close()
				return nil, err
			}
		}
		if err == nil && l.still(f) {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", ocispec.ImageIndexFile, err)
		}
	}
}

func tryLock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// still reports whether f is index.json.
func (l *layout) still(f *os.File) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := l.root().Stat(ocispec.ImageIndexFile)
	return err == nil && os.SameFile(mine, now)
}

// tempPrefix begins the names of files that are being written. They are
// locked meanwhile.
const tempPrefix = ".ocifs-"

// write makes a file of what r yields: all of it or, if that fails, none.
func (l *layout) write(name string, r io.Reader) (err error) {
	root, temp := l.root(), tempPrefix+rand.Text()
	if err := root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return err
	}
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			root.Remove(temp)
		}
	}()
	defer f.Close()
	if err := tryLock(f); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return root.Rename(temp, name)
}

// sweepAge is how old a temporary file has to be to be taken for litter: a
// younger one may not be locked yet.
const sweepAge = time.Hour

// sweep removes what writers have left who were killed.
func (l *layout) sweep() {
	entries, err := fs.ReadDir(l.root().FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		if fi, err := e.Info(); err != nil || !fi.Mode().IsRegular() || time.Since(fi.ModTime()) < sweepAge {
			continue
		}
		if f, err := l.root().OpenFile(e.Name(), os.O_RDWR|unix.O_NONBLOCK, 0); err == nil {
			if tryLock(f) == nil {
				l.root().Remove(e.Name())
			}
			f.Close()
		}
	}
}
