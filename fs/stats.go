package fs

import "sync/atomic"

// An op is a kind of request that is counted.
type op int

const (
	opLookup op = iota
	opGetattr
	opReadlink
	opOpen
	opOpendir
	opRead
	opLseek
	opReaddir
	opReaddirplus
	opGetxattr
	opListxattr
	opStatfs
	opOther // FLUSH, IOCTL and what else a file system may decline
	numOps
)

var opNames = [numOps]string{
	"lookup", "getattr", "readlink", "open", "opendir", "read", "lseek",
	"readdir", "readdirplus", "getxattr", "listxattr", "statfs", "other",
}

// counters are the state of a view. They are statistics: each is right, but
// two of them need not be of the same moment.
type counters struct {
	requests [numOps]atomic.Uint64
	read     atomic.Uint64 // bytes
	failed   atomic.Uint64 // reads
	errnos   [maxErrno]atomic.Uint64
}

func (c *counters) add(o op) { c.requests[o].Add(1) }

// Stats are what the kernel asked of a server so far.
type Stats struct {
	// Requests counts by kind: "lookup", "getattr", "readlink", "open",
	// "opendir", "read", "lseek", "readdir", "readdirplus", "getxattr",
	// "listxattr", "statfs", and "other" for requests that are declined.
	// Kinds that never came are absent.
	Requests map[string]uint64

	ReadBytes   uint64 // answered to READ
	FailedReads uint64 // answered with EIO

	// Errors counts the answers that were error numbers, by name, as "EIO":
	// ENODATA where there is no such attribute is one, too.
	Errors map[string]uint64
}

func (c *counters) stats() Stats {
	s := Stats{
		Requests:    make(map[string]uint64),
		ReadBytes:   c.read.Load(),
		FailedReads: c.failed.Load(),
		Errors:      c.errors(),
	}
	for o, name := range opNames {
		if n := c.requests[o].Load(); n > 0 {
			s.Requests[name] = n
		}
	}
	return s
}
