package registrytest_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "ocifs.dev/ocifs/tests/registrytest"
)

// A pipeListener accepts connections that exist in memory only, so that the
// tests below can run by a clock of their own.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial() net.Conn {
	a, b := net.Pipe()
	l.conns <- b
	return a
}

// serve answers each byte by n bytes, on all connections.
func serve(l net.Listener, n int) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for {
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					return
				}
				if _, err := c.Write(make([]byte, n)); err != nil {
					return
				}
			}
		}()
	}
}

// took is how long it takes until n bytes have come in answer to one.
func took(c net.Conn, n int) time.Duration {
	start := time.Now()
	go c.Write([]byte("x"))
	io.CopyN(io.Discard, c, int64(n))
	return time.Since(start)
}

// TestLink measures a link: a round trip for the handshake and one for each
// answer, and the time that its bytes take.
func TestLink(t *testing.T) {
	const rtt, second = 20 * time.Millisecond, time.Second
	for _, c := range []struct {
		name     string
		bits     float64
		n        int
		min, max time.Duration // of a second answer on the same connection
	}{
		{"latency", 0, 100, rtt, rtt},
		{"bandwidth", 8e6, 1_000_000, rtt + second, rtt + second + 5*time.Millisecond},
		{"both", 200e6, 25_000_000, rtt + second, rtt + second + 5*time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			pipes := newPipes()
			l := NewLink(rtt, c.bits).Listener(pipes)
			go serve(l, c.n)
			conn := pipes.dial()
			first, next := took(conn, c.n), took(conn, c.n)
			if next < c.min || next > c.max {
				t.Errorf("%s: %v, want %v to %v", c.name, next, c.min, c.max)
			}
			// The handshake, and the slow start: 14,600 bytes that double
			// ten times at most are 14 MB.
			if first < next+rtt || first > next+11*rtt {
				t.Errorf("%s: %v on a new connection, then %v", c.name, first, next)
			}
			conn.Close()
			l.Close()
		})
	}
}

// TestLinkShared lets connections share the bandwidth fairly.
func TestLinkShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1_000_000
		pipes := newPipes()
		l := NewLink(0, 8e6).Listener(pipes)
		go serve(l, n)
		var wg sync.WaitGroup
		for range 4 {
			conn := pipes.dial()
			wg.Go(func() {
				defer conn.Close()
				if d := took(conn, n); d < 3800*time.Millisecond || d > 4100*time.Millisecond {
					t.Errorf("%v for a quarter of a link that takes a second for the whole", d)
				}
			})
		}
		wg.Wait()
		l.Close()
	})
}

// TestLinkBytes delivers all bytes in order, both ways.
func TestLinkBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := newPipes()
		l := NewLink(time.Millisecond, 1e9).Listener(pipes)
		want := bytes.Repeat([]byte("0123456789abcdef!"), 100_000)
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			got := make([]byte, len(want))
			io.ReadFull(c, got)
			c.Write(got)
			c.Close()
		}()
		c := pipes.dial()
		go c.Write(want)
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
		}
		l.Close()
	})
}

// TestLinkClosed ends everything when the listener is closed.
func TestLinkClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := newPipes()
		l := NewLink(time.Millisecond, 8e3).Listener(pipes)
		go serve(l, 1_000_000)
		c := pipes.dial()
		go c.Write([]byte("x"))
		if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
			t.Error(err)
		}
		l.Close()
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Error(err)
		}
	})
}
