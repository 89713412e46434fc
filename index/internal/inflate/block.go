package inflate

// A step is where a symbol began, and what it was a match of.
type step struct {
	bit, op int
	src, n  int
}

// symbols decodes the data of a block until op is at limit or beyond, the
// block ends, or more input is wanted.
func (d *Decoder) symbols(limit int) error {
	if err := d.loop(limit); err != nil {
		return err
	}
	for d.op < limit && d.block >= fixed {
		if d.rerr == nil && d.end-d.bit>>3 < 8 {
			return nil
		}
		if err := d.symbol(); err != nil {
			return err
		}
	}
	return nil
}

// symbol decodes a literal, a match, or the end of the block: one at a time
// and with all checks, for where loop stops: close to the end of the input,
// and close to limit.
func (d *Decoder) symbol() error {
	d.last = step{bit: d.bit, op: d.op}
	b := d.peek()
	e := d.lit[b&litMask]
	if e&subtable != 0 {
		d.bit += litBits
		b >>= litBits
		e = d.lit[(uint64(e>>baseShift)+lowest(b, e>>codeShift&15))%litSize]
	}
	if e&(literal|other) == 0 {
		return d.match(b, e)
	}
	d.bit += int(e & 63)
	if d.short() {
		return d.exhausted()
	}
	switch {
	case e&literal != 0:
		d.out[d.op] = byte(e >> baseShift)
		d.op++
	case e&endBlock != 0:
		d.block = between
	default:
		return d.corrupt()
	}
	return nil
}

// match decodes the rest of a match, given its length's entry, and copies it.
func (d *Decoder) match(b uint64, e uint32) error {
	length := int(e>>baseShift) + int(lowest(b, e&63)>>(e>>codeShift&15))
	d.bit += int(e & 63)
	b >>= e & 63
	e = d.dist[b&distMask]
	if e&subtable != 0 {
		d.bit += distBits
		b >>= distBits
		e = d.dist[(uint64(e>>baseShift)+lowest(b, e>>codeShift&15))%distSize]
	}
	if e&other != 0 {
		return d.corrupt()
	}
	src := d.op - int(e>>baseShift) - int(lowest(b, e&63)>>(e>>codeShift&15))
	d.bit += int(e & 63)
	if d.short() {
		return d.exhausted()
	}
	if src < d.low && !d.refer(src, length) {
		return d.corrupt()
	}
	d.last.src, d.last.n = src, length
	for i := range length {
		d.out[d.op+i] = d.out[src+i]
	}
	d.op += length
	return nil
}

// lowest is the lowest n bits of b.
func lowest(b uint64, n uint32) uint64 { return b &^ (^uint64(0) << (n & 63)) }
