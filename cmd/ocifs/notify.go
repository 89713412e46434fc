package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// A notifier tells the service manager that has started this process how the
// mount is, as sd_notify(3) does. A nil one tells nobody. Safe for concurrent
// use.
type notifier struct {
	addr net.UnixAddr
	last atomic.Int64 // when progress was told, ns
}

const (
	statusEvery = time.Second
	// Reading a large image whole may take longer than systemd waits for a
	// service by default. It goes on waiting while something comes.
	patienceAsked = 90 * time.Second
)

// newNotifier finds who listens: $NOTIFY_SOCKET, which it removes, so that
// programs we start don't speak for us. It is nil if nobody does.
func newNotifier() *notifier {
	name := os.Getenv("NOTIFY_SOCKET")
	os.Unsetenv("NOTIFY_SOCKET")
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") {
		return nil // there is vsock, too, for virtual machines
	}
	return &notifier{addr: net.UnixAddr{Name: name, Net: "unixgram"}}
}

// send sends assignments, as in "READY=1". That nobody hears them is not our
// trouble: sd_notify's callers are told to go on.
func (n *notifier) send(assignments ...string) {
	if n == nil {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &n.addr)
	if err != nil {
		return
	}
	defer c.Close()
	c.Write([]byte(strings.Join(assignments, "\n") + "\n"))
}

// status is what "systemctl status" shows: one line.
func status(format string, a ...any) string {
	return "STATUS=" + printable(fmt.Sprintf(format, a...))
}

// steps passes on steps, and tells of them, now and then.
func (n *notifier) steps(next func(step)) func(step) {
	if n == nil {
		return next
	}
	return func(s step) {
		if next != nil {
			next(s)
		}
		now, last := time.Now().UnixNano(), n.last.Load()
		if now-last < int64(statusEvery) || !n.last.CompareAndSwap(last, now) {
			return
		}
		n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", patienceAsked.Microseconds()),
			status("reading layer %d of %d: %s", s.Layer+1, s.Layers, amount(s.Done, s.Total)))
	}
}

// ready says that the mount is live.
func (n *notifier) ready(r record) {
	n.send("READY=1", status("%s on %s", pinned(r.Ref, r.Digest), quote(r.Mountpoint)))
}

// stopping says that it ends; err is why, if that is an error.
func (n *notifier) stopping(err error) {
	if err != nil {
		n.send("STOPPING=1", status("%v", err))
		return
	}
	n.send("STOPPING=1", "STATUS=unmounting")
}
