package inflate

import (
	"math/rand/v2"
	"testing"
)

// randomLens returns the code lengths of n symbols that use all code space, by
// splitting codes: evenly, or always the newest, which makes long ones.
func randomLens(r *rand.Rand, n int) []uint8 {
	lens := []uint8{1, 1}
	for len(lens) < n {
		i := r.IntN(len(lens))
		if r.IntN(3) == 0 {
			i = len(lens) - 1
		}
		if lens[i] < maxCode {
			lens[i]++
			lens = append(lens, lens[i])
		}
	}
	r.Shuffle(len(lens), func(i, j int) { lens[i], lens[j] = lens[j], lens[i] })
	return lens
}

// decode looks up b as loop does: which entry, and the bits that led there.
func decode(table []uint32, width int, b uint64) (e uint32, n int) {
	e = table[b&(1<<width-1)]
	if e&subtable != 0 {
		n = int(e & 255)
		e = table[uint64(e>>baseShift)+lowest(b>>n, e>>codeShift&15)]
	}
	return e, n + int(e>>codeShift&15)
}

// Every code of every length leads to its symbol, whatever bits follow.
func TestBuild(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 2 + r.IntN(maxLit-1)
		lens := randomLens(r, n)
		var lit [litSize]uint32
		if !build(lit[:], litBits, lens, litSymbols[:]) {
			t.Fatalf("%v: not built", lens)
		}
		checkTable(t, lit[:], litBits, lens, litSymbols[:])
		if n <= maxDist {
			var dist [distSize]uint32
			if !build(dist[:], distBits, lens, distSymbols[:]) {
				t.Fatalf("%v: not built", lens)
			}
			checkTable(t, dist[:], distBits, lens, distSymbols[:])
		}
	}
}

func checkTable(t *testing.T, table []uint32, width int, lens []uint8, symbols []uint32) {
	word := 0
	for n := 1; n <= maxCode; n++ {
		word <<= 1
		for sym, l := range lens {
			if int(l) != n {
				continue
			}
			for _, rest := range []uint64{0, ^uint64(0), 0x5555555555555555} {
				e, took := decode(table, width, uint64(reverse(word, n))|rest<<n)
				const meaning = literal | other | endBlock | subtable | 0x7fff<<baseShift
				if took != n || e&meaning != symbols[sym]&meaning {
					t.Fatalf("%v: symbol %d: got %#x, %d bits", lens, sym, e, took)
				}
			}
			word++
		}
	}
}

// The tables have room for the worst codes there are: the subtables are the
// widest if the longest code of each is alone.
func TestTableSizes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		lens := randomLens(r, maxLit)
		var lit [2342]uint32
		build(lit[:], litBits, lens, litSymbols[:]) // panics if it isn't so
		var dist [402]uint32
		build(dist[:], distBits, randomLens(r, maxDist), distSymbols[:])
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, lens := range [][]uint8{{1, 1, 1}, {2, 2, 2}, {2}, {1, 2}, {15}, {1, 0, 15}, {3, 3, 3, 3, 3, 3, 3, 3, 3}} {
		var table [litSize]uint32
		if build(table[:], litBits, lens, litSymbols[:]) {
			t.Errorf("%v: built", lens)
		}
	}
}
