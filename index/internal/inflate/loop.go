package inflate

import "encoding/binary"

const (
	// An iteration refills at most twice, which is 2×7 bytes; a refill reads 8.
	loopInput = 32

	// An iteration makes at most two literals and a match, or three literals.
	loopOutput = 2 + maxMatch
)

// loop decodes symbols while there is ample input, and room before limit. It
// is where nearly all the time is spent.
//
// bb holds the next bits of the input. The low byte of bl says how many; there
// may be more, which are right too. So 8 bytes of input can be or'ed in at any
// time, and ip moves by as many as were wholly new: no branch asks how many
// bits there are. Also bl is kept by subtracting whole entries, whose low byte
// is the number of bits consumed; what is above that byte is junk.
//
// An iteration begins with 56 bits or more, and with the next code's entry at
// hand. Two literals and a length take 2×11 + 15 + 5 of them; then, refilled,
// a distance takes 15 + 13. The entry of the next code is loaded before the
// match is copied, so that the two overlap.
func (d *Decoder) loop(limit int) error {
	in, out, lit, dist := &d.in, &d.out, &d.lit, &d.dist
	inStop, outStop := d.end-loopInput, min(limit, outSize)-loopOutput
	op, low, ip := d.op, d.low, d.bit>>3
	if ip >= inStop || op >= outStop {
		return nil
	}
	bb := binary.LittleEndian.Uint64(in[ip:ip+8]) >> (d.bit & 7)
	bl := uint64(56 - d.bit&7)
	ip += 7
	e := lit[bb&litMask]
	bad := false

	for ip < inStop && op < outStop {
		saved := bb
		bb >>= e & 63
		bl -= uint64(e)
		if e&literal != 0 {
			out[op] = byte(e >> baseShift)
			op++
			e = lit[bb&litMask]
			saved = bb
			bb >>= e & 63
			bl -= uint64(e)
			if e&literal != 0 {
				out[op] = byte(e >> baseShift)
				op++
				e = lit[bb&litMask]
				saved = bb
				bb >>= e & 63
				bl -= uint64(e)
				if e&literal != 0 {
					out[op] = byte(e >> baseShift)
					op++
					bb, bl, ip = refill(in, bb, bl, ip)
					e = lit[bb&litMask]
					continue
				}
			}
		}

		if e&other != 0 {
			if e&subtable != 0 {
				e = lit[(uint64(e>>baseShift)+lowest(bb, e>>codeShift&15))%litSize]
				saved = bb
				bb >>= e & 63
				bl -= uint64(e)
			}
			if e&literal != 0 {
				out[op] = byte(e >> baseShift)
				op++
				bb, bl, ip = refill(in, bb, bl, ip)
				e = lit[bb&litMask]
				continue
			}
			if e&endBlock != 0 {
				d.block = between
				break
			}
			if e&other != 0 {
				bad = true
				break
			}
		}
		length := int(e>>baseShift) + int(lowest(saved, e&63)>>(e>>codeShift&15))

		e = dist[bb&distMask]
		bb, bl, ip = refill(in, bb, bl, ip)
		if e&other != 0 {
			bb >>= distBits
			bl -= distBits
			if e&subtable != 0 {
				e = dist[(uint64(e>>baseShift)+lowest(bb, e>>codeShift&15))%distSize]
			}
			if e&other != 0 {
				bad = true
				break
			}
		}
		far := int(e>>baseShift) + int(lowest(bb, e&63)>>(e>>codeShift&15))
		bb >>= e & 63
		bl -= uint64(e)
		bb, bl, ip = refill(in, bb, bl, ip)
		e = lit[bb&litMask]

		to, src := op, op-far
		if src < low && !d.refer(src, length) {
			bad = true
			break
		}
		// Copying goes on behind the match, where nothing is yet. If it
		// overlaps itself within 16 bytes, what is copied repeats far bytes,
		// then twice as many.
		op += length
		for ; far < 16 && to < op; far = to - src {
			copy16(out, to, src)
			to += far
		}
		copy16(out, to, src)
		copy16(out, to+16, src+16)
		if to+32 < op {
			for to, src = to+32, src+32; to < op; to, src = to+16, src+16 {
				copy16(out, to, src)
			}
		}
	}

	d.op, d.bit = op, ip<<3-int(bl&255)
	if bad {
		return d.corrupt()
	}
	return nil
}

// refill fills bb up to 56 bits or more.
func refill(in *[inSize + inPad]byte, bb, bl uint64, ip int) (uint64, uint64, int) {
	bb |= binary.LittleEndian.Uint64(in[ip:ip+8]) << (bl & 63)
	return bb, bl | 56, ip + int(7-bl>>3&7)
}

// copy16 copies 16 bytes within out.
func copy16(out *[outSize + outPad]byte, to, from int) {
	*(*[16]byte)(out[to : to+16]) = *(*[16]byte)(out[from : from+16])
}
