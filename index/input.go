package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

// The buffers between the stages of a pass: enough of them that neither side
// waits for the other's every hiccup, few enough to stay in a core's cache.
const (
	inputBuffer  = 1 << 18
	inputBuffers = 8
)

// input is the blob, read and hashed ahead by a goroutine of its own.
type input struct {
	r    io.ReadCloser
	o    Options
	hash digest.Digester
	n    atomic.Int64 // bytes read

	full, free chan []byte
	done       chan struct{}
	err        error              // why full was closed, once it is
	cancel     context.CancelFunc // closes r, too
	closeOnce  sync.Once

	whole, buf []byte // the buffer being read from, and what is left of it
}

func newInput(ctx context.Context, r io.ReadCloser, o Options) *input {
	algorithm := digest.SHA256
	if o.Digest != "" {
		algorithm = o.Digest.Algorithm()
	}
	in := &input{
		r: r, o: o,
		hash: algorithm.Digester(),
		full: make(chan []byte, inputBuffers),
		free: make(chan []byte, inputBuffers),
		done: make(chan struct{}),
	}
	for range inputBuffers {
		in.free <- make([]byte, inputBuffer)
	}
	ctx, in.cancel = context.WithCancel(ctx)
	context.AfterFunc(ctx, in.closeBlob) // a Read may be waiting
	go in.run(ctx)
	return in
}

func (in *input) run(ctx context.Context) {
	defer close(in.done)
	defer close(in.full)
	for {
		var b []byte
		select {
		case b = <-in.free:
		case <-ctx.Done():
			in.err = context.Cause(ctx)
			return
		}
		n, err := io.ReadFull(in.r, b[:inputBuffer])
		if n > 0 {
			in.hash.Hash().Write(b[:n])
			in.n.Add(int64(n))
			in.full <- b[:n] // never blocks: there are as many places as buffers
			if in.o.Progress != nil {
				in.o.Progress(in.n.Load())
			}
		}
		if err == nil && in.o.Size > 0 && in.n.Load() > in.o.Size {
			err = in.sizeError()
		}
		if err == nil {
			continue
		}
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case err == io.ErrUnexpectedEOF: // ReadFull's word for a short last buffer
			err = io.EOF
		}
		in.err = err
		return
	}
}

func (in *input) sizeError() error {
	return &DigestError{What: "layer size", Want: fmt.Sprint(in.o.Size), Got: fmt.Sprint(in.n.Load())}
}

// fill makes sure that buf isn't empty.
func (in *input) fill() error {
	if len(in.buf) > 0 {
		return nil
	}
	if in.whole != nil {
		in.free <- in.whole
		in.whole = nil
	}
	b, ok := <-in.full
	if !ok {
		return in.err
	}
	in.whole, in.buf = b[:cap(b)], b
	return nil
}

func (in *input) Read(p []byte) (int, error) {
	if err := in.fill(); err != nil {
		return 0, err
	}
	n := copy(p, in.buf)
	in.buf = in.buf[n:]
	return n, nil
}

// peek is the first n bytes, or all there are if they are fewer. It can be
// called before the first Read only.
func (in *input) peek(n int) ([]byte, error) {
	if err := in.fill(); err != nil {
		return nil, err
	}
	return in.buf[:min(n, len(in.buf))], nil
}

// finish reads what is left of the blob, and tells toc its digest and size.
func (in *input) finish(toc *TOC) error {
	for {
		in.buf = nil
		if err := in.fill(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	toc.blob, toc.blobSize = in.hash.Digest(), in.n.Load()
	if in.o.Size > 0 && toc.blobSize != in.o.Size {
		return in.sizeError()
	}
	return check("layer", in.o.Digest, toc.blob)
}

// blame is the error to return for a pass that failed with err: where a layer
// couldn't be read because it isn't the one promised, that.
func (in *input) blame(err error) error {
	if malformed(err) && in.o.Digest != "" {
		var broken *DigestError
		if e := in.finish(new(TOC)); errors.As(e, &broken) {
			return e
		}
	}
	return err
}

// close ends the goroutine, closes the blob, and waits for both. It can be
// called again.
func (in *input) close() {
	in.cancel()
	in.closeBlob()
	<-in.done
}

func (in *input) closeBlob() { in.closeOnce.Do(func() { in.r.Close() }) }
