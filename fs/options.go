package fs

import (
	"errors"
	"log/slog"
	"time"

	"ocifs.dev/ocifs/fs/tree"
)

// Errors that Attach, Serve and the unmounting methods wrap. A mountpoint that
// doesn't exist is io/fs.ErrNotExist.
var (
	// ErrNoFUSE says that this process cannot mount FUSE at all: there is no
	// /dev/fuse, or neither mount(2) nor fusermount3 is open to it.
	ErrNoFUSE = errors.New("cannot mount FUSE")

	// ErrNotDir says that the mountpoint is something else than a directory;
	// a symbolic link to one counts as something else.
	ErrNotDir = errors.New("not a directory")

	// ErrMounted says that something is mounted exactly there.
	ErrMounted = errors.New("already a mountpoint")

	// ErrDead says that what is mounted there is a FUSE file system whose
	// server is gone. Unmount removes it.
	ErrDead = errors.New("a mount whose server is gone")

	// ErrBusy says that the mount is in use: by an open file, a working
	// directory, or another mount on or in it.
	ErrBusy = errors.New("in use")
)

// Options say how a tree is mounted and served. The zero value is a mount that
// nobody can gain privileges through.
type Options struct {
	// Source is what mount tables show as the mounted device: the image's
	// name. "": ocifs.
	Source string

	// AllowOther lets users other than the one who mounts in, as far as the
	// permissions in the image let them. It is always on for root; for others
	// /etc/fuse.conf has to allow it.
	AllowOther bool

	// Suid honours setuid and setgid bits and file capabilities, and Dev
	// device nodes, as a container's root needs it. fusermount3 permits
	// neither.
	Suid, Dev bool

	// NoExec lets nobody run programs.
	NoExec bool

	// Squash shows every file as owned by the user and group who mount, as
	// unpacking without root's rights would leave it.
	Squash bool

	// Inode gives the files inode numbers, the same on every mount and none
	// twice. nil: Node.Inode does.
	Inode func(tree.Node) uint64

	// Direct has the kernel ask for contents just as its users do: it keeps
	// none, and reads nothing ahead. It is for the mount of MountBeneath, of
	// which the one above keeps them.
	Direct bool

	// Logger gets one record for a read that failed (error), and what the
	// FUSE library has to say (debug). nil: nothing is logged.
	Logger *slog.Logger

	// ReadTook is told how long each READ took to be answered, from several
	// goroutines. nil: nobody is.
	ReadTook func(time.Duration)
}

func (o Options) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger
}
