package inflate

import "encoding/binary"

// A packed window has what is kept of a window: the number of pairs; pairs of
// how many bytes are left out and how many are then kept; the kept bytes. The
// numbers are uvarints. It is empty if nothing is kept.

// maxPacked is more than a packed window can have: a pair of numbers of at
// most 3 bytes for each of the kept bytes, were they all apart by more than
// nearby, and these.
const maxPacked = 3 + History/(1+nearby)*(3+3) + History

// pack returns the numbers and the bytes of a packed window.
func pack(window *[History]byte, m *marks) (runs, kept []byte) {
	n := uint64(0)
	for last := 0; ; n++ {
		from, to := m.next(last)
		if from == to {
			break
		}
		runs = binary.AppendUvarint(runs, uint64(from-last))
		runs = binary.AppendUvarint(runs, uint64(to-from))
		kept = append(kept, window[from:to]...)
		last = to
	}
	if n == 0 {
		return nil, nil
	}
	return append(binary.AppendUvarint(nil, n), runs...), kept
}

// unpack fills window from a packed one; what isn't in it is zero. It says
// whether b is a packed window.
func unpack(window, b []byte) bool {
	clear(window)
	if len(b) == 0 {
		return true
	}
	runs := b
	n, runs, ok := number(runs, uint64(len(b)))
	kept := runs
	for range 2 * n {
		if _, kept, ok = number(kept, History); !ok {
			return false
		}
	}
	for range n {
		var gap, size int
		gap, runs, _ = number(runs, History)
		size, runs, _ = number(runs, History)
		if gap+size > len(window) || size > len(kept) {
			return false
		}
		copy(window[gap:gap+size], kept)
		window, kept = window[gap+size:], kept[size:]
	}
	return ok && len(kept) == 0
}

// number takes a uvarint from b, at most most.
func number(b []byte, most uint64) (n int, rest []byte, ok bool) {
	v, size := binary.Uvarint(b)
	if size <= 0 || v > most {
		return 0, nil, false
	}
	return int(v), b[size:], true
}
