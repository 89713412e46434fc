package fetch

import (
	"bytes"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A payload is content on its way. For each try it is opened anew.
type payload struct {
	Content
	progress func(int64) // may be nil

	mu    *sync.Mutex // guards the fields below and calls of progress
	watch *watch      // of the request under way; nil: there is none
	open  []*pouring  // not closed by us yet; only the bytes of the last count
	told  int64       // what progress was told, in sum
	err   error       // why the content could not be read, or is wrong
}

func bytesPayload(d digest.Digest, body []byte) *payload {
	return &payload{
		Content: Content{Descriptor: ocispec.Descriptor{Digest: d, Size: int64(len(body)), Data: body}},
		mu:      new(sync.Mutex),
	}
}

// pour opens the content once more.
func (p *payload) pour() (io.ReadCloser, error) {
	r := io.NopCloser(bytes.NewReader(p.Data))
	if p.Open != nil {
		var err error
		if r, err = p.Open(); err != nil {
			return nil, p.fail(fmt.Errorf("open the content: %w", err))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &pouring{p: p, r: r, watch: p.watch, hash: p.Digest.Algorithm().Hash()}
	p.open = append(p.open, b)
	p.tell(-p.told)
	return b, nil
}

// done closes what has been opened, and waits for reads under way.
func (p *payload) done() {
	p.mu.Lock()
	open := p.open
	p.open = nil
	p.mu.Unlock()
	for _, b := range open {
		b.Close()
	}
}

// arrived tells that all of the content is where it should be.
func (p *payload) arrived() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell(p.Size - p.told)
}

// tell must be called with mu held.
func (p *payload) tell(n int64) {
	p.told += n
	if p.progress != nil && n != 0 {
		p.progress(n)
	}
}

// fail notes that no further try makes sense.
func (p *payload) fail(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	return err
}

func (p *payload) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// attach makes p the content of a request, of which nil is none.
func (p *payload) attach(req *http.Request) error {
	if p == nil {
		return nil
	}
	b, err := p.pour()
	if err != nil {
		return err
	}
	if p.Size == 0 { // nothing would be read
		_, err = io.Copy(io.Discard, b)
		return err
	}
	req.ContentLength, req.Body, req.GetBody = p.Size, b, p.pour
	return nil
}

// A pouring is content being read for one try. It verifies what it yields,
// and withholds the last bytes until all is right: so a wrong blob never
// arrives as a whole.
type pouring struct {
	p     *payload
	watch *watch // may be nil

	mu   sync.Mutex // guards the fields below
	r    io.ReadCloser
	hash hash.Hash
	n    int64
	err  error
}

func (b *pouring) Read(buf []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	if b.watch != nil {
		b.watch.timer.Stop() // it is not the network that we wait for now
	}
	n, err := b.r.Read(buf)
	b.hash.Write(buf[:n])
	b.n += int64(n)
	if err == io.EOF || b.n >= b.p.Size {
		err = b.finish(err)
	}
	if b.err = err; err != nil && err != io.EOF {
		return 0, b.p.fail(err)
	}
	b.poured(int64(n))
	return n, err
}

// finish checks the content as a whole once there are enough bytes, or no
// more. err is what the last Read returned.
func (b *pouring) finish(err error) error {
	if err == nil {
		n, end := io.ReadFull(b.r, make([]byte, 1))
		b.n += int64(n)
		err = end
	}
	if err != nil && err != io.EOF {
		return err
	}
	d := &DigestError{Want: b.p.Digest, WantSize: b.p.Size, GotSize: b.n}
	if b.n != b.p.Size {
		return d
	}
	d.Got = digest.NewDigest(b.p.Digest.Algorithm(), b.hash)
	if d.Got != d.Want {
		return d
	}
	return io.EOF
}

// commitRate is how slow a registry may be, in bytes per second, at storing
// what it has got completely before it answers.
const commitRate = 4 << 20

// poured gives the network time to send n bytes and, after the last ones, the
// registry time to store all of them.
func (b *pouring) poured(n int64) {
	if b.watch != nil {
		after := b.watch.after
		if b.n == b.p.Size {
			after += time.Duration(b.n/commitRate) * time.Second
		}
		b.watch.timer.Reset(after)
	}
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	if open := b.p.open; len(open) > 0 && open[len(open)-1] == b {
		b.p.tell(n)
	}
}

// Close may be called at any time, and more than once.
func (b *pouring) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = io.ErrClosedPipe
	}
	if b.r == nil {
		return nil
	}
	err := b.r.Close()
	b.r = nil
	return err
}
