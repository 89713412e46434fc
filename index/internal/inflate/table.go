package inflate

import "math/bits"

// A code is a canonical Huffman code (RFC 1951, 3.2.2), as its code lengths
// define it.
type code struct {
	count  [maxCode + 1]int // how many codes have this length
	sorted [288]uint16      // symbols in the order of their codes
	total  int              // how many of them there are
}

// newCode takes the lengths of the symbols' codes, 0 for unused symbols. It
// says whether they make a code that uses all of its space.
func newCode(lens []uint8) (c code, full bool) {
	for _, n := range lens {
		c.count[n&15]++
	}
	c.count[0] = 0

	space := 0
	var next [maxCode + 1]int
	for n, count := range c.count {
		next[n&15] = c.total
		c.total += count
		space += count << (maxCode - n)
	}
	for sym, n := range lens {
		if n > 0 {
			c.sorted[next[n&15]] = uint16(sym)
			next[n&15]++
		}
	}
	return c, space == 1<<maxCode
}

// build fills table, whose index is width bits, from the lengths of the codes
// of symbols. It is false if there is no such code: one must use all its
// space, or have a single symbol of one bit, or none. In the latter two there
// are bits that mean nothing.
func build(table []uint32, width int, lens []uint8, symbols []uint32) bool {
	c, full := newCode(lens)
	if full {
		c.fill(table, width, symbols)
		return true
	}
	if c.total > 1 || c.total != c.count[1] {
		return false
	}
	for i := range table[:1<<width] {
		table[i] = other
		if i&1 == 0 && c.total == 1 {
			table[i] = symbols[c.sorted[0]] + 1<<codeShift + 1
		}
	}
	return true
}

func (c *code) fill(table []uint32, width int, symbols []uint32) {
	word, i := 0, 0 // the next code, and its place in sorted
	for n := 1; n <= width; n++ {
		// A bit more: what has a shorter code is there twice. All else is
		// overwritten, by codes of this length or longer ones.
		half := 1 << (n - 1)
		copy(table[half:2*half], table[:half])
		word <<= 1
		for range c.count[n] {
			table[reverse(word, n)] = symbols[c.sorted[i]] + uint32(n<<codeShift+n)
			word++
			i++
		}
	}
	if i < c.total {
		c.fillSubtables(table, width, symbols, word, i)
	}
}

// fillSubtables places the codes longer than width, from word on. Those which
// share their first width bits follow one another.
func (c *code) fillSubtables(table []uint32, width int, symbols []uint32, word, i int) {
	var sub []uint32
	prefix, end := -1, 1<<width
	for n := width + 1; i < c.total; n++ {
		word <<= 1
		rest := n - width
		for left := c.count[n]; left > 0; left-- {
			index := reverse(word, n)
			if p := index & (1<<width - 1); p != prefix {
				prefix = p
				w := c.subWidth(width, n, left)
				table[p] = other | subtable | uint32(end<<baseShift|w<<codeShift|width)
				sub = table[end : end+1<<w]
				end += 1 << w
			}
			e := symbols[c.sorted[i]] + uint32(rest<<codeShift+rest)
			for j := index >> width; j < len(sub); j += 1 << rest {
				sub[j] = e
			}
			word++
			i++
		}
	}
}

// subWidth is the width of the subtable that begins where left codes of n bits
// are still to come: as wide as the longest code that falls into it.
func (c *code) subWidth(width, n, left int) int {
	w := n - width
	for used := left; used < 1<<w; {
		w++
		used = 2*used + c.count[width+w]
	}
	return w
}

// reverse gives the n bits of a code in the order they are read in.
func reverse(word, n int) int {
	return int(bits.Reverse16(uint16(word)) >> (16 - n))
}
