package inflate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// ErrState says that bytes are not a checkpoint's state.
var ErrState = errors.New("deflate checkpoint: not a valid state")

// A state is what a Decoder is in the middle of. It is written as
//
//	a byte     bits 0-2: the bit of the input's first byte to begin with
//	           bits 3-4: the kind; bit 5: it is, or was, the last block
//	a uvarint  how many bytes of output to skip, less than a match
//	a uvarint  if in a stored block: how many bytes of it are left
//	           if in a dynamic one: the length of its header
//	bytes      that header from HLIT on (RFC 1951, 3.2.7)
//	bytes      the packed window, as a DEFLATE stream, if it isn't empty
//
// and the state at the start of a stream as no bytes at all.
type state struct {
	block      kind
	final      bool
	bit, skip  int
	left       int
	header     []byte
	runs, kept []byte
}

const (
	kindShift = 3
	finalBit  = 1 << 5
)

// state returns d's state, as if it were at the given bit of its input.
func (d *Decoder) state(bit int) state {
	s := state{block: d.block, final: d.final, bit: bit & 7, left: d.left}
	if d.block == dynamic {
		s.header = bytes.Clone(d.head)
	}
	return s
}

// keepHeader keeps the header of a dynamic block that was at bit from.
func (d *Decoder) keepHeader(from int) {
	d.head = d.head[:0]
	if d.points == nil {
		return
	}
	for ; from < d.bit; from += 8 {
		d.head = append(d.head, byte(load(d.in[:], uint(from)>>3)>>(from&7)))
	}
}

// Append appends the state that Resume takes to b: no bytes if c is at the
// start of a stream, else some 2 KiB. It takes some 100 µs, and may run beside
// the decoder that made c.
func (c *Checkpoint) Append(b []byte) []byte {
	s := &c.state
	if s.block == start {
		return b
	}
	first := byte(s.bit) | byte(s.block)<<kindShift
	if s.final {
		first |= finalBit
	}
	b = append(b, first)
	b = binary.AppendUvarint(b, uint64(s.skip))
	switch s.block {
	case stored:
		b = binary.AppendUvarint(b, uint64(s.left))
	case dynamic:
		b = binary.AppendUvarint(b, uint64(len(s.header)))
		b = append(b, s.header...)
	}
	if len(s.runs) == 0 {
		return b
	}
	return c.packers.pack(b, s.runs, s.kept)
}

// packers compress what checkpoints keep: a compressor has half a megabyte to
// be made and remembered.
type packers struct{ pool sync.Pool }

// packLevel is the lowest of klauspost's levels that searches as the standard
// library does: what comes out is 8 % smaller than at those below it, and
// hardly larger than at those above.
const packLevel = 7

// pack appends a packed window to b.
func (p *packers) pack(b, runs, kept []byte) []byte {
	buf := bytes.NewBuffer(b)
	w, ok := p.pool.Get().(*flate.Writer)
	if !ok {
		w, _ = flate.NewWriter(nil, packLevel) // fails for levels only that there aren't
	}
	w.Reset(buf)
	w.Write(runs) // to memory: no errors
	w.Flush()     // two blocks, as numbers and content are of different kinds
	w.Write(kept)
	w.Close()
	p.pool.Put(w)
	return buf.Bytes()
}

// Resume makes d as good as new, to decode from a checkpoint on: state is what
// its Append made, and r is the input from the byte on that the checkpoint
// begins in. The output begins with the checkpoint's Out. If state isn't one
// the error is ErrState; but a state can be wrong and look right, so verify
// what is decoded.
func (d *Decoder) Resume(r io.Reader, state []byte) error {
	if len(state) == 0 {
		d.Reset(r)
		return nil
	}
	s, packed, ok := parseState(state)
	if !ok {
		return ErrState
	}
	n, ok := d.inflate(packed)
	if !ok || !unpack(d.out[outSize-History:outSize], d.out[:n]) {
		return ErrState
	}
	if !d.useCodes(s) {
		return ErrState
	}
	d.resume(r, s)
	return nil
}

// ResumeBlock is as Resume, for a place between two blocks: at the given bit,
// 0 to 7, of r's first byte, behind an output whose last History bytes are
// window.
func (d *Decoder) ResumeBlock(r io.Reader, bit int, window []byte) {
	window = window[max(0, len(window)-History):]
	to := d.out[outSize-History : outSize]
	clear(to[:History-len(window)])
	copy(to[History-len(window):], window)
	d.resume(r, state{block: between, bit: bit & 7})
}

// resume begins with the state s; the window is in the last bytes of out, and
// the codes are made.
func (d *Decoder) resume(r io.Reader, s state) {
	d.Reset(r)
	d.head = append(d.head[:0], s.header...)
	d.block, d.final, d.left = s.block, s.final, s.left
	d.bit = s.bit
	d.op, d.rd = outSize, outSize+s.skip
	d.outBase = -int64(d.rd)
	d.origin = d.outBase + outSize - History
}

func parseState(b []byte) (s state, packed []byte, ok bool) {
	s.bit = int(b[0] & 7)
	s.block = kind(b[0] >> kindShift & 3)
	s.final = b[0]&finalBit != 0
	if b[0] >= finalBit<<1 {
		return s, nil, false
	}
	if s.skip, b, ok = number(b[1:], maxMatch-1); !ok {
		return s, nil, false
	}
	switch s.block {
	case stored:
		s.left, b, ok = number(b, 1<<16-1)
		ok = ok && s.bit == 0
	case dynamic:
		var n int
		if n, b, ok = number(b, maxHeader); ok && n <= len(b) {
			s.header, b = b[:n], b[n:]
		} else {
			ok = false
		}
	}
	return s, b, ok
}

// inflate decodes a packed window into the front of out.
func (d *Decoder) inflate(packed []byte) (n int, ok bool) {
	if len(packed) == 0 {
		return 0, true
	}
	r := bytes.NewReader(packed)
	d.Reset(r)
	err := d.run(maxPacked + 1)
	return d.op, err == io.EOF && d.op <= maxPacked && d.bit == 8*d.end && r.Len() == 0
}

// useCodes makes the tables for the block that s is in.
func (d *Decoder) useCodes(s state) bool {
	switch s.block {
	case fixed:
		d.useFixed()
	case dynamic:
		d.Reset(bytes.NewReader(s.header))
		d.fill(minInput)
		return d.readDynamic() == nil && !d.short()
	}
	return true
}
