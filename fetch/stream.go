package fetch

import (
	"context"
	"io"
	"sync"
)

const (
	pieceSize   = 4 << 20  // what one request of a long stream asks for
	streamWidth = 4        // requests side by side
	blockSize   = 64 << 10 // unit of the memory in which pieces wait to be read
)

// ahead is how many blocks of a piece of so many bytes wait here to be read: a
// quarter of it. What else has come waits with the kernel, or, by HTTP/2, in the
// transport: maxUnread of it.
func ahead(piece int64) int64 { return piece / 4 / blockSize }

// stream returns the n bytes from off on, once by one request at a time. At most a quarter of
// streamWidth*pieceSize bytes waits here: 4 MiB, and a block for each piece.
func (b *remote) stream(off, n int64, once bool) io.ReadCloser {
	ctx, cancel := context.WithCancel(b.ctx)
	if once || n <= b.r.piece {
		return &single{r: resuming{ctx: ctx, b: b, off: off, end: off + n}, cancel: cancel}
	}
	s := &stream{b: b, ctx: ctx, cancel: cancel, next: off, end: off + n, free: make(chan []byte, streamWidth*(ahead(b.r.piece)+1))}
	s.launch()
	return s
}

// A single is a stream of one request.
type single struct {
	mu     sync.Mutex // Close waits for the Read that it cancels
	r      resuming
	cancel context.CancelFunc
}

func (s *single) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Read(p)
}

func (s *single) Close() error {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Close()
}

// A stream is fetched in pieces, several at a time, and read in order.
//
// The first piece goes alone until its answer has shown that the server gives
// ranges. If instead it gives the whole blob, that one answer is read to the
// end of the stream, and the memory's bound holds the server back.
type stream struct {
	b      *remote
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	free   chan []byte // blocks to be used again

	// The reader's:
	pieces  []*piece // launched and not read to the end, in order
	current []byte   // rest of a block of the first piece
	block   []byte   // that block, to be given back

	mu   sync.Mutex // guards the fields below
	next int64      // where the next piece to be launched begins
	end  int64
}

// A piece is read by a goroutine of its own into blocks. err is valid once
// blocks is closed; nil means that all is there.
type piece struct {
	off, end int64
	blocks   chan []byte
	err      error
}

// launch starts as many pieces as may run now.
func (s *stream) launch() {
	for len(s.pieces) < streamWidth {
		if len(s.pieces) > 0 && (!s.b.r.habits.ranges.Load() || s.b.r.habits.ignoresRanges()) {
			return
		}
		p := s.piece()
		if p == nil {
			return
		}
		s.pieces = append(s.pieces, p)
		go s.fetch(p)
	}
}

// piece cuts off the next piece, for which there must be a goroutine then. It
// returns nil at the end.
func (s *stream) piece() *piece {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == s.end {
		return nil
	}
	p := &piece{off: s.next, end: s.b.pieceEnd(s.next, s.end), blocks: make(chan []byte, ahead(s.b.r.piece))}
	s.next = p.end
	s.wg.Add(1)
	return p
}

// pieceEnd is where a piece ends that begins at off, of a stream that goes on
// to end: where the next one can begin without asking for anything twice.
func (b *remote) pieceEnd(off, end int64) int64 {
	cut := off + b.r.piece
	if cut >= end {
		return end
	}
	if whole, _ := b.aligned(cut, cut); whole > off {
		return whole
	}
	return cut
}

func (s *stream) fetch(p *piece) {
	defer s.wg.Done()
	defer close(p.blocks)
	r := &resuming{ctx: s.ctx, b: s.b, off: p.off, end: p.end}
	defer r.Close()
	if p.err = r.open(); p.err != nil {
		return
	}
	if r.body.whole {
		r.end = s.extend(p)
	}
	for {
		block := s.newBlock()
		n, err := io.ReadFull(r, block)
		if n > 0 {
			select {
			case p.blocks <- block[:n]:
			case <-s.ctx.Done():
				p.err = context.Cause(s.ctx)
				return
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF && r.off == r.end {
			return
		}
		if err != nil {
			p.err = err
			return
		}
	}
}

// extend makes p reach to the end of the stream, if nobody fetches what
// follows it, and returns p's end.
func (s *stream) extend(p *piece) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == p.end {
		s.next, p.end = s.end, s.end
	}
	return p.end
}

func (s *stream) Read(b []byte) (int, error) {
	for len(s.current) == 0 {
		if len(s.pieces) == 0 {
			return 0, io.EOF
		}
		s.recycle()
		p := s.pieces[0]
		block, ok := <-p.blocks
		if !ok && p.err != nil {
			return 0, p.err
		}
		if !ok {
			s.pieces = s.pieces[1:]
		} else {
			s.block, s.current = block, block
		}
		s.launch()
	}
	n := copy(b, s.current)
	s.current = s.current[n:]
	return n, nil
}

// newBlock is memory that was used before, if there is such: the garbage
// collector would let as much again pile up before it took it back.
func (s *stream) newBlock() []byte {
	select {
	case b := <-s.free:
		return b
	default:
		return make([]byte, blockSize)
	}
}

func (s *stream) recycle() {
	if s.block == nil {
		return
	}
	select {
	case s.free <- s.block[:blockSize]:
	default: // there are enough
	}
	s.block = nil
}

// Close stops all requests and waits for their goroutines.
func (s *stream) Close() error {
	s.mu.Lock()
	s.next = s.end // nothing more to launch
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	return nil
}
