package index_test

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// A reference decodes gzip (RFC 1952, RFC 1951) a bit at a time, so simply that
// one can see that it is right, and makes the checkpoints of a zTOC on its way
// as the format has them. Nothing in it is shared with what it tests.
type reference struct {
	t    testing.TB
	blob []byte
	bit  int
	out  []byte

	blocks [][2]int // where each begins: in bits of blob, and in out
}

func (r *reference) bits(n int) (v int) {
	for i := range n {
		v |= int(r.blob[r.bit/8]>>(r.bit%8)&1) << i
		r.bit++
	}
	return v
}

func (r *reference) byte() byte { return byte(r.bits(8)) }

// layer decodes all members.
func (r *reference) layer() {
	for r.bit < 8*len(r.blob) {
		start := len(r.out)
		r.header()
		for last := false; !last; {
			r.blocks = append(r.blocks, [2]int{r.bit, len(r.out)})
			last = r.bits(1) == 1
			r.block(r.bits(2))
		}
		r.bit = (r.bit + 7) / 8 * 8
		crc, size := uint32(r.bits(32)), uint32(r.bits(32))
		if member := r.out[start:]; crc != crc32.ChecksumIEEE(member) || size != uint32(len(member)) {
			r.t.Fatal("the reference decoded something else")
		}
	}
}

func (r *reference) header() {
	if r.byte() != 0x1f || r.byte() != 0x8b || r.byte() != 8 {
		r.t.Fatalf("no gzip member at %d", r.bit/8)
	}
	flags := r.byte()
	r.bits(6 * 8)
	if flags&4 != 0 {
		for n := r.bits(16); n > 0; n-- {
			r.byte()
		}
	}
	for _, flag := range []byte{8, 16} {
		for flags&flag != 0 && r.byte() != 0 {
		}
	}
	if flags&2 != 0 {
		r.bits(16)
	}
}

func (r *reference) block(kind int) {
	switch kind {
	case 0:
		r.bit = (r.bit + 7) / 8 * 8
		n := r.bits(16)
		r.bits(16)
		r.out = append(r.out, r.blob[r.bit/8:r.bit/8+n]...)
		r.bit += 8 * n
	case 1:
		lens := make([]int, 288+30)
		for i := range lens {
			lens[i] = 8
			if i >= 288 {
				lens[i] = 5
			} else if i >= 144 && i < 256 {
				lens[i] = 9
			} else if i >= 256 && i < 280 {
				lens[i] = 7
			}
		}
		r.symbols(canonical(lens[:288]), canonical(lens[288:]))
	case 2:
		r.symbols(r.codes())
	default:
		r.t.Fatal("a block of kind 3")
	}
}

// A word is a code of n bits.
type word struct{ n, bits int }

// canonical is the canonical code with these lengths.
func canonical(lens []int) map[word]int {
	code := map[word]int{}
	for n, next := 1, 0; n <= 15; n++ {
		for sym, l := range lens {
			if l == n {
				code[word{n, next}] = sym
				next++
			}
		}
		next <<= 1
	}
	return code
}

// symbol reads one symbol.
func (r *reference) symbol(code map[word]int) int {
	w := word{}
	for w.n <= 15 {
		w = word{w.n + 1, w.bits<<1 | r.bits(1)}
		if sym, ok := code[w]; ok {
			return sym
		}
	}
	r.t.Fatal("a code that means nothing")
	return 0
}

func (r *reference) codes() (lit, dist map[word]int) {
	nlit, ndist, npre := 257+r.bits(5), 1+r.bits(5), 4+r.bits(4)
	pre := make([]int, 19)
	for _, sym := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:npre] {
		pre[sym] = r.bits(3)
	}
	var lens []int
	code := canonical(pre)
	for len(lens) < nlit+ndist {
		sym, times, value := r.symbol(code), 1, 0
		switch sym {
		case 16:
			times, value = 3+r.bits(2), lens[len(lens)-1]
		case 17:
			times = 3 + r.bits(3)
		case 18:
			times = 11 + r.bits(7)
		default:
			value = sym
		}
		for range times {
			lens = append(lens, value)
		}
	}
	return canonical(lens[:nlit]), canonical(lens[nlit:])
}

func (r *reference) symbols(lit, dist map[word]int) {
	for {
		sym := r.symbol(lit)
		switch {
		case sym < 256:
			r.out = append(r.out, byte(sym))
			continue
		case sym == 256:
			return
		}
		length, far := 3, 1
		for i := 257; i < sym; i++ {
			length += 1 << max(0, (i-261)/4)
		}
		length += r.bits(max(0, (sym-261)/4))
		if sym == 285 {
			length, r.bit = 258, r.bit-max(0, (sym-261)/4)
		}
		d := r.symbol(dist)
		for i := range d {
			far += 1 << max(0, i/2-1)
		}
		far += r.bits(max(0, d/2-1))
		for range length {
			r.out = append(r.out, r.out[len(r.out)-far])
		}
	}
}

// checkpoints is the blob of checkpoints, and the digests of the spans.
func (r *reference) checkpoints(span int64) (blob []byte, digests [][32]byte) {
	le := binary.LittleEndian
	blob = le.AppendUint64(make([]byte, 4), uint64(span))
	last, start := 0, 0
	for _, b := range r.blocks {
		bit, out := b[0], b[1]
		if out > 0 && int64(out-last) <= span {
			continue
		}
		in := (bit + 7) / 8
		if len(blob) > 12 {
			digests = append(digests, sha256.Sum256(r.blob[start:in]))
		}
		last, start = out, bit/8
		blob = le.AppendUint64(blob, uint64(in))
		blob = le.AppendUint64(blob, uint64(out))
		blob = append(blob, byte(8*in-bit))
		window := append(make([]byte, 32768), r.out[:out]...)
		blob = append(blob, window[len(window)-32768:]...)
	}
	digests = append(digests, sha256.Sum256(r.blob[start:]))
	le.PutUint32(blob, uint32(len(digests)))
	return blob, digests
}
