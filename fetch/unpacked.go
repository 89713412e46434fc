package fetch

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// idleAfter is how long an unpacked copy is kept for whoever reads next.
const idleAfter = time.Minute

// An unpacked is a compressed file that can be read anywhere: when bytes are
// asked for, it is unpacked into a file without a name, which is given up once
// nobody has asked for a while. It is safe for concurrent use.
type unpacked struct {
	ctx    context.Context // bounds all unpacking
	cancel context.CancelFunc
	f      *os.File
	c      compression
	dir    string // where the copy goes
	size   int64  // of the copy; -1 until that is known

	mu     sync.Mutex // guards the fields below, and is held to unpack
	copy   *os.File   // nil: there is none
	users  int        // reads under way
	idle   *time.Timer
	closed bool
}

func newUnpacked(ctx context.Context, f *os.File, c compression, dir string) *unpacked {
	u := &unpacked{f: f, c: c, dir: dir, size: -1}
	u.ctx, u.cancel = context.WithCancel(ctx)
	u.idle = time.AfterFunc(idleAfter, u.expire)
	return u
}

// measure unpacks the file and returns the size of what it unpacks to.
func (u *unpacked) measure() (int64, error) {
	f, err := u.take()
	if err != nil {
		return 0, err
	}
	defer u.release()
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	u.size = fi.Size()
	return u.size, nil
}

func (u *unpacked) ReadAt(p []byte, off int64) (int, error) {
	f, err := u.take()
	if err != nil {
		return 0, err
	}
	defer u.release()
	return f.ReadAt(p, off)
}

// take returns the copy, for use until release.
func (u *unpacked) take() (*os.File, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, os.ErrClosed
	}
	if u.copy == nil {
		f, err := spoolFile(u.ctx, u.f, u.c, u.dir)
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		if fi, err := f.Stat(); err != nil || u.size >= 0 && fi.Size() != u.size {
			f.Close()
			return nil, fmt.Errorf("unpack: the archive has changed")
		}
		u.copy = f
	}
	u.users++
	u.idle.Stop()
	return u.copy, nil
}

func (u *unpacked) release() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.users--; u.users == 0 && !u.closed {
		u.idle.Reset(idleAfter)
	}
}

// expire gives the copy up, unless somebody reads it.
func (u *unpacked) expire() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.users == 0 && u.copy != nil {
		u.copy.Close()
		u.copy = nil
	}
}

// Close ends unpacking, and gives up the copy and the file.
func (u *unpacked) Close() error {
	u.cancel()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	u.idle.Stop()
	if u.copy != nil {
		u.copy.Close()
		u.copy = nil
	}
	return u.f.Close()
}
