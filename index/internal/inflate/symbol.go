package inflate

// An entry of a decoding table is a uint32 that says all there is to do when
// its code has been seen:
//
//	bits 0-7    how many bits to consume: the code and its extra bits
//	bits 8-11   how many of these are the code
//	bit 13      end of block
//	bit 14      go on in a subtable
//	bit 15      neither literal nor match: bit 13, bit 14, or invalid
//	bits 16-30  the literal, or the least length or distance
//	bit 31      a literal
//
// A code longer than the table's index is found in two steps. The first entry
// consumes the index; its bits 8-11 tell the width of a subtable and bits 16-30
// its place. The second entry consumes the rest.
const (
	literal  = 1 << 31
	other    = 1 << 15
	subtable = 1 << 14
	endBlock = 1 << 13

	baseShift = 16
	codeShift = 8
)

// maxCode is the length of the longest code.
const maxCode = 15

const (
	maxLit  = 286 // symbols that a block's code can have for literals and lengths
	maxDist = 30  // for distances
	numPre  = 19  // for the lengths of those codes
)

// Index widths. 11 and 8 bits hold nearly all codes that occur and keep the
// tables in a core's first cache.
const (
	litBits  = 11
	distBits = 8
	preBits  = 7 // the longest such code

	// With all subtables that codes of 15 bits may need there are 2342 and 402
	// entries (zlib's examples/enough.c computes them). With a power of two, a
	// masked index needs no bounds check.
	litSize  = 1 << 12
	distSize = 1 << 9

	litMask  = 1<<litBits - 1
	distMask = 1<<distBits - 1
)

// What the symbols mean (RFC 1951, 3.2.5): entries that lack their code.
var (
	litSymbols  = newLitSymbols()
	distSymbols = newDistSymbols()
	preSymbols  = newPreSymbols()
)

func newLitSymbols() (t [288]uint32) {
	for i := range 256 {
		t[i] = literal | uint32(i)<<baseShift
	}
	t[256] = other | endBlock
	base := uint32(3)
	for i := 257; i < 285; i++ {
		extra := max(0, (i-261)/4) // one more bit for every four symbols
		t[i] = base<<baseShift | uint32(extra)
		base += 1 << extra
	}
	t[285] = 258 << baseShift
	t[286], t[287] = other, other // in the fixed code, and invalid
	return t
}

func newDistSymbols() (t [32]uint32) {
	base := uint32(1)
	for i := range maxDist {
		extra := max(0, i/2-1) // one more bit for every two symbols
		t[i] = base<<baseShift | uint32(extra)
		base += 1 << extra
	}
	t[30], t[31] = other, other // in the fixed code, and invalid
	return t
}

func newPreSymbols() (t [numPre]uint32) {
	for i := range t {
		t[i] = uint32(i) << baseShift
	}
	return t
}
