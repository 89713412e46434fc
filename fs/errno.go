package fs

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/tree"
)

// All errors that the kernel gets are decided here, but for those that are the
// meaning of a method: ENOSYS of Open, EROFS of what would write, ENODATA and
// ERANGE of attributes.
const (
	errStale    = fuse.Status(unix.ESTALE)       // a node id that this tree doesn't have
	errLongName = fuse.Status(unix.ENAMETOOLONG) // a name longer than maxName
	errBeyond   = fuse.Status(unix.ENXIO)        // a seek to where there is nothing
	errNoIoctl  = fuse.Status(unix.ENOTTY)       // any ioctl
	errRead     = fuse.EIO                       // a read that failed
)

// readFailed answers a read that failed, always with EIO: whatever it was, a
// registry that lost the blob or bytes that aren't those of the digest, is no
// business of who reads a file and might take ENOENT or EACCES for an answer
// about that file. What it was stands in the log.
func (v *view) readFailed(n tree.Node, off int64, err error) fuse.Status {
	v.count.failed.Add(1)
	e := (*ReadError)(nil)
	if !errors.As(err, &e) {
		e = &ReadError{Tree: v.tree, Node: n, Off: off, Err: err}
	}
	if v.failures.news(e.Node, time.Now()) {
		v.log.Error("read failed", "path", e.Tree.Path(e.Node), "layer", e.Tree.Attr(e.Node).Layer, "offset", e.Off, "err", e.Err)
	}
	return errRead
}

// A ReadError is what a Source may return whose files are made of another one's:
// which of those could not be read.
type ReadError struct {
	Tree *tree.Tree
	Node tree.Node
	Off  int64 // in it
	Err  error
}

func (e *ReadError) Error() string {
	return fmt.Sprintf("%q at %d: %v", e.Tree.Path(e.Node), e.Off, e.Err)
}

// Unwrap implements errors.Unwrap.
func (e *ReadError) Unwrap() error { return e.Err }

// panicked is for bugs: the request fails, the mount lives on.
func (v *view) panicked(what any) fuse.Status {
	v.log.Error("panic in a request", "err", fmt.Sprint(what), "stack", string(debug.Stack()))
	return errRead
}

// failures remembers which nodes the log has told of, so that a reader that
// tries again and again, and the kernel behind it, page by page, make one line.
type failures struct {
	mu     sync.Mutex // guards logged
	logged map[tree.Node]time.Time
}

const (
	silence       = time.Minute // after a line about a node
	maxRemembered = 1 << 12     // nodes; then all are forgotten
)

// news reports whether a failure of n at now is worth a line.
func (f *failures) news(n tree.Node, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last, ok := f.logged[n]; ok && now.Sub(last) < silence {
		return false
	}
	if f.logged == nil || len(f.logged) >= maxRemembered {
		f.logged = make(map[tree.Node]time.Time)
	}
	f.logged[n] = now
	return true
}
