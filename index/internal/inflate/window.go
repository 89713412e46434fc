package inflate

import "encoding/binary"

// A packed window is what is kept of a window: the length of the runs; runs,
// each how many bytes are left out and how many are then kept; the bytes kept,
// one run behind the other. All numbers are uvarints. It is empty if nothing
// is kept.

// maxPacked is the most there can be: each run keeps a byte and leaves out
// more than nearby, and a number takes at most 3 bytes.
const maxPacked = 3 + History/(1+nearby)*(3+3) + History

// pack returns a packed window in two parts, as they are of different kinds:
// the runs, and the bytes kept.
func pack(window *[History]byte, m *marks) (runs, kept []byte) {
	for last := 0; ; {
		from, to := m.next(last)
		if from == to {
			break
		}
		runs = binary.AppendUvarint(runs, uint64(from-last))
		runs = binary.AppendUvarint(runs, uint64(to-from))
		kept = append(kept, window[from:to]...)
		last = to
	}
	if len(runs) == 0 {
		return nil, nil
	}
	return append(binary.AppendUvarint(nil, uint64(len(runs))), runs...), kept
}

// unpack fills window from a packed one; what that doesn't have is zero. It
// says whether b is a packed window.
func unpack(window, b []byte) bool {
	if len(b) == 0 {
		clear(window)
		return true
	}
	n, b, ok := number(b, maxPacked)
	if !ok || n > len(b) {
		return false
	}
	runs, kept := b[:n], b[n:]
	for len(runs) > 0 {
		var gap, size int
		gap, runs, ok = number(runs, History)
		if !ok {
			return false
		}
		size, runs, ok = number(runs, History)
		if !ok || gap+size > len(window) || size > len(kept) {
			return false
		}
		clear(window[:gap])
		copy(window[gap:], kept[:size])
		window, kept = window[gap+size:], kept[size:]
	}
	clear(window)
	return len(kept) == 0
}

// number takes a uvarint from b that is at most most.
func number(b []byte, most uint64) (n int, rest []byte, ok bool) {
	v, size := binary.Uvarint(b)
	if size <= 0 || v > most {
		return 0, nil, false
	}
	return int(v), b[size:], true
}
