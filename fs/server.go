package fs

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/hanwen/go-fuse/v2/fuse"

	"ocifs.dev/ocifs/fs/tree"
)

// A Source is what a mount shows: a tree, and the bytes of its regular files.
type Source interface {
	// Tree is the same at each call.
	Tree() *tree.Tree

	// ReadAt reads from regular file n, as an io.ReaderAt does: len(p) bytes
	// or an error. It is called from many goroutines, never beyond the end of
	// the file, and must return at some time even if what it waits for never
	// comes: the kernel cannot take a request back. p is only lent.
	ReadAt(n tree.Node, p []byte, off int64) (int, error)
}

// A Server answers the kernel's requests for one mount.
type Server struct {
	conn *Conn
	view *view
	done chan struct{} // closed when the kernel has closed the connection
}

// Mount is Attach and Serve. If serving cannot begin, nothing stays mounted.
func Mount(dir string, src Source, o Options) (*Server, error) {
	c, err := Attach(dir, o)
	if err != nil {
		return nil, err
	}
	s, err := Serve(c, src, o)
	if err != nil {
		c.UnmountLazy()
		return nil, err
	}
	return s, nil
}

// Serve begins to answer the requests of c, from src, until the kernel closes
// the connection; it returns when the mount can be used. src must live until
// Server.Wait returns. Of o it heeds the Logger, ReadTook, Inode, Direct and Squash.
//
// c belongs to the server now. After an error it is closed, but still mounted.
func Serve(c *Conn, src Source, o Options) (*Server, error) {
	v := newView(src, o.logger())
	v.direct = o.Direct
	if o.Inode != nil {
		v.inode = o.Inode
	}
	if o.Squash {
		v.squash(os.Geteuid(), os.Getegid())
	}
	server, err := fuse.NewServer(counted{v, o.ReadTook}, fmt.Sprintf("/dev/fd/%d", c.take()), v.mountOptions())
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	s := &Server{conn: c, view: v, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		server.Serve()
	}()
	if err := raiseReadAhead(c.dev); err != nil {
		v.log.Debug("read-ahead left as it is", "err", err)
	}
	return s, nil
}

// Wait returns when the kernel has closed the connection, after the mount and
// every use of it are gone, and all requests have been answered.
func (s *Server) Wait() { <-s.done }

// Done is closed when Wait returns.
func (s *Server) Done() <-chan struct{} { return s.done }

// Unmount is Conn.Unmount.
func (s *Server) Unmount() error { return s.unmount(false) }

// UnmountLazy is Conn.UnmountLazy.
func (s *Server) UnmountLazy() error { return s.unmount(true) }

// unmount does nothing once the connection is closed: the kernel may have given
// the mount's numbers to another by then.
func (s *Server) unmount(lazy bool) error {
	select {
	case <-s.done:
		return nil
	default:
		return s.conn.unmount(lazy)
	}
}

// Device is the mount's in mount tables, see Device.
func (s *Server) Device() string { return s.conn.dev }

// Stats returns what has been asked so far.
func (s *Server) Stats() Stats { return s.view.count.stats() }

// mountOptions are what is negotiated with the kernel at INIT. They depend on
// the tree and nothing else, so that another process can take a connection
// over.
func (v *view) mountOptions() *fuse.MountOptions {
	return &fuse.MountOptions{
		Name:          subtype,
		MaxWrite:      maxRead, // go-fuse's name for the largest request in either direction
		MaxBackground: 64,      // read-ahead requests in flight; beyond 48 the kernel holds back
		// What requests arrive in, not what answers leave in.
		MaxInflightRequestBytes: 64 << 20,

		EnableSymlinkCaching:     true,
		ExplicitDataCacheControl: true, // no invalidation: contents don't change
		DisableSplice:            true, // gains nothing, costs pipes
		IDMappedMount:            true, // allowed, for containers with a user namespace
		ExtraCapabilities: fuse.CAP_NO_OPENDIR_SUPPORT |
			fuse.CAP_EXPORT_SUPPORT | // file handles, see Lookup
			fuse.CAP_HAS_RESEND, // a server that takes over has the kernel ask again
		DisabledCapabilities: fuse.CAP_PASSTHROUGH, // excludes NO_OPEN

		Logger:       slog.NewLogLogger(v.log.Handler(), slog.LevelDebug),
		PanicHandler: v.panicked,
	}
}

// raiseReadAhead lets the kernel read ahead by whole requests. INIT cannot ask
// for more than 128 KiB, but who owns the machine can. dev is the mount's
// device number; only the mount table is needed to know it.
func raiseReadAhead(dev string) error {
	const kib = maxRead >> 10
	return os.WriteFile("/sys/class/bdi/"+dev+"/read_ahead_kb", fmt.Appendf(nil, "%d", kib), 0)
}
