package inflate

import (
	"encoding/binary"
	"io"
)

const (
	inSize = 64 << 10

	// Behind the input's last byte so many bytes may be read, and are zero.
	inPad = 64

	// The longest header of a dynamic block: its 3 bits, 14 of counts, 19
	// lengths of 3 bits, and at most 7 + 7 bits for each of 316 code lengths
	// (a symbol of 7 bits with 7 extra bits gives 11 of them, but let it be).
	// It is decoded in one piece.
	maxHeader = (3 + 14 + 19*3 + 316*(7+7) + 7) / 8

	// So much input there is before anything is decoded, or else all.
	minInput = maxHeader + 8
)

// peek is the next 57 or more bits of the input, and zeros behind its end.
func (d *Decoder) peek() uint64 {
	return load(d.in[:], uint(d.bit)>>3) >> (uint(d.bit) & 7)
}

func load(b []byte, i uint) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// short says that the input decoded so far goes beyond its end.
func (d *Decoder) short() bool { return d.bit > 8*d.end }

// fill reads until there are at least n bytes of input, or all of it.
func (d *Decoder) fill(n int) {
	if d.rerr != nil || d.end-d.bit>>3 >= n {
		return
	}
	used := d.bit >> 3
	d.end = copy(d.in[:], d.in[used:d.end])
	d.inBase += int64(used)
	d.bit &= 7
	for idle := 0; d.end < n && d.rerr == nil; idle++ {
		var m int
		m, d.rerr = d.r.Read(d.in[d.end:inSize])
		d.end += m
		if m > 0 {
			idle = 0
		} else if idle == 100 && d.rerr == nil {
			d.rerr = io.ErrNoProgress
		}
	}
	clear(d.in[d.end : d.end+inPad])
}

// exhausted is the error of a stream that ends too early.
func (d *Decoder) exhausted() error {
	if d.rerr == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return d.rerr
}

func (d *Decoder) corrupt() error {
	if d.short() {
		return d.exhausted()
	}
	return &CorruptError{Offset: d.inBase + int64(d.bit>>3)}
}

// Input is the part of a Decoder's input that is not DEFLATE: what stands
// before, between and behind the streams.
type Input struct{ d *Decoder }

// Input returns a reader of the bytes that follow the stream, or precede it
// if nothing of it has been decoded yet. It shares its position with d, and
// must not be used while a stream is being decoded.
func (d *Decoder) Input() *Input { return &Input{d} }

// Read implements [io.Reader].
func (i *Input) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	d := i.d
	d.fill(1)
	n := copy(p, d.in[d.bit>>3:d.end])
	if n == 0 {
		return 0, d.rerr
	}
	d.bit += 8 * n
	return n, nil
}

// ReadByte implements [io.ByteReader].
func (i *Input) ReadByte() (byte, error) {
	var b [1]byte
	_, err := i.Read(b[:])
	return b[0], err
}
