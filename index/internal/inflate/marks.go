package inflate

import "math/bits"

// marks has a bit for each byte of a window.
type marks [History / 64]uint64

// nearby is the most bytes between two runs of set bits that make one run: to
// keep as few bytes is smaller than to say that they are left out.
const nearby = 4

// set sets the bits in [i, end), which are within the window.
func (m *marks) set(i, end int) {
	for i < end {
		n := min(end-i, 64-i&63)
		m[i>>6] |= ^uint64(0) >> (64 - n) << (i & 63)
		i += n
	}
}

// next returns the first run of set bits at or behind i; it is empty, at the
// window's end, if there is none.
func (m *marks) next(i int) (from, to int) {
	from = m.find(i, 0)
	to = m.find(from, ^uint64(0))
	for {
		more := m.find(to, 0)
		if more == History || more-to > nearby {
			return from, to
		}
		to = m.find(more, ^uint64(0))
	}
}

// find returns the first bit at or behind i that differs from those of same.
func (m *marks) find(i int, same uint64) int {
	for i < History {
		if w := (m[i>>6] ^ same) >> (i & 63); w != 0 {
			return i + bits.TrailingZeros64(w)
		}
		i = i&^63 + 64
	}
	return History
}
