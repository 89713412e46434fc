package image

import "io"

// begun is a reader whose first bytes are asked for while its user still does
// something else: what a registry needs for an answer passes meanwhile.
type begun struct {
	io.ReadCloser
	buf  [4 << 10]byte
	done chan struct{} // closed when the fields below are set
	rest []byte        // of buf
	err  error
}

// begin begins to read r. Close ends that, too; r must bear to be closed while
// it is read.
func begin(r io.ReadCloser) *begun {
	b := &begun{ReadCloser: r, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		n, err := r.Read(b.buf[:])
		b.rest, b.err = b.buf[:n], err
	}()
	return b
}

func (b *begun) Read(p []byte) (int, error) {
	<-b.done
	if n := copy(p, b.rest); n > 0 || len(p) == 0 {
		b.rest = b.rest[n:]
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.ReadCloser.Read(p)
}

func (b *begun) Close() error {
	err := b.ReadCloser.Close()
	<-b.done
	return err
}
