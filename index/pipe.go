package index

import (
	"context"
	"io"
)

// pipeBuffers chunks may be decoded ahead of being taken in.
const pipeBuffers = 8

// A piece is one decoded chunk, and the points that became known meanwhile.
type piece struct {
	chunk []byte
	marks []mark
}

// pipe is what a decoder makes, decoded ahead by a goroutine of its own.
type pipe struct {
	ctx  context.Context
	full chan piece
	free chan []byte
	done chan struct{}
	err  error // why full was closed, once it is
}

func newPipe(ctx context.Context, dec decoder) *pipe {
	p := &pipe{
		ctx:  ctx,
		full: make(chan piece, pipeBuffers),
		done: make(chan struct{}),
		free: make(chan []byte, pipeBuffers),
	}
	for range pipeBuffers {
		p.free <- make([]byte, ChunkSize)
	}
	go p.run(dec)
	return p
}

func (p *pipe) run(dec decoder) {
	defer close(p.done)
	defer close(p.full)
	for {
		select {
		case b := <-p.free:
			n, err := readFull(dec, b)
			p.full <- piece{b[:n], dec.found()} // never blocks: there are as many places as buffers
			if err != nil {
				p.err = err
				return
			}
		case <-p.ctx.Done():
			p.err = context.Cause(p.ctx)
			return
		}
	}
}

// readFull is io.ReadFull, but for the errors, which it passes on as they are.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// wait waits for the goroutine; the context must have been cancelled, or the
// pipe been read to its end.
func (p *pipe) wait() { <-p.done }

// next is the next piece, whose chunk goes back to free after use; after the
// last, io.EOF.
func (p *pipe) next() (piece, error) {
	c, ok := <-p.full
	if !ok {
		return piece{}, p.err
	}
	return c, nil
}
