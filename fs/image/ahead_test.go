package image

import (
	"slices"
	"testing"
)

// A reading is a read of chunks of 256 KiB as a layer tells of it, in those
// units.
type reading struct {
	off, end int64 // what is read first, and where the file ends
	n        int64 // how many; 0: 1
	miss     bool
	want     window
}

// TestAhead tells the windows of readers, to the byte.
func TestAhead(t *testing.T) {
	const unit, size = 256 << 10, 1000
	for name, readings := range map[string][]reading{
		"one miss is none in a row": {
			{off: 10, miss: true},
			{off: 10, miss: true}, // gone again
		},
		"small files": {
			{off: 10, end: 11, miss: true},
			{off: 11, end: 12, miss: true, want: window{12, 4}},
			{off: 12, end: 13, want: window{16, 8}},
			{off: 13, end: 14},
			{off: 16, end: 17, want: window{24, 16}},
			{off: 24, end: 25, want: window{40, 32}},
			{off: 40, end: 41, want: window{72, 64}},
			{off: 72, end: 73, want: window{136, 64}},
			{off: 74, end: 75, miss: true}, // evicted
			{off: 75, end: 76, miss: true, want: window{76, 4}},
		},
		"a few are passed over": {
			{off: 10, miss: true},
			{off: 14, miss: true, want: window{15, 4}},
			{off: 17, want: window{19, 8}},
			{off: 30, miss: true, want: window{31, 16}},
		},
		"too many are passed over": {
			{off: 10, miss: true},
			{off: 16, miss: true},
			{off: 30, miss: true},
		},
		"across chunks": { // a file that begins within one
			{off: 10, n: 1, miss: true},
			{off: 10, n: 2, miss: true, want: window{12, 4}},
			{off: 11, n: 2, want: window{16, 8}},
		},
		"backwards": {
			{off: 10, miss: true},
			{off: 9, miss: true},
			{off: 8, miss: true},
		},
		"up to the end of a file, and on": {
			{off: 10, end: 15, miss: true},
			{off: 11, end: 15, miss: true, want: window{12, 3}},
			{off: 12, end: 15},
			{off: 15, end: 16, miss: true, want: window{16, 8}},
		},
		"up to the end of the layer": {
			{off: 996, miss: true},
			{off: 997, miss: true, want: window{998, 2}},
			{off: 998},
			{off: 999},
		},
		"two readers": {
			{off: 10, miss: true},
			{off: 500, miss: true},
			{off: 11, miss: true, want: window{12, 4}},
			{off: 501, miss: true, want: window{502, 4}},
			{off: 12, want: window{16, 8}},
			{off: 502, want: window{506, 8}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := new(ahead)
			for i, r := range readings {
				got := a.reached(r.off*unit, max(r.n, 1)*unit, r.end*unit, size*unit)
				if r.miss {
					if got != (window{}) {
						t.Fatalf("reading %d: %v ahead of a miss", i, got)
					}
					got = a.missed(r.off*unit, (r.off+max(r.n, 1))*unit, r.end*unit, size*unit)
				}
				if want := (window{r.want.off * unit, r.want.n * unit}); got != want {
					t.Fatalf("reading %d: %v, want %v", i, got, want)
				}
			}
			open := slices.DeleteFunc(a.list[:], func(k walker) bool { return k.from == k.to })
			if n := int(a.walking.Load()); n != len(open) {
				t.Errorf("%d of %d walkers have a window", n, len(open))
			}
		})
	}
}

// TestAheadForgets gives up the walker that was told of least lately.
func TestAheadForgets(t *testing.T) {
	const unit, size = 1 << 20, 1 << 40
	a := new(ahead)
	miss := func(n int64) window { return a.missed(n*unit, n*unit+1, 0, size) }
	for i := range int64(walkers) {
		miss(100 * i)
	}
	if w := miss(1); w != (window{unit + 1, firstWindow}) {
		t.Errorf("the first walker: %v", w)
	}
	miss(10_000) // instead of the second
	if w := miss(101); w != (window{}) {
		t.Errorf("a walker that was given up: %v", w)
	}
	if n := a.walking.Load(); n != 1 {
		t.Errorf("%d windows", n)
	}
}
