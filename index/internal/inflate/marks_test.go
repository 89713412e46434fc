package inflate

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Marked bytes come back, in runs, and what is far from them is zero.
func TestMarks(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 200 {
		var m marks
		var marked [History]bool
		for range r.IntN(1 << (round % 12)) {
			from := r.IntN(History)
			to := min(from+1+r.IntN(maxMatch), History)
			if r.IntN(20) == 0 {
				from, to = History-1, History
			}
			m.set(from, to)
			for i := from; i < to; i++ {
				marked[i] = true
			}
		}
		var window [History]byte
		for i := range window {
			window[i] = byte(1 + i%251)
		}
		runs, kept := pack(&window, &m)
		got := bytes.Repeat([]byte{99}, History)
		if packed := append(runs, kept...); len(packed) > maxPacked || !unpack(got, packed) {
			t.Fatalf("round %d: not unpacked", round)
		}
		for i, on := range marked {
			near := on
			for j := max(0, i-nearby); j <= min(i+nearby, History-1); j++ {
				near = near || marked[j]
			}
			if on && got[i] != window[i] || !near && got[i] != 0 {
				t.Fatalf("round %d: byte %d is %d", round, i, got[i])
			}
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	window := make([]byte, History)
	for _, b := range [][]byte{
		{0, 7},                     // bytes of no run
		{2, 0},                     // half a run
		{2, 0, 3, 'a', 'b'},        // a byte too few
		{2, 0, 1, 'a', 'b'},        // one too many
		{1, 0, 1},                  // a gap with no size
		{4, 0xff, 0xff, 1, 2, 'a'}, // behind the window: 32767 + 2
		{0x80},                     // a number with no end
		{11, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 1}, // above 64 bits
	} {
		if unpack(window, b) {
			t.Errorf("% x: taken for a packed window", b)
		}
	}
}
