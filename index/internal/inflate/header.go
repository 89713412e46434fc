package inflate

// A kind is what comes next in the input.
type kind uint8

const (
	between kind = iota // the header of a block
	stored              // the rest of a block: the numbers of the format, plus one
	fixed
	dynamic
	start // as between, and nothing of the stream has been decoded
)

// readHeader reads all that precedes the data of a block.
func (d *Decoder) readHeader() error {
	b := d.peek()
	d.bit += 3
	d.final = b&1 == 1
	var err error
	switch b >> 1 & 3 {
	case 0:
		err = d.readStored()
	case 1:
		d.useFixed()
	case 2:
		err = d.readDynamic()
	default:
		err = d.corrupt()
	}
	if err == nil && d.short() {
		err = d.exhausted()
	}
	return err
}

func (d *Decoder) readStored() error {
	d.bit = (d.bit + 7) &^ 7
	b := d.peek()
	d.bit += 32
	if uint16(b) != ^uint16(b>>16) {
		return d.corrupt()
	}
	d.block, d.left = stored, int(uint16(b))
	return nil
}

func (d *Decoder) copyStored(limit int) error {
	if d.left == 0 {
		d.block = between
		return nil
	}
	i := d.bit >> 3
	n := copy(d.out[d.op:limit], d.in[i:min(i+d.left, d.end)])
	if n == 0 {
		return d.exhausted()
	}
	d.op += n
	d.bit += 8 * n
	d.left -= n
	return nil
}

// useFixed makes the tables of RFC 1951, 3.2.6.
func (d *Decoder) useFixed() {
	d.block = fixed
	if d.tables == fixed {
		return
	}
	d.tables = fixed
	var lens [288]uint8
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	build(d.lit[:], litBits, lens[:], litSymbols[:])
	for i := range 32 {
		lens[i] = 5
	}
	build(d.dist[:], distBits, lens[:32], distSymbols[:])
}

// readDynamic reads the codes of a dynamic block (RFC 1951, 3.2.7), and makes
// its tables.
func (d *Decoder) readDynamic() error {
	from := d.bit
	b := d.peek()
	d.bit += 14
	nlit, ndist, npre := int(b&31)+257, int(b>>5&31)+1, int(b>>10&15)+4
	if nlit > maxLit || ndist > maxDist {
		return d.corrupt()
	}
	b = d.peek() // all 19 lengths are in these 57 bits
	d.bit += 3 * npre
	var pre [numPre]uint8
	for _, sym := range preOrder[:npre] {
		pre[sym] = uint8(b & 7)
		b >>= 3
	}
	var lens [maxLit + maxDist]uint8
	if err := d.readLengths(&pre, lens[:nlit+ndist]); err != nil {
		return err
	}
	d.block, d.tables = dynamic, dynamic
	if !build(d.lit[:], litBits, lens[:nlit], litSymbols[:]) ||
		!build(d.dist[:], distBits, lens[nlit:nlit+ndist], distSymbols[:]) {
		return d.corrupt()
	}
	d.keepHeader(from)
	return nil
}

// preOrder is the order of the lengths of the code of lengths.
var preOrder = [numPre]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readLengths reads code lengths, in the code whose lengths are pre.
func (d *Decoder) readLengths(pre *[numPre]uint8, lens []uint8) error {
	var table [1 << preBits]uint32
	if !build(table[:], preBits, pre[:], preSymbols[:]) {
		return d.corrupt()
	}
	for i := 0; i < len(lens); {
		b := d.peek()
		e := table[b&(1<<preBits-1)]
		if e&other != 0 {
			return d.corrupt()
		}
		d.bit += int(e & 15)
		b >>= e & 15
		var times, extra int
		var n uint8
		switch sym := e >> baseShift; sym {
		case 16:
			if i == 0 {
				return d.corrupt()
			}
			n, times, extra = lens[i-1], 3+int(b&3), 2
		case 17:
			times, extra = 3+int(b&7), 3
		case 18:
			times, extra = 11+int(b&127), 7
		default:
			n, times = uint8(sym), 1
		}
		d.bit += extra
		if d.short() || times > len(lens)-i {
			return d.corrupt()
		}
		for ; times > 0; times-- {
			lens[i] = n
			i++
		}
	}
	return nil
}
