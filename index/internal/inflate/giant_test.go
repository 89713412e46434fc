package inflate_test

import mathbits "math/bits"

// bits writes DEFLATE bit by bit.
type bits struct {
	b []byte
	n int
}

// add writes n bits of v, the lowest first.
func (w *bits) add(v uint64, n int) {
	for range n {
		if w.n&7 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n>>3] |= byte(v&1) << (w.n & 7)
		w.n++
		v >>= 1
	}
}

// code writes a Huffman code, the highest bit first.
func (w *bits) code(v uint64, n int) { w.add(mathbits.Reverse64(v)>>(64-n), n) }

// symbol writes a literal or length in the fixed code.
func (w *bits) symbol(s int) {
	switch {
	case s < 144:
		w.code(0x30+uint64(s), 8)
	case s < 256:
		w.code(0x190+uint64(s-144), 9)
	case s < 280:
		w.code(uint64(s-256), 7)
	default:
		w.code(0xc0+uint64(s-280), 8)
	}
}

// match writes a length of 3 to 258 and a distance in the fixed code.
func (w *bits) match(length, dist int) {
	sym, base := 257, 3
	for sym < 284 {
		if next := base + 1<<max(0, (sym-261)/4); next <= length {
			sym, base = sym+1, next
			continue
		}
		break
	}
	if length == 258 {
		sym, base = 285, 258
	}
	w.symbol(sym)
	if sym < 285 {
		w.add(uint64(length-base), max(0, (sym-261)/4))
	}
	d, from := 0, 1
	for {
		next := from + 1<<max(0, d/2-1)
		if next > dist {
			break
		}
		d, from = d+1, next
	}
	w.code(uint64(d), 5)
	w.add(uint64(dist-from), max(0, d/2-1))
}

func (w *bits) end() { w.symbol(256) }

func (w *bits) bytes() []byte { return w.b }

// giant compresses b to one single fixed block.
func giant(b []byte) []byte {
	var w bits
	w.add(1, 1)
	w.add(1, 2)
	last := map[[4]byte]int{}
	for i := 0; i < len(b); {
		n := 0
		if i+4 <= len(b) {
			key := [4]byte(b[i:])
			if from, ok := last[key]; ok && i-from <= 32768 {
				for n < 258 && i+n < len(b) && b[i+n] == b[from+n] {
					n++
				}
				w.match(n, i-from)
			}
			last[key] = i
		}
		if n == 0 {
			w.symbol(int(b[i]))
			n = 1
		}
		i += n
	}
	w.end()
	return w.bytes()
}
