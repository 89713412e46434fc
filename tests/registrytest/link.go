package registrytest

import (
	"io"
	"log"
	"net"
	"sync"
	"time"
)

// A Link is a network path between clients and servers: it has a round-trip
// time and a bandwidth, which all connections through it share. It works
// within this process, on connections that are really on the loopback
// interface:
//
//   - a connection's first bytes reach the server only after a round trip,
//     which is what TCP's handshake takes;
//   - all bytes take half a round trip either way;
//   - bytes to the client queue up for the bandwidth, 16 KiB at a time, taking
//     turns with other connections;
//   - a new connection starts slowly: a window of ten segments that doubles
//     with every round trip in which it was filled.
//
// It has no losses.
type Link struct {
	rtt       time.Duration
	bandwidth float64 // bytes per second

	mu   sync.Mutex // guards free
	free time.Time  // when the bytes queued so far have left
}

// NewLink returns a link with a round-trip time and a bandwidth in bits per
// second; 0 is no delay and no limit.
func NewLink(rtt time.Duration, bitsPerSecond float64) *Link {
	return &Link{rtt: rtt, bandwidth: bitsPerSecond / 8}
}

const (
	segment    = 16 << 10             // unit in which connections take turns
	firstBurst = 10 * 1460            // initial window, RFC 6928
	ahead      = 2 * time.Millisecond // how far reservations may run ahead of the clock, to hide its coarseness
	buffered   = 64                   // segments under way in one direction
)

var quiet = log.New(io.Discard, "", 0)

// Listener puts the link before a server's listener.
func (l *Link) Listener(inner net.Listener) net.Listener {
	return &shapedListener{Listener: inner, link: l, pairs: make(map[*pair]bool)}
}

type shapedListener struct {
	net.Listener
	link *Link

	mu     sync.Mutex // guards the fields below
	pairs  map[*pair]bool
	closed bool

	pumps sync.WaitGroup
}

// A pair is a real connection and our end of the pipe to the server.
type pair struct{ outer, inner net.Conn }

func (p *pair) close() {
	p.outer.Close()
	p.inner.Close()
}

// Accept returns the server's end of a pipe, the other end of which is pumped
// to and from the real connection.
func (l *shapedListener) Accept() (net.Conn, error) {
	outer, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	inner, server := net.Pipe()
	p := &pair{outer, inner}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		p.close()
		return nil, net.ErrClosed
	}
	l.pairs[p] = true
	l.pumps.Add(2)
	start := time.Now().Add(l.link.rtt) // the handshake
	go l.pump(p, outer, inner, start, nil)
	go l.pump(p, inner, outer, start, &window{size: firstBurst})
	return &shapedConn{server, outer}, nil
}

// pump moves bytes from src to dst, late. When one direction ends, both do.
func (l *shapedListener) pump(p *pair, src, dst net.Conn, start time.Time, w *window) {
	defer l.pumps.Done()
	queue := make(chan parcel, buffered)
	done := make(chan struct{})
	go func() {
		defer close(done)
		deliver(dst, queue)
	}()
	for {
		b := make([]byte, segment)
		n, err := src.Read(b)
		if n > 0 {
			queue <- parcel{b[:n], l.link.arrival(n, start, w)}
		}
		if err != nil {
			break
		}
	}
	close(queue)
	<-done
	p.close()
	l.mu.Lock()
	delete(l.pairs, p)
	l.mu.Unlock()
}

// A parcel is bytes under way.
type parcel struct {
	bytes []byte
	due   time.Time
}

func deliver(dst net.Conn, queue <-chan parcel) {
	var failed bool
	for p := range queue {
		if failed {
			continue
		}
		time.Sleep(time.Until(p.due))
		if _, err := dst.Write(p.bytes); err != nil {
			failed = true
			dst.Close()
		}
	}
}

// A window is how much a connection may have under way: TCP's slow start.
type window struct {
	size, used int
	epoch      time.Time
}

// arrival reserves the link for n bytes and returns when they will be there.
// It waits while the link is reserved too far ahead. With a window, the bytes
// are on their way to the client; without, they come from it and take none of
// the bandwidth.
func (l *Link) arrival(n int, start time.Time, w *window) time.Time {
	leave := time.Now()
	if leave.Before(start) {
		leave = start
	}
	if w != nil {
		leave = w.admit(n, leave, l.rtt)
		leave = l.reserve(n, leave)
		time.Sleep(time.Until(leave) - ahead)
	}
	return leave.Add(l.rtt / 2)
}

func (l *Link) reserve(n int, leave time.Time) time.Time {
	if l.bandwidth == 0 {
		return leave
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free.Before(leave) {
		l.free = leave
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.bandwidth * float64(time.Second)))
	return l.free
}

// admit returns when n bytes may leave.
func (w *window) admit(n int, leave time.Time, rtt time.Duration) time.Time {
	const most = 8 << 20
	if leave.Sub(w.epoch) >= rtt {
		w.epoch, w.used = leave, 0
	}
	if w.used >= w.size {
		w.epoch, w.used = w.epoch.Add(rtt), 0
		w.size = min(2*w.size, most)
		leave = w.epoch
	}
	w.used += n
	return leave
}

// Close closes the listener and all its connections.
func (l *shapedListener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	l.closed = true
	for p := range l.pairs {
		p.close()
	}
	l.mu.Unlock()
	l.pumps.Wait()
	return err
}

// shapedConn is the server's end, with the addresses of the real connection.
type shapedConn struct {
	net.Conn
	outer net.Conn
}

func (c *shapedConn) RemoteAddr() net.Addr { return c.outer.RemoteAddr() }
func (c *shapedConn) LocalAddr() net.Addr  { return c.outer.LocalAddr() }
