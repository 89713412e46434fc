package inflate

import "io"

// MinEvery is the least distance of checkpoints: more than twice History, so
// that there is one at a time to collect references for.
const MinEvery = 64 << 10

// A Checkpoint is a place to begin decoding at: close before the byte Out of
// the output, at a symbol. What decoding needs to know there is in the state
// that Append encodes.
type Checkpoint struct {
	Out int64 // in the output, in bytes: where the decoder made by Resume begins
	Bit int64 // in the input, in bits: the input of Resume begins with byte Bit/8

	// End is the place in the input, in bits, up to which it takes to decode
	// all output before Out: Bit, or a little more where a match reaches
	// across Out.
	End int64

	state   state
	packers *packers
}

// points makes the checkpoints of a decoder.
type points struct {
	every int64
	each  func(*Checkpoint)
	next  int64 // where the next one is due

	// The latest. While it is open, matches that reach behind it are noted.
	Checkpoint
	open   bool
	at     int64 // where in the output it is: at Out, or before it by less than a match
	window [History]byte
	marks  marks
}

// Every makes d call each with a Checkpoint for every multiple of n in the
// output that is followed by output (so also for 0), in order. As it is known
// only then what a checkpoint has to remember, the call comes when d has
// decoded History bytes more, or the stream's end: within Next or Read. The
// checkpoint is each's to keep. n is at least MinEvery. Every is to be called
// before anything has been decoded.
func (d *Decoder) Every(n int64, each func(*Checkpoint)) {
	d.points = &points{every: max(n, MinEvery), each: each, Checkpoint: Checkpoint{Out: -1, packers: new(packers)}}
}

// before is called before something is decoded, and says where to stop.
func (p *points) before(d *Decoder, limit int) int {
	here := d.outBase + int64(d.op)
	if d.block == start && p.open && p.Out == here {
		// The last stream ended here, and this is the better place.
		end := p.End
		p.take(d)
		p.End = end
	}
	if p.open {
		d.low = max(d.low, int(p.at-d.outBase))
	}
	return int(min(int64(limit), p.next-d.outBase))
}

// after is called when something has been decoded, at most up to next and what
// is left of a match there.
func (p *points) after(d *Decoder) {
	here := d.outBase + int64(d.op)
	if p.open && (here >= p.at+History || d.err == io.EOF && here > p.Out) {
		p.open = false
		c := p.Checkpoint
		c.state.runs, c.state.kept = pack(&p.window, &p.marks)
		p.each(&c)
	}
	if here >= p.next {
		p.Out = p.next
		p.next += p.every
		p.take(d)
	}
}

// take makes the checkpoint: here if it is due here, or else before the last
// symbol, a match.
func (p *points) take(d *Decoder) {
	bit, op := d.bit, d.op
	p.End = 8*d.inBase + int64(bit)
	if d.outBase+int64(op) > p.Out {
		bit, op = d.last.bit, d.last.op
	}
	p.Bit = 8*d.inBase + int64(bit)
	p.at = d.outBase + int64(op)
	p.open = true
	p.state = d.state(bit)
	p.state.skip = int(p.Out - p.at)
	p.marks = marks{}
	n := min(op, History)
	copy(p.window[History-n:], d.out[op-n:op])
	if op < d.op {
		p.mark(d.outBase+int64(d.last.src), d.last.n)
	}
}

// mark notes that n bytes from off on are referred to.
func (p *points) mark(off int64, n int) {
	i := int(off - (p.at - History))
	if i < History {
		p.marks.set(i, min(i+n, History))
	}
}

// cut is the place up to which output may be handed out at a time.
func (p *points) cut(d *Decoder) int {
	if out := p.Out - d.outBase; out > int64(d.rd) && out < int64(d.op) {
		return int(out)
	}
	return d.op
}

// refer is called for a match whose source is before low. It says whether the
// source is there.
func (d *Decoder) refer(src, n int) bool {
	off := d.outBase + int64(src)
	if src < 0 || off < d.origin {
		return false
	}
	if d.points != nil && d.points.open {
		d.points.mark(off, n)
	}
	return true
}
