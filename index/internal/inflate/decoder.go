package inflate

import (
	"fmt"
	"io"
	"math"
)

const (
	// History is how far back a match can reach, in bytes.
	History = 32 << 10

	// The output buffer: History and what is decoded at a time. When it is
	// full, the last History bytes move to its front.
	outSize = 128 << 10

	maxMatch = 258

	// What the loop writes behind the place it was told to stop at: the rest
	// of a match, and up to a word that nobody asked for.
	outPad = maxMatch + 62
)

// A CorruptError says that the input is not DEFLATE.
type CorruptError struct {
	Offset int64 // in the input, in bytes: about where it was noticed
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("deflate stream: corrupt at byte %d", e.Offset)
}

// A Decoder decodes raw DEFLATE streams, one or several from one input. It
// takes some 230 KiB of memory; Reset and Resume use it again. Its methods
// must not be called at the same time.
type Decoder struct {
	r    io.Reader
	rerr error // why there will be no more input than there is: io.EOF or r's error
	err  error // why there will be no more output than there is

	// The input: in[bit/8:end] is not decoded yet.
	inBase   int64 // where in the input in[0] is
	bit, end int   // in bits, in bytes

	// The output: out[rd:op] is decoded and not yet handed out. Resumed
	// before what is wanted, rd is ahead of op.
	outBase int64 // where in the output out[0] is
	rd, op  int
	origin  int64 // where in the output this stream began: nothing before it is history

	block kind
	final bool // the block is the stream's last
	left  int  // bytes that a stored block still has

	tables kind // what lit and dist are for
	low    int  // a match from before out[low] is not a plain one
	last   step

	points *points              // nil: no checkpoints
	head   []byte               // the header of a dynamic block, for checkpoints
	blocks func(bit, out int64) // nil: nobody wants to know

	in   [inSize + inPad]byte
	out  [outSize + outPad]byte
	lit  [litSize]uint32
	dist [distSize]uint32
}

// NewDecoder returns a Decoder of r, which begins with a stream or with
// something to be read by [Decoder.Input] first. It reads ahead.
func NewDecoder(r io.Reader) *Decoder {
	d := new(Decoder)
	d.Reset(r)
	return d
}

// Reset makes d as good as new, to decode r. There are no checkpoints until
// Every is called again, and no calls until Blocks is.
func (d *Decoder) Reset(r io.Reader) {
	d.r, d.rerr = r, nil
	d.inBase, d.bit, d.end = 0, 0, 0
	d.outBase, d.rd, d.op, d.low = 0, 0, 0, 0
	d.points, d.blocks = nil, nil
	d.Restart()
}

// Restart begins another stream at the input's next byte. It is to be called
// when the one before has ended with io.EOF (and its trailer has been read).
// Input and output are counted on; matches don't reach across.
func (d *Decoder) Restart() {
	d.err = nil
	d.block, d.final = start, false
	d.origin = d.outBase + int64(d.op)
}

// Next decodes and returns what comes next: at least one byte, valid until the
// next call. With checkpoints, what it returns doesn't reach across one's Out.
// Errors come after all bytes that could be decoded: io.EOF at the end of the
// stream, io.ErrUnexpectedEOF where the input ends before it, *[CorruptError],
// or the error of the underlying reader. They are final, until Restart.
func (d *Decoder) Next() ([]byte, error) { return d.next(math.MaxInt) }

// Read implements [io.Reader], with the errors of Next. It doesn't look at
// more of the input than p's bytes need, except to read ahead.
func (d *Decoder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := d.next(len(p))
	return copy(p, b), err
}

// Pos tells how many bits of input have been decoded, and how many bytes have
// been handed out, which may be less than a match behind. Both are counted from
// Reset on, or from Resume on: from the first byte of its input, and from the
// checkpoint's Out.
func (d *Decoder) Pos() (bits, out int64) {
	return 8*d.inBase + int64(d.bit), d.outBase + int64(d.rd)
}

func (d *Decoder) next(most int) ([]byte, error) {
	for d.rd >= d.op {
		if d.err != nil {
			return nil, d.err
		}
		d.decode(most)
	}
	end := d.op
	if d.points != nil {
		end = d.points.cut(d)
	}
	p := d.out[d.rd:min(end, d.rd+min(most, outSize))]
	d.rd += len(p)
	return p, nil
}

// decode makes about as many bytes as are wanted, or as there is room for.
func (d *Decoder) decode(want int) {
	if d.op >= outSize {
		n := d.op - History
		copy(d.out[:History], d.out[n:d.op])
		d.outBase += int64(n)
		d.op -= n
		d.rd -= n
	}
	d.low = int(max(0, d.origin-d.outBase))
	limit := d.rd + min(want, outSize-d.rd)
	if d.points == nil {
		d.err = d.run(limit)
		return
	}
	limit = d.points.before(d, limit)
	d.err = d.run(limit)
	d.points.after(d)
}

// run decodes until op is at limit, or beyond it by what is left of a match.
func (d *Decoder) run(limit int) error {
	for d.op < limit {
		d.fill(minInput)
		var err error
		switch d.block {
		case start, between:
			if d.final {
				d.bit = (d.bit + 7) &^ 7
				return io.EOF
			}
			d.tell()
			err = d.readHeader()
		case stored:
			err = d.copyStored(limit)
		default:
			err = d.symbols(limit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
