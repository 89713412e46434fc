package fs

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// counted is a view whose answers are counted: errors, by number, and how long
// reads take.
type counted struct {
	*view
	took func(time.Duration) // told of each READ; nil: nobody is
}

// maxErrno is more than any error number of Linux has.
const maxErrno = 134

// status counts an answer. ENOSYS is none: it tells the kernel what not to ask.
func (c counted) status(s fuse.Status) fuse.Status {
	if s > 0 && s < maxErrno && s != fuse.ENOSYS {
		c.count.errnos[s].Add(1)
	}
	return s
}

func (c counted) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	start := time.Now()
	r, s := c.view.Read(cancel, in, buf)
	if c.took != nil {
		c.took(time.Since(start))
	}
	return r, c.status(s)
}

func (c counted) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return c.status(c.view.Lookup(cancel, in, name, out))
}

func (c counted) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return c.status(c.view.GetAttr(cancel, in, out))
}

func (c counted) Readlink(cancel <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	link, s := c.view.Readlink(cancel, in)
	return link, c.status(s)
}

func (c counted) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return c.status(c.view.Open(cancel, in, out))
}

func (c counted) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return c.status(c.view.ReadDir(cancel, in, out))
}

func (c counted) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return c.status(c.view.ReadDirPlus(cancel, in, out))
}

func (c counted) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	return c.status(c.view.Lseek(cancel, in, out))
}

func (c counted) GetXAttr(cancel <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	n, s := c.view.GetXAttr(cancel, in, name, dest)
	return n, c.status(s)
}

func (c counted) ListXAttr(cancel <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	n, s := c.view.ListXAttr(cancel, in, dest)
	return n, c.status(s)
}

func (c counted) Ioctl(cancel <-chan struct{}, in *fuse.IoctlIn, inbuf []byte, out *fuse.IoctlOut, outbuf []byte) fuse.Status {
	return c.status(c.view.Ioctl(cancel, in, inbuf, out, outbuf))
}

// errors are the counts, by the numbers' names.
func (c *counters) errors() map[string]uint64 {
	named := make(map[string]uint64)
	for i := range c.errnos {
		if n := c.errnos[i].Load(); n > 0 {
			named[unix.ErrnoName(unix.Errno(i))] = n
		}
	}
	return named
}

var _ fuse.RawFileSystem = counted{}
