package inflate

import "encoding/binary"

const (
	// An iteration consumes less than two refills of 7 bytes each, and reads
	// 8 bytes at a time.
	loopInput = 32

	// An iteration makes at most two literals and a match.
	loopOutput = 2 + maxMatch
)

// loop decodes symbols as long as there is ample input, and room before limit.
//
// bb holds the next bits of the input; as many as the low byte of bl says are
// there for sure, and those above are right too where they aren't zero. That
// makes it possible to refill without a branch: 8 bytes of input are or'ed in,
// and ip moves by as many as were wholly new. bl is kept by subtracting whole
// entries, whose low byte is the number of bits consumed; the rest is junk.
//
// An iteration begins with at least 56 bits and the entry of the next code at
// hand. Two literals and a length take 2×11 + 15 + 5 bits; after a refill, a
// distance takes 15 + 13, and another refill makes 56 again.
func (d *Decoder) loop(limit int) error {
	in, out, lit, dist := &d.in, &d.out, &d.lit, &d.dist
	inStop, outStop := d.end-loopInput, min(limit, outSize)-loopOutput
	op, low := d.op, d.low
	ip := d.bit >> 3
	if ip >= inStop || op >= outStop {
		return nil
	}
	bb := binary.LittleEndian.Uint64(in[ip:ip+8]) >> (d.bit & 7)
	bl := uint64(56 - d.bit&7)
	ip += 7
	e := lit[bb&litMask]

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
					bb |= binary.LittleEndian.Uint64(in[ip:ip+8]) << (bl & 63)
					ip += int(7 - bl>>3&7)
					bl |= 56
					e = lit[bb&litMask]
					continue
				}
			}
		}

		if e&other != 0 {
			if e&subtable != 0 {
				e = lit[(uint64(e>>baseShift)+bb&^(^uint64(0)<<(e>>codeShift&15)))%litSize]
				saved = bb
				bb >>= e & 63
				bl -= uint64(e)
			}
			if e&literal != 0 {
				out[op] = byte(e >> baseShift)
				op++
				bb |= binary.LittleEndian.Uint64(in[ip:ip+8]) << (bl & 63)
				ip += int(7 - bl>>3&7)
				bl |= 56
				e = lit[bb&litMask]
				continue
			}
			if e&other != 0 {
				d.op, d.bit = op, ip<<3-int(bl&255)
				if e&endBlock == 0 {
					return d.corrupt()
				}
				d.block = between
				return nil
			}
		}
		length := int(e>>baseShift) + int(saved&^(^uint64(0)<<(e&63))>>(e>>codeShift&15))

		e = dist[bb&distMask]
		bb |= binary.LittleEndian.Uint64(in[ip:ip+8]) << (bl & 63)
		ip += int(7 - bl>>3&7)
		bl |= 56
		if e&other != 0 {
			if e&subtable == 0 {
				d.op, d.bit = op, ip<<3-int(bl&255)
				return d.corrupt()
			}
			bb >>= distBits
			bl -= distBits
			e = dist[(uint64(e>>baseShift)+bb&^(^uint64(0)<<(e>>codeShift&15)))%distSize]
			if e&other != 0 {
				d.op, d.bit = op, ip<<3-int(bl&255)
				return d.corrupt()
			}
		}
		src := op - int(e>>baseShift) - int(bb&^(^uint64(0)<<(e&63))>>(e>>codeShift&15))
		near := op - src
		bb >>= e & 63
		bl -= uint64(e)
		bb |= binary.LittleEndian.Uint64(in[ip:ip+8]) << (bl & 63)
		ip += int(7 - bl>>3&7)
		bl |= 56
		e = lit[bb&litMask]

		if src < low && !d.refer(src, length) {
			d.op, d.bit = op, ip<<3-int(bl&255)
			return d.corrupt()
		}
		to := op
		op += length
		for ; near < 16 && to < op; near = to - src {
			copy16(out, to, src)
			to += near
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
	return nil
}

// copy16 copies 16 bytes within out.
func copy16(out *[outSize + outPad]byte, to, from int) {
	*(*[16]byte)(out[to : to+16]) = *(*[16]byte)(out[from : from+16])
}
